"""The lines and notes about all requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from console import Run, write
from loglines import BARE, FORMATS, Event


def test_notes_name_what_bare_lines_do_not_have(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written[:19]])

    shown = run(log)[1]

    assert "errors unknown" in shown
    assert "no status, so errors are unknown" in shown
    assert "no line has method or route" in shown
    assert "fewer than 20" in shown
    data = json.loads(run(log, "--format", "json")[1])
    assert (data["overview"]["errors"], data["overview"]["first"]) == (None, None)


def test_a_note_explains_sample_rates(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event | {"sample_rate": 0.5}) for event in written])

    shown = run(log)[1]

    assert shown.startswith("600 requests")
    assert "1 / sample_rate" in shown


@pytest.mark.parametrize("name", ["stats", "time"])
def test_one_thing_is_in_the_singular(name: str, run: Run, tmp_path: Path, written: list[Event]) -> None:
    failed = FORMATS["flat"](written[0] | {"status": 500, "outcome": "error"})
    other = FORMATS["flat"]({"timestamp": "2026-11-02T10:00:04Z", "level": "info", "message": "Paid"})

    shown = run(name, write(tmp_path / "a.log", [failed]))[1]

    assert "1 request  1 error (100%)  " in shown
    assert "1 line read: 1 request line\n" in shown
    shown = run(name, write(tmp_path / "b.log", [failed, other]))[1]
    assert "2 lines read: 1 request line, 1 other log line\n" in shown
