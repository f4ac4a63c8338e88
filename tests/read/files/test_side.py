"""The requests of files as one side of a comparison, compared with plain Python."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from loglines import FORMATS, START, events
from tables import Read, write

from obs_middleware.read.files.side import FileSide

BY = ("method", "route")


@pytest.fixture(name="side")
def _side(read: Read, tmp_path: Path) -> FileSide:
    return FileSide(read(write(tmp_path / "a.log", [FORMATS["flat"](event) for event in events(500)])))


def of(route: str | None) -> list[float]:
    return [event["duration_seconds"] for event in events(500) if event["route"] == route]


def test_each_group_has_its_durations_at_its_ranks(side: FileSide) -> None:
    """Also the group of requests without a route."""
    groups = side.ranking(BY)
    ranks = {group: [1, number + 2, group.n] for number, group in enumerate(groups.values())}

    found = side.durations_at(BY, ranks)

    assert {route for _, route in found} == {"checkout/", "orders/<int:pk>/", "", None}
    for group, wanted in ranks.items():
        ordered = sorted(of(group.keys[1]))
        assert group.n == len(ordered)
        assert found[group.keys] == {rank: ordered[rank - 1] for rank in wanted}


def test_only_wanted_groups_are_answered(side: FileSide) -> None:
    one, *_ = side.ranking(BY).values()

    assert [*side.figures(BY, [one])] == [*side.durations_at(BY, {one: [1]})] == [one.keys]
    assert [*side.slices(BY, {one: 0.0}, dt.timedelta(seconds=1))] == [one.keys]
    assert side.durations_at(BY, {}) == {}


def test_slices_count_requests_and_those_above_the_median(side: FileSide) -> None:
    groups = side.ranking(BY)
    every = dt.timedelta(seconds=60)
    median = 0.05

    found = side.slices(BY, dict.fromkeys(groups.values(), median), every)

    for keys, slices in found.items():
        for number, one in slices.items():
            here = [
                event["duration_seconds"]
                for second, event in enumerate(events(500))
                if event["route"] == keys[1] and second // 60 == number
            ]
            assert (one.requests, one.n, one.above) == (len(here), len(here), sum(took > median for took in here))
    assert sum(one.n for slices in found.values() for one in slices.values()) == 500


def test_the_span_is_that_of_the_times(side: FileSide, read: Read, tmp_path: Path) -> None:
    line = json.dumps({"level": "info", "message": "Request took 0.1000 seconds", "duration_seconds": 0.1})

    assert side.span() == (START, START + dt.timedelta(seconds=499))
    assert FileSide(read(write(tmp_path / "b.log", [line]), table="b")).span() is None
