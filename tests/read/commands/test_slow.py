"""`obs-middleware slow`: the slowest requests."""

from __future__ import annotations

import json
from pathlib import Path

from console import Run
from loglines import Event


def test_slow_shows_the_slowest_with_their_ids(run: Run, log: Path, written: list[Event]) -> None:
    expected = sorted(written, key=lambda event: -event["duration_seconds"])[:4]

    data = json.loads(run("slow", log, "--limit", "4", "--format", "json")[1])
    shown = run("slow", log, "--limit", "4")[1]

    assert [one["request_id"] for one in data["slowest"]] == [event["request_id"] for event in expected]
    assert [one["duration_seconds"] for one in data["slowest"]] == [event["duration_seconds"] for event in expected]
    assert all(event["request_id"] in shown for event in expected)


def test_slow_shows_all_requests_with_a_limit_of_0(run: Run, log: Path, written: list[Event]) -> None:
    data = json.loads(run("slow", log, "--limit", "0", "--format", "json")[1])

    assert len(data["slowest"]) == len(written)
