"""The questions to the requests of files, with exact answers."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from loglines import FORMATS, events
from tables import Read, quantile, write

from obs_middleware.read.files.requests import FileRequests


def test_a_sample_rate_weighs_counts_and_says_so(read: Read, tmp_path: Path) -> None:
    kept = [event | {"sample_rate": 0.1} for event in events(30)]
    log = read(write(tmp_path / "a.log", [FORMATS["ecs"](event) for event in [*kept, *events(7, seed=2)]]))

    found = FileRequests(log).overview()
    assert (found.requests, found.durations.n, found.estimated) == (307, 37, True)
    assert sum(row.requests for row in FileRequests(log).groups(("view",)).rows) == pytest.approx(307, abs=2)


@pytest.mark.parametrize(
    ("status", "outcome", "failed"),
    [
        (200, "error", 1),
        (200, "stream_error", 1),
        (200, "lost", 1),
        (500, "ok", 1),
        (499, "cancelled", 0),
        (200, "aborted", 0),
        (404, "ok", 0),
    ],
)
def test_a_failure_is_a_status_from_500_or_one_of_three_outcomes(
    status: int, outcome: str, failed: int, read: Read, tmp_path: Path
) -> None:
    line = {"level": "info", "message": "Request took 0.1000 seconds", "duration_seconds": 0.1}
    log = read(write(tmp_path / "log", [json.dumps({**line, "status": status, "outcome": outcome})]))
    assert FileRequests(log).overview().errors == failed


def test_groups_beyond_the_limit_are_one_row_with_exact_quantiles(read: Read, tmp_path: Path) -> None:
    written = events(300)
    log = read(write(tmp_path / "a.log", [FORMATS["flat"](event) for event in written]))

    found = FileRequests(log).groups(("user_id",), 3)

    assert (len(found.rows), found.total) == (3, 7)
    best = {row.keys[0] for row in found.rows}
    rest = [event["duration_seconds"] for event in written if event["user_id"] not in best]
    assert found.rest is not None
    assert found.rest.requests == len(rest)
    assert found.rest.durations.p99 == pytest.approx(quantile(rest, 0.99))


def test_the_course_has_every_slice_also_an_empty_one(read: Read, tmp_path: Path) -> None:
    written = [event for n, event in enumerate(events(300)) if not 60 <= n < 180]
    log = read(write(tmp_path / "a.log", [FORMATS["flat"](event) for event in written]))

    slices = FileRequests(log).course(60)

    assert [one.requests for one in slices] == [60, 0, 0, 60, 60]
    assert [one.durations.p95 is None for one in slices] == [False, True, True, False, False]
    first = [event["duration_seconds"] for event in written[:60]]
    assert slices[0].durations.p95 == pytest.approx(quantile(first, 0.95))
    assert all(one.end - one.start == dt.timedelta(minutes=1) for one in slices)


@pytest.mark.parametrize("odd", ["1970-01-01T00:00:03", "2099-12-31T23:59:59", "2026-09-30T10:00:00"])
def test_a_few_lines_of_another_age_are_not_in_the_span(odd: str, read: Read, tmp_path: Path) -> None:
    written = events(300)
    strange = events(301)[-1] | {"timestamp": f"{odd}.000000Z"}
    found = FileRequests(read(write(tmp_path / "a.log", [FORMATS["flat"](one) for one in (strange, *written)])))

    overview, plain = (
        found.overview(),
        FileRequests(read(write(tmp_path / "b.log", [FORMATS["flat"](one) for one in written]), table="b")).overview(),
    )

    assert (overview.first, overview.last) == (plain.first, plain.last)
    assert (overview.requests, overview.odd) == (301, 1)
    assert overview.odd_times == (dt.datetime.fromisoformat(f"{odd}+00:00"),)
    assert sum(one.requests for one in found.course(10)) == 300
    heat_map = found.heat_map(10)
    assert heat_map is not None
    assert len(heat_map.times) < 100


def test_a_gap_and_an_old_part_of_a_log_are_not_odd(read: Read, tmp_path: Path) -> None:
    old = [event | {"timestamp": event["timestamp"].replace("2026-", "2025-")} for event in events(300)]
    new = [event | {"event_id": f"new-{event['event_id']}"} for event in events(300)]

    found = FileRequests(read(write(tmp_path / "a.log", [FORMATS["flat"](one) for one in old + new]))).overview()

    assert (found.odd, found.first and found.first.year) == (0, 2025)
