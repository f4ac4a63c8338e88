"""The lines and notes about all requests."""

from __future__ import annotations

import json
from pathlib import Path

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
