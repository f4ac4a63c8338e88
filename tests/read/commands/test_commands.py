"""The commands as they are typed: what they print, in every form, and the exit codes."""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from loglines import BARE, FORMATS, Event, events

from obs_middleware.__main__ import COMMANDS, main
from obs_middleware.read.commands import _common as cli

COMMAND = [sys.executable, "-m", "obs_middleware"]
DEADLINE = 60

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(name="written")
def _written() -> list[Event]:
    return events(300)


@pytest.fixture(name="log")
def _log(tmp_path: Path, written: list[Event]) -> Path:
    return write(tmp_path / "shop.log", [FORMATS["flat"](event) for event in written])


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


# The script


def test_help_lists_the_commands_and_imports_none_of_them() -> None:
    script = (
        "import sys; from obs_middleware.__main__ import main; code = main(['--help']);"
        "assert not {'duckdb', 'obs_middleware.read', 'obs_middleware.logs.elastic'} & set(sys.modules); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=DEADLINE
    )

    assert result.returncode == 0, result.stderr
    for name, command in COMMANDS.items():
        assert re.search(rf"^ +{name}\b", result.stdout, re.MULTILINE)
        assert command.summary[:20] in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, run: Run) -> None:
    code, out, _ = run(name, "--help")

    assert code == 0
    assert out.startswith(f"usage: obs-middleware {name}")


def test_the_version_is_told(run: Run) -> None:
    assert re.fullmatch(r"obs-middleware \d+\.\d+\.\d+\n", run("--version")[1])


def test_a_word_that_is_neither_command_nor_file_is_a_message(run: Run) -> None:
    assert run("stast") == (2, "", "obs-middleware: stast: neither a command nor a file; obs-middleware --help\n")


def test_an_unknown_option_is_a_message(run: Run, log: Path) -> None:
    code, out, err = run("stats", log, "--fast")

    assert (code, out) == (2, "")
    assert "--fast" in err


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, run: Run, log: Path) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

    monkeypatch.setattr("importlib.import_module", missing)

    assert run("stats", log) == (2, "", 'obs-middleware stats needs duckdb: pip install "obs-middleware[cli]"\n')


