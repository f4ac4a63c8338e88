"""`obs-middleware why`: every planted fault is found, with its place in the code, and nothing is claimed beyond it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
from console import Run, write
from faults import BLOCKED, CAUGHT, N_PLUS_ONE, faulty
from loglines import BARE, FORMATS, Event, tasks


@pytest.fixture(name="faults")
def _faults(tmp_path: Path) -> Path:
    return write(tmp_path / "faults.log", [FORMATS["flat"](event) for event in faulty()])


def reasons(run: Run, *arguments: str | Path) -> dict[str, Any]:
    """Return the groups by their last key."""
    code, out, err = run("why", *arguments, "--format", "json")
    assert code == 0, err
    return {one["keys"][-1]: one for one in json.loads(out)["groups"]}


def part(reason: Any, name: str) -> Any:
    (found,) = (one for one in reason["parts"] if one["part"] == name)
    return found


def test_each_route_is_explained_by_its_planted_fault(run: Run, faults: Path) -> None:
    shown = run("why", faults)[1]

    for line in (
        f"GET orders/: 100% of the time above p50 is database; 40 of 43 queries are one statement, run at {N_PLUS_ONE}",
        "GET thumbnail/: 100% of the time above p50 is the blocked event loop; the event loop was blocked",
        f"blocked for up to 325 ms at {BLOCKED}",
        f"GET checkout/: 100% of the time above p50 is bank; 40 requests over SLOW_SECONDS were caught at {CAUGHT}",
        "slow requests waited 511 ms before they began",
        "GET plain/: 100% of the time above p50 is in none of the measured parts",
    ):
        assert line in shown.replace("\n", " ").replace("  ", " "), line


def test_routes_that_tell_nothing_share_one_sentence_at_the_end(run: Run, tmp_path: Path, faults: Path) -> None:
    plain = [one for one in faulty(3) if one["route"] == "plain/"]
    few = [one | {"route": f"rare/{number}", "event_id": f"rare-{number}"} for number, one in enumerate(plain)]
    rare = write(tmp_path / "rare.log", [FORMATS["flat"](event) for event in few])

    both, alone = (run("why", *files)[1] for files in ((faults, rare), (rare,)))

    sentence = "no measured part stands out, and no line names a place"
    assert f"3 other routes: {sentence}" in both
    assert f"3 routes: {sentence}" in alone
    findings = both[both.index("In short") :]
    assert "GET rare" not in findings
    assert findings.index("GET checkout/:") < findings.index("GET plain/:") < findings.index(sentence)


@pytest.mark.parametrize("schema", [*FORMATS])
def test_every_schema_gives_the_same_reasons(schema: str, run: Run, tmp_path: Path, faults: Path) -> None:
    other = write(tmp_path / "other.log", [FORMATS[schema](event) for event in faulty()])

    expected, found = reasons(run, faults), reasons(run, other)

    assert [*found] == [*expected]
    for route, reason in expected.items():
        assert found[route]["finding"] == reason["finding"]
        assert found[route]["places"] == reason["places"]


def test_the_parts_are_the_means_of_the_two_bands(run: Run, faults: Path) -> None:
    """The slowest tenth and the middle half of one route, counted in plain Python."""
    lines = [one for one in faulty() if one["route"] == "orders/"]
    took = [one["duration_seconds"] for one in lines]
    cuts = quantiles(took, n=20, method="inclusive")
    low, high, limit = cuts[4], cuts[14], cuts[17]
    slow = [one for one in lines if one["duration_seconds"] >= limit]
    ordinary = [one for one in lines if low <= one["duration_seconds"] <= high]

    found = reasons(run, faults)["orders/"]

    assert (found["slow"]["n"], found["ordinary"]["n"]) == (len(slow), len(ordinary))
    for band, chosen in (("slow", slow), ("ordinary", ordinary)):
        assert found[band]["seconds"] == pytest.approx(sum(one["duration_seconds"] for one in chosen) / len(chosen))
        database = sum(one["db_seconds"] for one in chosen) / len(chosen)
        assert part(found, "database")[f"{band}_seconds"] == pytest.approx(database)
        together = sum(one[f"{band}_seconds"] or 0 for one in found["parts"])
        assert together == pytest.approx(found[band]["seconds"])
    assert sum(one["share"] or 0 for one in found["parts"]) == pytest.approx(1)


def test_the_filters_and_the_limit_choose_the_routes(run: Run, faults: Path) -> None:
    assert [*reasons(run, faults, "--route", "orders/")] == ["orders/"]
    assert [*reasons(run, faults, "--limit", "2")] == ["checkout/", "queued/"]
    assert "3 other routes not shown: --limit 0 shows all" in run("why", faults, "--limit", "2")[1]


def test_csv_has_a_row_for_each_part_of_each_route(run: Run, faults: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("why", faults, "--format", "csv")[1])))

    (row,) = (row for row in rows if (row["route"], row["part"]) == ("orders/", "database"))
    assert float(row["slow_seconds"]) == pytest.approx(0.2, rel=0.1)
    assert float(row["share"]) == pytest.approx(1, abs=0.01)
    assert {row["part"] for row in rows} >= {"duration", "outgoing calls", "bank", "waited before", "the rest"}


def test_missing_fields_are_counted_and_not_guessed(run: Run, tmp_path: Path) -> None:
    half = [
        {name: value for name, value in event.items() if number % 2 or name not in {"db_seconds", "db_queries"}}
        for number, event in enumerate(one for one in faulty() if one["route"] == "orders/")
    ]
    log = write(tmp_path / "half.log", [FORMATS["flat"](event) for event in half])

    found, shown = reasons(run, log)["orders/"], run("why", log)[1]

    assert part(found, "database")["n"] == 0
    assert "20 of 20 slow lines have no db_seconds" not in shown
    assert "no slow line has db_seconds: the database was not measured" in shown
    assert part(found, "the rest")["share"] == pytest.approx(1)


def test_lines_without_fields_are_explained_as_far_as_they_go(run: Run, tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "seed.log", [BARE["seed"](event) for event in written])

    (found,) = reasons(run, log).values()

    assert [one["slow_seconds"] is None for one in found["parts"][:3]] == [True] * 3
    assert part(found, "the rest")["share"] == 1


def test_a_number_that_is_longer_than_the_request_is_no_part_of_it(run: Run, tmp_path: Path) -> None:
    log = write(
        tmp_path / "limit.log",
        [FORMATS["flat"](event | {"timeout_seconds": 30}) for event in faulty() if event["route"] == "orders/"],
    )

    found = reasons(run, log)["orders/"]

    assert "timeout" not in {one["part"] for one in found["parts"]}
    assert "timeout_seconds is longer than the requests, so it is no part of them" in run("why", log)[1]


def test_tasks_are_explained_by_name(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "worker.log", [FORMATS["flat"](event) for event in tasks(300)])

    found = reasons(run, log, "--kind", "task")

    assert set(found) == {"shop.tasks.charge", "shop.tasks.mail"}
    assert found["shop.tasks.mail"]["slow"]["known"]["queue_seconds"] == found["shop.tasks.mail"]["slow"]["n"]


def test_damaged_figures_are_not_counted(run: Run, tmp_path: Path, faults: Path) -> None:
    odd = [
        event | {"event_id": f"odd-{number}", "db_seconds": value, "bank_seconds": value, "blocked_seconds": value}
        for number, (event, value) in enumerate(zip(faulty(5), [-1.0, 1e300, "x", True, None], strict=False))
    ]
    log = write(tmp_path / "odd.log", [*faults.read_text().splitlines(), *map(json.dumps, odd)])

    for route, reason in reasons(run, log).items():
        assert sum(one["slow_seconds"] or 0 for one in reason["parts"]) == pytest.approx(reason["slow"]["seconds"])
        assert [place["place"] for place in reason["places"]["blocked_at"]["rows"]] == (
            [BLOCKED] if route == "thumbnail/" else []
        )
