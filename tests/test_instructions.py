"""The instructions of every promised line are counted. These tests do not judge any count."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import pytest

from benchmarks import instructions, ordinary, saved
from benchmarks.__main__ import main
from benchmarks.instructions import MISSING, count
from benchmarks.peers import PEERS
from benchmarks.processes import workers
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.shares import counts_of
from obs_middleware.logs.schemas import SCHEMAS

GOALS: Final = {
    ("sync chain", "ours"): 1.15,
    ("sync chain", "ours-ecs"): 1.35,
    ("sync chain", "ours-otel"): 1.35,
    ("sync chain", "ours-datadog"): 1.35,
    ("sync chain", "ours-gcp"): 1.35,
    ("sync chain", "ours-processor"): 1.45,
    ("sync chain", "ours-std"): 1.6,
    ("further line", "ours"): 0.88,
    ("line with extra", "ours"): 1.1,
    ("structlog line", "ours"): 1.2,
}
"""What was promised: what writes a line, and how many times the instructions of a text it may take."""


def test_every_promised_line_is_counted() -> None:
    assert {(one.driver, one.row): one.goal for one in SCENARIOS} == GOALS


def test_every_schema_is_counted() -> None:
    """A new schema needs a row and a scenario."""
    assert {"ours", *(f"ours-{name}" for name in SCHEMAS if name != "flat")} <= {one.row for one in SCENARIOS}


def test_the_saved_instructions_are_of_every_line_and_of_every_package() -> None:
    data = saved.load()

    for counted in data["instructions"].values():
        assert all(row in counted["counts"][driver] for one in SCENARIOS for driver, row in one.pairs)
    assert set(PEERS) <= set(counts_of(data)["sync chain"])


@pytest.mark.parametrize(
    ("driver", "row", "fields"),
    [
        ("sync chain", "ours-ecs", {"@timestamp", "log.level"}),
        ("sync chain", "ours-otel", {"severity_text", "attributes"}),
        ("sync chain", "ours-datadog", {"duration"}),
        ("sync chain", "ours-gcp", {"httpRequest"}),
        ("sync chain", "ours-processor", {"route", "db_queries"}),
        ("line with extra", "ours", {"request_id", "order", "currency", "is_gift"}),
        ("structlog line", "ours", {"request_id", "order", "currency", "is_gift"}),
    ],
)
def test_a_counted_line_says_what_its_name_promises(driver: str, row: str, fields: set[str]) -> None:
    with workers([row], driver, "watched", "time") as (worker,):
        line, *_ = worker.ask("lines")

    assert fields <= set(json.loads(line))


def test_the_ordinary_request_has_a_query_and_a_line() -> None:
    with workers(["nothing", "ours"], ordinary.NAME, "watched", "count") as (nothing, ours):
        counted = nothing.ask("count", 3)
        (line,) = ours.ask("lines")

    assert counted["queries"] == 1
    assert json.loads(line)["db_queries"] == 1
    assert json.loads(line)["status"] == 200


def test_a_scenario_compares_what_is_added() -> None:
    counts = {"line": {"ours": 30.0}, "text": {"seed": 25.0}, "idle": {"nothing": 5.0}}

    assert Scenario("a line", "ours", 1.1, "line", "text", "idle").ratio(counts) == 1.25


@pytest.mark.skipif(not instructions.is_available(), reason="valgrind is not installed")
def test_instructions_are_counted() -> None:
    """A line of text takes some ten thousand instructions, and a disabled one nearly none."""
    counted = count([("further line", "seed"), ("further line", "nothing")], "watched")["further line"]

    assert 20_000 < counted["seed"] < 500_000
    assert counted["nothing"] < counted["seed"] / 10


def test_without_valgrind_the_benchmarks_say_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "instructions"])

    main()

    assert MISSING in capsys.readouterr().err.splitlines()


def test_new_instructions_replace_those_of_the_same_row_only() -> None:
    """So the figures of other packages stay, if only ours are counted again."""

    def data(**counts: dict[str, dict[str, float]]) -> dict[str, Any]:
        return {"times": {}, "instructions": {python: {"counts": rows} for python, rows in counts.items()}}

    old = data(old={"chain": {"ours": 2.0, "other": 3.0}, "line": {"ours": 4.0}}, same={"chain": {"ours": 5.0}})
    new = data(old={"chain": {"ours": 1.0}})

    assert saved.merged(old, new) == data(
        old={"chain": {"ours": 1.0, "other": 3.0}, "line": {"ours": 4.0}}, same={"chain": {"ours": 5.0}}
    )


def test_a_whole_run_replaces_all_but_instructions_that_it_did_not_count() -> None:
    counted = {"3.11": {"counts": {"chain": {"ours": 1.0}}}}

    result = saved.merged({"times": {"a": 1}, "instructions": counted}, {"times": {"b": 2}, "instructions": {}})

    assert result == {"times": {"b": 2}, "instructions": counted}