def test_any_other_missing_module_is_not_explained_away(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'ours'", name="ours")

    monkeypatch.setattr("importlib.import_module", missing)

    with pytest.raises(ModuleNotFoundError):
        main(["stats", str(log)])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no request line among 0 lines"), (b"hello\nworld\n", "no request line among 2 lines")],
)
@pytest.mark.parametrize("name", ["stats", "slow", "time", "check", "report"])
def test_no_request_line_is_a_message(name: str, content: bytes, message: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(content)
    limit = ["--p95", "1s"] if name == "check" else []

    assert run(name, path, *limit) == (2, "", f"obs-middleware: {path}: {message}\n")


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if COMMANDS[name].module.startswith("obs_middleware.read.")]
)
def test_a_missing_file_is_a_message(name: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "missing.log"
    before = {"grep": ["status = 1"], "request": ["x"], "diff": [str(path)]}.get(name, [])
    limit = ["--p95", "1s"] if name == "check" else []

    code, out, err = run(name, *before, path, *limit)

    assert (code, out) == (2, "")
    assert err == f"obs-middleware: {path}: No such file or directory\n"


@pytest.fixture(name="nobody")
def _nobody() -> Iterator[None]:
    """Not root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("name", ["stats", "tail"])
def test_a_file_that_may_not_be_read_is_a_message(name: str, run: Run, log: Path, nobody: None) -> None:
    if os.access(log, os.R_OK, effective_ids=True):
        log.chmod(0)

    assert run(name, log) == (2, "", f"obs-middleware: {log}: Permission denied\n")


@pytest.mark.parametrize("field", ["kind", "line", "is_request", "text", "seed", "j", "keys", 'a"b', "x'y"])
def test_a_field_may_have_any_name(field: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event | {field: "here"}) for event in written]
    log = write(tmp_path / "a.log", [*lines, *(FORMATS["logfmt"](event) for event in written)])

    code, out, err = run(log, "--by", field, "--format", "csv")

    assert (code, err) == (0, "")
    assert {row[field] for row in csv.DictReader(io.StringIO(out))} == {"here", ""}


def test_filters_that_leave_nothing_are_a_message(run: Run, log: Path) -> None:
    code, _, err = run("stats", log, "--status", "418")

    assert (code, err) == (2, f"obs-middleware: {log}: none of the 300 request lines passes the filters\n")


def test_a_regular_expression_that_is_none_is_a_message(run: Run, log: Path) -> None:
    code, _, err = run("stats", log, "--where", "path ~ '('")

    assert code == 2
    assert "not a condition that can be tested" in err


def test_a_memory_that_is_none_is_a_message(run: Run, log: Path) -> None:
    assert "--memory 'much' is no size" in run(log, "--memory", "much")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--until", "0001-01-01T00:00:00+14:00"],
        ["stats", "--since", "9999-12-31T23:59:59-14:00"],
        ["time", "--every", "999999999d"],
    ],
)
def test_a_time_that_no_calendar_has_is_a_message(arguments: list[str], run: Run, log: Path) -> None:
    code, out, err = run(*arguments, log)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_longer_ago_than_there_are_years_is_ever_since(run: Run, log: Path) -> None:
    assert run("stats", log, "--since", "99999999999999d") == run("stats", log)


@pytest.mark.parametrize(
    "timestamp", ["290000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0044-03-15 (BC) 00:00:00", "infinity", "epoch"]
)
@pytest.mark.parametrize("name", ["stats", "time", "slow", "report"])
def test_a_damaged_timestamp_is_none(name: str, timestamp: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event) for event in written[:30]]
    text = BARE["text"](written[30] | {"timestamp": timestamp})
    log = write(tmp_path / "a.log", [*lines, FORMATS["flat"](written[30] | {"timestamp": timestamp}), text])

    code, out, err = run(name, log)

    assert (code, err) == (0, "")
    if name == "stats":
        assert "to 2026-11-02T10:00:29Z" in out
        assert "32 lines read: 32 request lines" in out


def test_a_damaged_archive_is_read_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    lines = "".join(FORMATS["flat"](event) + "\n" for event in events(5_000)).encode()
    damaged = bytearray(gzip.compress(lines))
    damaged[len(damaged) // 2 :] = b"\xff" * (len(damaged) // 2)
    log = tmp_path / "a.log.gz"
    log.write_bytes(damaged)

    code, out, err = run(log)

    assert (code, err) == (0, "")
    assert re.search(r"2,\d\d\d request lines, \d+ skipped", out)
    log.write_bytes(damaged[:30] + b"\xff" * 1_000)
    assert run(log)[0] == 2


# stats, slow, time


def test_stats_is_the_default(run: Run, log: Path) -> None:
    assert run(log) == run("stats", log)


def test_stats_has_the_same_figures_in_every_form(run: Run, log: Path, written: list[Event]) -> None:
    data = json.loads(run(log, "--format", "json")[1])
    table = list(csv.DictReader(io.StringIO(run(log, "--format", "csv")[1])))
    markdown = run(log, "--format", "markdown")[1]
    shown = run(log)[1]

    assert data["overview"]["requests"] == len(written)
    assert [float(row["p95_seconds"]) for row in table] == [
        round(row["durations"]["p95"], 9) for row in data["groups"]["rows"]
    ]
    assert sum(int(row["requests"]) for row in table) == len(written)
    for row in data["groups"]["rows"]:
        assert (
            re.search(rf"^{row['keys'][0]} +{re.escape(row['keys'][1] or '-')}", shown, re.MULTILINE)
            or not row["keys"][1]
        )
        assert f"| {row['keys'][0]} |" in markdown
    assert "orders/&lt;int:pk&gt;/" in markdown
    assert "300 lines read: 300 request lines" in shown


def test_stats_of_bare_lines_say_what_they_do_not_know(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written[:19]])

    shown = run(log)[1]

    assert "errors unknown" in shown
    assert "no status, so errors are not known" in shown
    assert "no line says method or route" in shown
    assert "fewer than 20" in shown
    data = json.loads(run(log, "--format", "json")[1])
    assert (data["overview"]["errors"], data["overview"]["first"]) == (None, None)


def test_stats_group_by_any_field(run: Run, log: Path) -> None:
    table = list(csv.DictReader(io.StringIO(run(log, "--by", "tenant,status", "--format", "csv")[1])))

    assert {row["tenant"] for row in table} == {"t0", "t1", "t2"}
    assert {row["status"] for row in table} == {"200", "302", "404", "500"}


def test_groups_that_are_not_shown_are_counted(run: Run, log: Path) -> None:
    shown = run(log, "--by", "user_id", "--limit", "2")[1]

    assert re.search(r"^\(5 others\) +\d+", shown, re.MULTILINE)


def test_no_field_to_group_by_is_a_message(run: Run, log: Path) -> None:
    assert run(log, "--by", ",")[0] == 2


def test_a_sample_rate_is_said(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event | {"sample_rate": 0.5}) for event in written])

    shown = run(log)[1]

    assert shown.startswith("600 requests")
    assert "1 / sample_rate" in shown


def test_slow_shows_the_slowest_with_their_ids(run: Run, log: Path, written: list[Event]) -> None:
    expected = sorted(written, key=lambda event: -event["duration_seconds"])[:4]

    data = json.loads(run("slow", log, "--limit", "4", "--format", "json")[1])
    shown = run("slow", log, "--limit", "4")[1]

    assert [one["request_id"] for one in data["slowest"]] == [event["request_id"] for event in expected]
    assert [one["duration_seconds"] for one in data["slowest"]] == [event["duration_seconds"] for event in expected]
    assert all(event["request_id"] in shown for event in expected)


def test_time_shows_the_course(run: Run, log: Path) -> None:
    data = json.loads(run("time", log, "--every", "1m", "--format", "json")[1])
    shown = run("time", log, "--every", "1m")[1]

    assert [one["requests"] for one in data["slices"]] == [60] * 5
    assert re.search(r"^requests \|█████\|$", shown, re.MULTILINE)
    assert data["every_seconds"] == 60


def test_time_chooses_a_sensible_step(run: Run, log: Path) -> None:
    assert json.loads(run("time", log, "--format", "json")[1])["every_seconds"] == 10


@pytest.mark.parametrize(
    ("every", "message"), [("1us", "at least 1ms"), ("1ms", "at most 100,000"), ("soon", "duration")]
)
def test_a_step_that_makes_no_sense_is_a_message(every: str, message: str, run: Run, log: Path) -> None:
    code, _, err = run("time", log, "--every", every)

    assert code == 2
    assert message in err


def test_time_needs_times(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written])

    assert run("time", log)[2] == f"obs-middleware: {log}: no line says when it was written\n"


# grep, request


def test_grep_prints_the_lines_as_they_are(run: Run, log: Path, written: list[Event]) -> None:
    expected = [FORMATS["flat"](event) for event in written if event["status"] == 500]

    assert run("grep", "status >= 500", log) == (0, "".join(f"{line}\n" for line in expected), "")
    assert run("grep", "status >= 500", log, "--count")[1] == f"{len(expected)}\n"
    assert run("grep", "status >= 500", log, "--method", "DELETE") == (1, "", "")


def test_request_prints_every_line_of_one_request(run: Run, log: Path, written: list[Event], tmp_path: Path) -> None:
    event = written[5]
    other = FORMATS["flat"](
        {"timestamp": "2026-11-02T10:00:04Z", "level": "info", "message": "Paid", "request_id": event["request_id"]}
    )
    second = write(tmp_path / "other.log", [other])

    assert run("request", event["request_id"], log, second)[1] == f"{other}\n{FORMATS['flat'](event)}\n"
    assert run("request", "nobody's", log) == (1, "", 'obs-middleware: no line of request "nobody\'s"\n')


# diff, check


def test_diff_tells_a_real_change_from_chance(run: Run, log: Path, tmp_path: Path) -> None:
    """The same distribution, drawn again, is chance; the checkout made a half slower is not."""
    again = events(3_000, seed=5)
    slower = [
        event | ({"duration_seconds": event["duration_seconds"] * 1.5} if event["route"] == "checkout/" else {})
        for event in events(3_000, seed=6)
    ]
    paths = [
        write(tmp_path / f"{name}.log", [FORMATS["flat"](event) for event in side])
        for name, side in (("before", again), ("after", slower))
    ]

    data = json.loads(run("diff", *paths, "--by", "route", "--format", "json")[1])

    real = {(one["keys"][0], one["figure"]) for one in data["changes"] if one["real"]}
    assert {("checkout/", "p50"), ("checkout/", "p95")} <= real
    assert {route for route, _ in real} == {"checkout/"}
    assert (data["confidence"], data["draws"]) == (0.99, 2000)
    shown = run("diff", *paths)[1]
    assert re.search(r"POST +checkout/ +p50 .* slower", shown)


def test_diff_says_when_there_is_too_little(run: Run, log: Path, tmp_path: Path, written: list[Event]) -> None:
    few = write(tmp_path / "few.log", [FORMATS["ecs"](event) for event in written[:10]])

    data = json.loads(run("diff", log, few, "--format", "json")[1])

    assert {one["real"] for one in data["changes"]} == {None}


def test_diff_is_the_same_every_time(run: Run, log: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "b.log", [FORMATS["gcp"](event) for event in events(300, seed=4)])

    assert run("diff", log, other, "--format", "csv") == run("diff", log, other, "--format", "csv")


@pytest.mark.parametrize(
    ("limits", "code", "word"),
    [
        (["--p95", "60s", "--errors", "50%"], 0, "all limits are kept"),
        (["--p95", "1ms"], 1, "broken: p95"),
        (["--errors", "0.1%"], 1, "broken: errors"),
        (["--p50", "60s", "--max", "1ms"], 1, "broken: max"),
    ],
)
def test_check_answers_with_its_exit_code(limits: list[str], code: int, word: str, run: Run, log: Path) -> None:
    found, out, _ = run("check", log, *limits)

    assert found == code
    assert out.startswith(word)
    for form in ("json", "csv", "markdown"):
        assert run("check", log, *limits, "--format", form)[0] == code


def test_check_looks_at_what_the_filters_leave(run: Run, log: Path) -> None:
    assert run("check", log, "--route", "checkout/", "--p50", "50ms")[0] == 1
    assert run("check", log, "--route", "", "--p50", "50ms")[0] == 0


@pytest.mark.parametrize(
    "arguments", [[], ["--errors", "many"], ["--errors", "5"], ["--p95", "x"], ["--p95", "1s", "--least", "301"]]
)
def test_check_without_an_answer_is_neither_good_nor_broken(arguments: list[str], run: Run, log: Path) -> None:
    code, out, err = run("check", log, *arguments)

    assert (code, out) == (2, "")
    assert err


def test_check_does_not_take_unknown_errors_for_none(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written])

    assert run("check", log, "--errors", "1%")[0] == 2
    assert run("check", log, "--p95", "60s")[0] == 0


# report


def test_report_writes_the_page(run: Run, log: Path, tmp_path: Path, written: list[Event]) -> None:
    path = tmp_path / "report.html"

    assert run("report", log, "-o", path, "--status", "2xx,5xx") == (0, "", f"{path} written\n")

    page = path.read_text()
    assert "<title>" in page
    assert "checkout/" in page
    assert "--status 2xx,5xx" in page
    slowest = max(written, key=lambda event: event["duration_seconds"])
    assert slowest["request_id"] in page
    assert run("report", log)[1].lower().startswith("<!doctype html>")


def test_requests_at_once_are_no_rate_of_thousands(run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event | {"timestamp": written[0]["timestamp"]}) for event in written[:30]]

    page = run("report", write(tmp_path / "a.log", lines))[1]

    rates = [float(number.replace(",", "")) for number in re.findall(r"([\d,.]+)\s/s", page)]
    assert rates
    assert max(rates) <= 50


def test_a_page_that_cannot_be_written_is_a_message(run: Run, log: Path, tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.html"

    assert run("report", log, "-o", path) == (2, "", f"obs-middleware: {path}: No such file or directory\n")


# Terminals and pipes

NASTY = "/\x1b[31mred\x1b]0;title\x07\u202e\n[bold]x[/bold]"


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
@pytest.mark.parametrize("name", ["stats", "slow"])
def test_control_characters_of_a_log_are_inert(name: str, form: str, run: Run, tmp_path: Path) -> None:
    lines = [FORMATS["flat"](event | {"path": NASTY, "route": NASTY, "tenant": NASTY}) for event in events(25)]
    log = write(tmp_path / "a.log", lines)

    out = run(name, log, "--format", form, *(["--by", "route,tenant"] if name == "stats" else []))[1]

    assert all(c.isprintable() or c == "\n" for c in out)
    assert "\\x1b" in out
    assert "bold" in out


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(5_000)])
    with subprocess.Popen(
        [*COMMAND, "grep", "status > 0", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE) == 141


@pytest.mark.parametrize("name", ["stats", "slow", "grep", "report", "elastic-template"])
def test_a_full_disk_is_a_message(name: str, log: Path) -> None:
    arguments = {"grep": ["status > 0", str(log)], "elastic-template": []}.get(name, [str(log)])
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, name, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE
        )

    assert (result.returncode, result.stderr) == (2, "obs-middleware: No space left on device\n")


@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_a_closed_stream_does_no_harm(closed: str, log: Path) -> None:
    command = f'exec "$@" {closed}>&-'
    result = subprocess.run(
        ["/bin/sh", "-c", command, "sh", *COMMAND, "stats", str(log)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_a_closed_input_is_an_empty_one() -> None:
    result = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "stats"], capture_output=True, text=True, check=False
    )

    assert result.stderr == "obs-middleware: standard input: no request line among 0 lines\n"
    assert result.returncode == 2


def test_output_is_utf_8_whatever_the_locale(log: Path, run: Run) -> None:
    result = subprocess.run(
        [*COMMAND, "stats", str(log)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )

    assert result.stdout.decode() == run(log)[1]


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


def on_a_terminal(*arguments: str | Path, **environment: str) -> str:
    """Return what the command writes to a terminal."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**kept, "TERM": "xterm", "COLUMNS": "120", **environment},
    ) as process:
        os.close(theirs)
        found = b""
        try:
            while piece := os.read(ours, 65_536):
                found += piece
        except OSError:  # how a terminal tells its end
            pass
        os.close(ours)
        process.wait(DEADLINE)
    return found.decode()


