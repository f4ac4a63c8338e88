"""`obs-middleware pretty`: a log for people."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
from console import COMMAND, DEADLINE, Run, on_a_terminal, write
from loglines import FORMATS, Event

from obs_middleware.logs.line.render import render_row

TRACE = 'Traceback (most recent call last):\n  File "shop/views.py", line 7, in pay\nValueError: \x1b[31mno\n'
FAILED = {
    "timestamp": "2026-11-02T23:30:00.250000Z",
    "level": "error",
    "logger": "root",
    "message": "Request took 0.0250 seconds",
    "request_id": "0a1b",
    "method": "POST",
    "path": "/pay/",
    "status": 500,
    "outcome": "error",
    "duration_seconds": 0.025,
    "error_type": "ValueError",
    "stack_trace": TRACE,
    "cart_id": "C-1042",
}
ROW = "POST    /pay/                            500  25.0 ms  ValueError cart_id=C-1042  0a1b"
SHOWN = f"""\
2026-11-02 23:30:00.250 {ROW}
  Traceback (most recent call last):
    File "shop/views.py", line 7, in pay
  ValueError: \\x1b[31mno
"""


def piped(data: bytes, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, "pretty", *arguments], input=data, capture_output=True, timeout=DEADLINE, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode()


def test_a_failed_request_is_shown_with_its_traceback(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [json.dumps(FAILED)])

    assert run("pretty", log) == (0, SHOWN, "")


def test_other_lines_are_shown_in_their_place(run: Run, tmp_path: Path) -> None:
    said = {"timestamp": "2026-11-02T23:29:59Z", "level": "warning", "logger": "shop", "message": "slow\nbank"}
    log = write(tmp_path / "a.log", ["Booting \x07", json.dumps(said), json.dumps(FAILED), "bye"])

    assert run("pretty", log) == (
        0,
        f"Booting \\x07\n2026-11-02 23:29:59.000 warning shop  slow\\nbank\n{SHOWN}bye\n",
        "",
    )


@pytest.mark.parametrize("form", ["flat", "ecs", "otel", "datadog", "gcp", "logfmt"])
def test_every_format_is_shown(form: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "a.log", [FORMATS[form](event) for event in written])

    shown = run("pretty", log)[1].splitlines()

    assert [line.split()[-1] for line in shown] == [event["request_id"][:8] for event in written]
    assert [f" {event['db_queries']} sql " in line for event, line in zip(written, shown, strict=True)].count(
        False
    ) == 0
    assert [f" tenant={event['tenant']} " in line for event, line in zip(written, shown, strict=True)].count(False) == 0


@pytest.mark.parametrize("form", ["flat", "ecs", "otel", "datadog", "gcp", "logfmt"])
def test_every_format_is_shown_with_its_traceback(form: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    event = written[0] | {"stack_trace": "Traceback:\n  one\n\ttwo"}
    log = write(tmp_path / "a.log", [FORMATS[form](event)])

    assert run("pretty", log)[1].splitlines()[1:] == ["  Traceback:", "    one", "  \\ttwo"]


def test_filters_hide_lines_of_other_programs(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "a.log", ["Booting", *(FORMATS["flat"](event) for event in written)])

    shown = run("pretty", log, "--status", "5xx")[1].splitlines()

    failed = [event["request_id"][:8] for event in written if event["status"] == 500]
    assert [line.split()[-1] for line in shown] == failed


@pytest.mark.parametrize(
    ("zone", "time"),
    [
        ("Europe/Amsterdam", "2026-11-03 00:30:00.250"),
        ("+05:30", "2026-11-03 05:00:00.250"),
        ("UTC", "2026-11-02 23:30:00.250"),
    ],
)
def test_times_are_in_the_chosen_zone(zone: str, time: str, run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [json.dumps(FAILED)])

    assert run("pretty", log, f"--tz={zone}")[1].startswith(f"{time} {ROW}")


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday", None])
@pytest.mark.parametrize("zone", ["-12:00", "+12:00", "local"])
def test_a_time_at_the_end_of_the_calendar_is_shown(when: str | None, zone: str, run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [json.dumps(FAILED | {"timestamp": when})])

    assert ROW in run("pretty", log, f"--tz={zone}")[1]


def test_a_pipe_is_shown_as_it_comes() -> None:
    line = json.dumps(FAILED).encode() + b"\n"
    with subprocess.Popen([*COMMAND, "pretty"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):  # the second only after the first was shown
            process.stdin.write(line)
            process.stdin.flush()
            shown = b""
            while len(shown) < len(SHOWN):
                piece = os.read(process.stdout.fileno(), 65_536)
                assert piece
                shown += piece
            assert shown.decode() == SHOWN
        process.stdin.write(line.rstrip())
        process.stdin.close()
        assert process.stdout.read().decode() == SHOWN
        assert process.wait(DEADLINE) == 0


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_an_archive_may_be_piped(arguments: list[str]) -> None:
    assert piped(gzip.compress(json.dumps(FAILED).encode()), *arguments) == SHOWN


def test_an_export_may_be_piped() -> None:
    assert piped(json.dumps([FAILED, FAILED], indent=2).encode()) == SHOWN * 2


def test_a_line_in_a_wrapper_is_shown() -> None:
    record = {"MESSAGE": json.dumps(FAILED), "__REALTIME_TIMESTAMP": "1793661000250000", "_BOOT_ID": "1"}

    assert piped(json.dumps(record).encode()) == SHOWN


def test_a_damaged_file_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [json.dumps(FAILED)])
    damaged = tmp_path / "b.log.gz"
    damaged.write_bytes(b"\x1f\x8bno")

    code, shown, said = run("pretty", log, damaged)

    assert (code, shown) == (3, SHOWN)
    assert str(damaged) in said


def test_nothing_is_shown_of_nothing() -> None:
    assert piped(b"") == ""


def test_files_come_one_after_the_other(run: Run, tmp_path: Path, written: list[Event]) -> None:
    first = write(tmp_path / "a.log", [FORMATS["flat"](event) for event in written[100:]])
    second = tmp_path / "b.log.gz"
    second.write_bytes(gzip.compress(FORMATS["ecs"](written[0]).encode()))

    shown = run("pretty", first, second)[1].splitlines()

    assert [line.split()[-1] for line in shown] == [event["request_id"][:8] for event in [*written[100:], written[0]]]


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [json.dumps(FAILED)])

    assert "\x1b[1;31m500" in on_a_terminal("pretty", log)
    assert "\x1b[91mValueError" in on_a_terminal("pretty", log)
    assert "31m" not in on_a_terminal("pretty", log, NO_COLOR="1").replace(r"\x1b[31mno", "")


def test_a_pipe_gets_colours_if_they_are_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert "\x1b[1;31m500" in piped(json.dumps(FAILED).encode())


def test_a_row_is_the_same_as_in_the_format_console(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    event = {**FAILED, "kind": "task", "task": "shop.send", "outcome": "retry", "attempt": 2, "payment_seconds": 0.05}
    log = write(tmp_path / "a.log", [json.dumps(event), FORMATS["ecs"](event)])

    rows = [line.partition(".250 ")[2] for line in run("pretty", log)[1].splitlines() if ".250 " in line]

    formatted = render_row(event, None, colours=False).splitlines()[0]
    assert [one.split() for one in rows] == [formatted.split()[1:]] * 2


@pytest.mark.parametrize("command", [["pretty"], ["tail", "-n", "100000"]])
def test_a_reader_that_leaves_ends_it_silently(command: list[str], tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [json.dumps(FAILED)] * 3_000)
    with subprocess.Popen([*COMMAND, *command, log], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE) == 141


def test_without_a_log_there_is_a_message(tmp_path: Path, run: Run) -> None:
    assert "no log file: name one, or pipe one in" in on_a_terminal("pretty")
    assert run("pretty", tmp_path / "none.log")[0] == 2
