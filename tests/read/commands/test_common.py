"""What every command does with its sources: files, standard input, filters, damage, progress."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from console import COMMAND, DEADLINE, Run, write
from loglines import BARE, FORMATS, Event, events

from obs_middleware.__main__ import COMMANDS
from obs_middleware.read.commands import _arguments, _common


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no request line among 0 lines"), (b"hello\nworld\n", "no request line among 2 lines")],
)
@pytest.mark.parametrize("name", ["stats", "slow", "time", "check", "report"])
def test_a_log_without_request_lines_gives_a_message(
    name: str, content: bytes, message: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(content)
    limit = ["--p95", "1s"] if name == "check" else []

    assert run(name, path, *limit) == (2, "", f"obs-middleware: {path}: {message}\n")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "elastic-template"])
def test_a_missing_file_gives_a_message(name: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "missing.log"
    before = {"grep": ["status = 1"], "request": ["x"], "diff": [str(path)]}.get(name, [])
    needed = {"check": ["--p95", "1s"], "pack": ["--to", str(tmp_path)]}.get(name, [])

    code, out, err = run(name, *before, path, *needed)

    assert (code, out) == (2, "")
    assert err == f"obs-middleware: {path}: No such file or directory\n"


@pytest.fixture(name="nobody")
def _nobody() -> Iterator[None]:
    """Run the test as a user other than root, because root may read every file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("name", ["stats", "tail"])
def test_an_unreadable_file_gives_a_message(name: str, run: Run, log: Path, nobody: None) -> None:
    if os.access(log, os.R_OK, effective_ids=True):
        log.chmod(0)

    assert run(name, log) == (2, "", f"obs-middleware: {log}: Permission denied\n")


def test_filters_that_match_nothing_give_a_message(run: Run, log: Path) -> None:
    code, _, err = run("stats", log, "--status", "418")

    assert (code, err) == (2, f"obs-middleware: {log}: none of the 300 request lines passes the filters\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--where", "tenat = 'acme'"], "no request line has the field tenat"),
        (["--where", "tenat != 'acme'", "--status", "200"], "no request line has the field tenat"),
        (["--route", "/checkout/"], "try --route checkout/"),
    ],
)
def test_a_filter_that_matches_nothing_because_it_is_misspelt_is_named(
    arguments: list[str], reason: str, run: Run, log: Path
) -> None:
    code, _, err = run("stats", log, *arguments)

    assert code == 2
    assert err.startswith(f"obs-middleware: {log}: none of the 300 request lines passes the filters; ")
    assert reason in err


def test_an_invalid_regular_expression_gives_a_message(run: Run, log: Path) -> None:
    code, _, err = run("stats", log, "--where", "path ~ '('")

    assert code == 2
    assert "DuckDB rejects the condition" in err


def test_an_invalid_memory_size_gives_a_message(run: Run, log: Path) -> None:
    assert "invalid --memory 'much'" in run(log, "--memory", "much")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--until", "0001-01-01T00:00:00+14:00"],
        ["stats", "--since", "9999-12-31T23:59:59-14:00"],
        ["time", "--every", "999999999d"],
    ],
)
def test_a_time_outside_the_calendar_gives_a_message(arguments: list[str], run: Run, log: Path) -> None:
    code, out, err = run(*arguments, log)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_an_age_beyond_year_1_filters_nothing(run: Run, log: Path) -> None:
    assert run("stats", log, "--since", "99999999999999d") == run("stats", log)


@pytest.mark.parametrize(
    "timestamp", ["290000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0044-03-15 (BC) 00:00:00", "infinity", "epoch"]
)
@pytest.mark.parametrize("name", ["stats", "time", "slow", "report"])
def test_a_damaged_timestamp_is_unknown(
    name: str, timestamp: str, run: Run, tmp_path: Path, written: list[Event]
) -> None:
    lines = [FORMATS["flat"](event) for event in written[:30]]
    text = BARE["text"](written[30] | {"timestamp": timestamp})
    log = write(tmp_path / "a.log", [*lines, FORMATS["flat"](written[30] | {"timestamp": timestamp}), text])

    code, out, err = run(name, log)

    assert (code, err) == (0, "")
    if name == "stats":
        assert "to 2026-11-02T10:00:29Z" in out
        assert "32 lines read: 32 request lines" in out


