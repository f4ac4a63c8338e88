"""`obs-middleware time`: the course over time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from console import Run, write
from loglines import BARE, Event


def test_time_shows_the_course(run: Run, log: Path) -> None:
    data = json.loads(run("time", log, "--every", "1m", "--format", "json")[1])
    shown = run("time", log, "--every", "1m")[1]

    assert [one["requests"] for one in data["slices"]] == [60] * 5
    assert re.search(r"^requests \|█████\|$", shown, re.MULTILINE)
    assert data["every_seconds"] == 60


def test_time_chooses_a_sensible_step(run: Run, log: Path) -> None:
    assert json.loads(run("time", log, "--format", "json")[1])["every_seconds"] == 10


@pytest.mark.parametrize(
    ("every", "message"),
    [("1us", "from 1ms"), ("1ms", "the limit is 100,000"), ("soon", "invalid --every"), ("10", "10s")],
)
def test_an_invalid_step_gives_a_message(every: str, message: str, run: Run, log: Path) -> None:
    code, _, err = run("time", log, "--every", every)

    assert code == 2
    assert message in err


def test_time_needs_timestamps(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written])

    assert run("time", log)[2] == f"obs-middleware: {log}: no line has a timestamp, so there is no course over time\n"