def test_there_is_colour_only_on_a_terminal(log: Path, run: Run) -> None:
    assert "\x1b[" in on_a_terminal(log)
    assert "\x1b[3" not in on_a_terminal(log, NO_COLOR="1")
    assert "\x1b" not in run(log)[1]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_a_narrow_terminal_cuts_no_number(width: int, log: Path, run: Run) -> None:
    """What does not fit is left out as a whole, and said; what stays is what the wide table has."""
    names = ["method", "route", "requests", "errors", "time", "share", "p50", "p90", "p95", "p99", "max", "n"]
    shown = on_a_terminal(log, COLUMNS=str(width), NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    table = list(csv.DictReader(io.StringIO(run(log, "--format", "csv")[1])))
    wide = [re.split(r" {2,}", line.strip()) for line in run(log)[1].splitlines()]
    rows = {tuple(row[:2]): dict(zip(names, row, strict=True)) for row in wide if len(row) == len(names)}

    left_out = re.search(r"too narrow for: (.*?)(?:\x1b|\r)", shown)
    spared = left_out[1].split(", ") if left_out else []
    kept = [name for name in names if name not in spared]
    narrow = [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]
    found = [dict(zip(kept, row, strict=True)) for row in narrow if len(row) == len(kept) and row[0] in {"GET", "POST"}]

    assert (not spared) == (width >= 120)
    assert len(found) == len(table)
    for row in found:
        full = next(full for full in rows.values() if full["requests"] == row["requests"])
        assert {name: row[name] for name in kept if name != "route"} == {
            name: full[name] for name in kept if name != "route"
        }


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_standard_error_and_only_on_a_terminal(terminal: bool, log: Path, run: Run) -> None:
    """Without the patience that spares short work the bar; what is asked for comes out as ever."""
    ours, theirs = pty.openpty()
    script = (
        "import sys; from obs_middleware.__main__ import main; from obs_middleware.read.commands import _common as cli;"
        " cli._PATIENCE_SECONDS = 0; sys.exit(main(sys.argv[1:]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "stats", str(log)],
        stdout=subprocess.PIPE,
        stderr=theirs if terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        check=True,
        timeout=DEADLINE,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # how a terminal tells its end
        pass
    os.close(ours)

    assert result.stdout.decode() == run(log)[1]
    if terminal:
        assert b"Reading" in shown
        assert b"%" in shown
        assert shown.endswith(b"\x1b[2K")  # the bar has wiped itself away
    else:
        assert (result.stderr, shown) == (b"", b"")


def test_control_characters_are_inert_on_a_terminal_also_in_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(BARE["root logger"](events(1)[0]).replace("INFO", "INFO\x1b]0;title\x07") + "\n")

    assert "\x1b]0" not in on_a_terminal("grep", "duration_seconds >= 0", log)


def test_nothing_typed_and_nothing_piped_in_is_help() -> None:
    assert "usage: obs-middleware" in on_a_terminal()
    assert "name a log file, or pipe one in" in on_a_terminal("stats")


@pytest.mark.parametrize(
    ("text", "expected"), [("Query interrupted", KeyboardInterrupt), ("anything else", RuntimeError)]
)
def test_what_the_engine_makes_of_an_interrupt_is_one_again(text: str, expected: type[BaseException]) -> None:
    def interrupted(arguments: argparse.Namespace, session: cli.Session) -> int:
        raise RuntimeError(text)

    parser = argparse.ArgumentParser()
    cli.add_files(parser)

    with pytest.raises(expected):
        cli.answered(parser.parse_args([]), interrupted)


# tail


class Tail:
    """A running ``obs-middleware tail`` and what it has written so far."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "tail", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.text = ""

    def wait_for(self, word: str) -> str:
        deadline = time.monotonic() + DEADLINE
        assert self.process.stdout is not None
        while word not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, self.text
            if select.select([self.process.stdout], [], [], left)[0]:
                piece = os.read(self.process.stdout.fileno(), 65_536)
                assert piece, self.text
                self.text += piece.decode()
        return self.text


@pytest.fixture(name="tail")
def _tail() -> Iterator[Callable[..., Tail]]:
    started: list[Tail] = []

    def start(*arguments: str | Path) -> Tail:
        started.append(Tail(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.send_signal(signal.SIGINT)  # so that it tidies up
        one.process.wait(DEADLINE)
        assert one.process.stdout is not None
        one.process.stdout.close()


def test_tail_follows_a_log_across_rotation(tail: Callable[..., Tail], tmp_path: Path) -> None:
    written = events(40)
    log = write(tmp_path / "shop.log", [FORMATS["flat"](event) for event in written[:20]])
    following = tail("-F", log, "-n", "2", "--every", "100ms")
    shown = following.wait_for(written[19]["request_id"])
    assert written[18]["request_id"] in shown
    assert written[17]["request_id"] not in shown

    with log.open("a") as file:
        file.write(FORMATS["ecs"](written[20])[:50])
        file.flush()
        file.write(FORMATS["ecs"](written[20])[50:] + "\nValueError: \x1b[31mno\n")
    following.wait_for(written[20]["request_id"])
    assert "ValueError: \\x1b[31mno" in following.wait_for("ValueError")

    log.rename(tmp_path / "shop.log.1")
    write(log, [FORMATS["flat"](written[21])])
    following.wait_for(written[21]["request_id"])

    with log.open("r+") as file:  # copytruncate
        file.truncate()
        file.write("x\n")
    following.wait_for("\nx\n")
    with log.open("a") as file:
        file.write(FORMATS["logfmt"](written[22]) + "\n")
    following.wait_for(written[22]["request_id"])
    assert re.search(r"-- last \d+ s: \d+ requests .* p95 ", following.wait_for("-- last"))


def test_tail_shows_what_the_filters_let_pass(tail: Callable[..., Tail], tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "shop.log", ["Traceback", *(FORMATS["flat"](event) for event in written)])
    following = tail(log, "-n", "1000", "--status", "5xx", "--every", "100ms")

    shown = following.wait_for("-- last")

    failed = [event["request_id"] for event in written if event["status"] == 500]
    assert [line.split()[-1] for line in shown.splitlines() if not line.startswith("--")] == failed


def test_tail_of_a_pipe_ends_with_it(written: list[Event]) -> None:
    text = "".join(f"{FORMATS['flat'](event)}\n" for event in written)
    result = subprocess.run(
        [*COMMAND, "tail"], input=text, capture_output=True, text=True, check=True, timeout=DEADLINE
    )

    *lines, summary = result.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [event["request_id"] for event in written]
    assert "300 requests" in summary


def test_tail_ends_with_a_summary_when_interrupted(tail: Callable[..., Tail], log: Path) -> None:
    following = tail(log, "--every", "1h")
    following.wait_for("GET")
    following.process.send_signal(signal.SIGINT)

    following.wait_for("-- last")
    assert following.process.wait(DEADLINE) == 130


@pytest.mark.parametrize("arguments", [["-n", "-1"], ["--every", "often"], ["-n", "few"]])
def test_tail_refuses_what_makes_no_sense(arguments: list[str], run: Run, log: Path) -> None:
    assert run("tail", log, *arguments)[0] == 2
