"""`obs-middleware request`: every line of one request."""

from __future__ import annotations

from pathlib import Path

from console import Run, write
from loglines import FORMATS, Event


def test_request_prints_every_line_of_one_request(run: Run, log: Path, written: list[Event], tmp_path: Path) -> None:
    event = written[5]
    other = FORMATS["flat"](
        {"timestamp": "2026-11-02T10:00:04Z", "level": "info", "message": "Paid", "request_id": event["request_id"]}
    )
    second = write(tmp_path / "other.log", [other])

    assert run("request", event["request_id"], log, second)[1] == f"{other}\n{FORMATS['flat'](event)}\n"
    assert run("request", "nobody's", log) == (1, "", 'obs-middleware: no line has the request id "nobody\'s"\n')
