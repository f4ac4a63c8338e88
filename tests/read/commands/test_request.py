"""`obs-middleware request`: every line of one request."""

from __future__ import annotations

from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event, events


def test_request_prints_every_line_of_one_request(run: Run, log: Path, written: list[Event], tmp_path: Path) -> None:
    event = written[5]
    other = FORMATS["flat"](
        {"timestamp": "2026-11-02T10:00:04Z", "level": "info", "message": "Paid", "request_id": event["request_id"]}
    )
    second = write(tmp_path / "other.log", [other])

    assert (
        run("request", event["request_id"], log, second, "--format", "lines")[1]
        == f"{other}\n{FORMATS['flat'](event)}\n"
    )
    message = 'obs-middleware: no line has the request id or task id "nobody\'s"\n'
    assert run("request", "nobody's", log) == (1, "", message)


def one(number: int, request_id: str) -> str:
    return FORMATS["flat"]({**events(1)[0], "event_id": f"e-{number}", "request_id": request_id})


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("5d6eae86", [0, 3]),
        ("5d6e", [0, 3]),
        ("5d6", []),  # too short for a prefix
        ("r-1", [1]),  # a whole id may be short
        ("r-17", [2]),  # and the prefix of another
        ("6eae867e", []),
        ("r-1.", []),  # no regular expression
    ],
)
def test_request_takes_the_start_of_an_id(wanted: str, rows: list[int], run: Run, tmp_path: Path) -> None:
    lines = [one(n, name) for n, name in enumerate(("5d6eae867e41", "r-1", "r-17", "5d6eae867e41", "r-17-x"))]
    log = write(tmp_path / "a.log", lines)

    code, out, _ = run("request", wanted, log, "--format", "lines")

    assert (code, out.splitlines()) == (0 if rows else 1, [lines[row] for row in rows])


def test_the_start_of_several_ids_is_an_error_that_names_them(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [one(n, f"abcd-{n}") for n in range(7)])

    message = (
        "obs-middleware: 7 ids begin with 'abcd-': abcd-0, abcd-1, abcd-2, abcd-3, abcd-4 and 2 more; "
        "give more characters\n"
    )
    assert run("request", "abcd-", log) == (2, "", message)
