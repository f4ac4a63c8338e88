"""`obs-middleware diff`: two logs compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event, events


def test_diff_tells_a_real_change_from_chance(run: Run, log: Path, tmp_path: Path) -> None:
    """A second sample of the same distribution is chance; a checkout that is 50 % slower is real."""
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
    # Known figures: a change of the comparison must be intended.
    pinned = {
        "p50": (779, 744, 0.193511, 0.29657625, 0.076881, 0.1320855),
        "p95": (779, 744, 0.6805992, 0.893121525, 0.113187, 0.387056),
        "p99": (779, 744, 0.98805006, 1.450113075, 0.117511, 0.7773965),
    }
    for change in data["changes"][:3]:
        names = ("n_before", "n_after", "before_seconds", "after_seconds", "low_seconds", "high_seconds")
        assert change["keys"] == ["checkout/"]
        assert tuple(change[name] for name in names) == pytest.approx(pinned[change["figure"]], rel=1e-12)
    shown = run("diff", *paths)[1]
    assert re.search(r"POST +checkout/ +p50 .* slower", shown)


def test_diff_has_no_verdict_on_few_requests(run: Run, log: Path, tmp_path: Path, written: list[Event]) -> None:
    few = write(tmp_path / "few.log", [FORMATS["ecs"](event) for event in written[:10]])

    data = json.loads(run("diff", log, few, "--format", "json")[1])

    assert {one["real"] for one in data["changes"]} == {None}


def test_diff_is_the_same_every_time(run: Run, log: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "b.log", [FORMATS["gcp"](event) for event in events(300, seed=4)])

    assert run("diff", log, other, "--format", "csv") == run("diff", log, other, "--format", "csv")