def test_a_damaged_archive_is_read_up_to_the_damage(run: Run, tmp_path: Path) -> None:
    lines = "".join(FORMATS["flat"](event) + "\n" for event in events(5_000)).encode()
    damaged = bytearray(gzip.compress(lines))
    damaged[len(damaged) // 2 :] = b"\xff" * (len(damaged) // 2)
    log = tmp_path / "a.log.gz"
    log.write_bytes(damaged)

    code, out, err = run(log)

    assert code == 3
    assert err.startswith(f"obs-middleware: {log}: read only in part: ")
    assert re.search(r"2,\d\d\d request lines, \d+ skipped", out)
    log.write_bytes(damaged[:30] + b"\xff" * 1_000)
    assert run(log)[0] == 2


def test_standard_input_is_read(tmp_path: Path, written: list[Event]) -> None:
    text = "".join(f"{FORMATS['gcp'](event)}\n" for event in written)
    for names in ([], ["stats"], ["stats", "-"]):
        result = subprocess.run(
            [*COMMAND, *names, "--format", "json"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=DEADLINE,
        )
        data = json.loads(result.stdout)
        assert data["sources"] == ["standard input"]
        assert data["overview"]["requests"] == len(written)


@pytest.mark.parametrize(
    ("text", "expected"), [("Query interrupted", KeyboardInterrupt), ("anything else", RuntimeError)]
)
def test_an_interrupted_query_is_a_keyboard_interrupt(text: str, expected: type[BaseException]) -> None:
    def interrupted(arguments: argparse.Namespace, session: _common.Session) -> int:
        raise RuntimeError(text)

    parser = argparse.ArgumentParser()
    _arguments.add_files(parser)

    with pytest.raises(expected):
        _common.answered(parser.parse_args([]), interrupted)


def test_one_bad_file_among_many_is_named_and_the_rest_is_read(run: Run, log: Path, tmp_path: Path) -> None:
    damaged, missing = tmp_path / "old.log.gz", tmp_path / "gone.log"
    damaged.write_bytes(gzip.compress(log.read_bytes())[:-2000])

    code, out, err = run("stats", log, damaged, missing, "--format", "json")

    assert code == 3
    assert json.loads(out)["overview"]["requests"] == 300
    assert json.loads(out)["lines"]["read"] > 300
    gone, part = err.splitlines()
    assert gone == f"obs-middleware: {missing}: No such file or directory"
    assert part.startswith(f"obs-middleware: {damaged}: read only in part: ")


def test_a_bad_file_does_not_hide_a_broken_limit_or_a_search_without_lines(run: Run, log: Path) -> None:
    assert run("check", log, f"{log}.1", "--p95", "1ms")[0] == 1
    assert run("check", log, f"{log}.1", "--p95", "1h")[0] == 3
    assert run("grep", "status = 999", log, f"{log}.1")[0] == 1
    assert run("grep", "status = 200", log, f"{log}.1")[0] == 3


def test_lines_of_a_damaged_file_are_found_up_to_the_damage(run: Run, log: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "old.log.gz"
    damaged.write_bytes(gzip.compress(log.read_bytes())[:-2000])

    code, out, err = run("grep", "status > 0", damaged)

    assert (code, out.count("\n") > 50, err.count("\n")) == (3, True, 1)


def test_a_file_that_is_named_twice_counts_once(run: Run, log: Path) -> None:
    code, out, err = run("stats", log, log, "--format", "json")

    assert (code, json.loads(out)["overview"]["requests"]) == (0, 300)
    assert err == f"obs-middleware: {log}: named twice, so it is read once\n"


@pytest.mark.parametrize("name", ["stats", "time", "slow"])
@pytest.mark.parametrize(("zone", "hour"), [("+05:30", "15:30:00+05:30"), ("America/New_York", "05:00:00-05:00")])
def test_times_for_people_are_in_the_chosen_zone(
    name: str, zone: str, hour: str, run: Run, tmp_path: Path, written: list[Event]
) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](written[0] | {"timestamp": "2026-11-02T10:00:00.000000Z"})])

    for form in ("table", "markdown"):
        shown = run(name, log, f"--tz={zone}", "--format", form)[1]
        assert f"2026-11-02T{hour}" in shown
        assert "Z" not in shown
    assert f"2026-11-02T{hour}" not in run(name, log, f"--tz={zone}", "--format", "json")[1]
    assert run(name, log, f"--tz={zone}", "--format", "csv") == run(name, log, "--format", "csv")
