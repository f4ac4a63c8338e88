"""The alerts for Kibana and OpenSearch: each rings when it should, by the answer of a search engine to its query."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pytest
from shipping.parts import ELK, Engine

from obs_middleware.logs.elastic import component_template

FOLDER: Final = ELK / "alerts"
NOW: Final = 1_793_613_600_000
"""A time in milliseconds, at which the alerts look back."""
MINUTE: Final = 60_000
COMPARED: Final = {"<": operator.lt, ">": operator.gt}


class Alert(NamedTuple):
    """
    What an alert asks, and when it rings.

    Attributes:
        name: What people read.
        query: The query, with its window of time.
        compare: The sign between the number of hits and the limit.
        limit: The limit.
    """

    name: str
    query: dict[str, Any]
    compare: str
    limit: int

    def rings(self, engine: Engine, index: str) -> bool:
        """Whether the alert rings at `NOW`."""
        body = {"size": 0, "track_total_hits": True, "query": self.query}
        return bool(COMPARED[self.compare](engine.search(index, body)["hits"]["total"]["value"], self.limit))


def loaded(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def of_kibana(rule: Mapping[str, Any]) -> Alert:
    """Read a rule, to whose query Kibana adds the window."""
    params = rule["params"]
    assert (rule["rule_type_id"], params["searchType"], params["aggType"]) == (".es-query", "esQuery", "count")
    assert params["timeWindowUnit"] == "m"
    query = json.loads(params["esQuery"])["query"]
    window = {"gt": NOW - params["timeWindowSize"] * MINUTE, "lte": NOW, "format": "epoch_millis"}
    query["bool"]["filter"].append({"range": {params["timeField"]: window}})
    (limit,) = params["threshold"]
    return Alert(rule["name"], query, params["thresholdComparator"], limit)


def of_opensearch(monitor: Mapping[str, Any]) -> Alert:
    """Read a monitor, in whose query OpenSearch replaces the end of the period."""
    (described,) = monitor["inputs"]
    (trigger,) = (one["query_level_trigger"] for one in monitor["triggers"])
    condition = trigger["condition"]["script"]["source"]
    found = re.fullmatch(r"ctx\.results\[0\]\.hits\.total\.value ([<>]) (\d+)", condition)
    assert found is not None, condition
    text = json.dumps(described["search"]["query"]["query"])
    for minutes in re.findall(r"\{\{period_end\}\}\|\|-(\d+)m", text):
        text = text.replace(f"{{{{period_end}}}}||-{minutes}m", str(NOW - int(minutes) * MINUTE))
    return Alert(monitor["name"], json.loads(text.replace("{{period_end}}", str(NOW))), found[1], int(found[2]))


READ: Final = {"kibana": of_kibana, "opensearch": of_opensearch}


@pytest.fixture(name="alerts", params=READ)
def _alerts(request: pytest.FixtureRequest) -> dict[str, Alert]:
    found = [READ[request.param](one) for one in loaded(request.param)]
    return {one.name: one for one in found}


def line(number: int, minutes_ago: float = 1, **fields: Any) -> dict[str, Any]:
    return {
        "@timestamp": int(NOW - minutes_ago * MINUTE),
        "event_id": f"{number}",
        "event.action": "http-request",
        "event.outcome": "success",
        "event.duration": 20_000_000,
        **fields,
    }


FAILED: Final[dict[str, Any]] = {"event.outcome": "failure"}
SLOW: Final[dict[str, Any]] = {"event.duration": 1_500_000_000}
TASK: Final[dict[str, Any]] = {"event.action": "task"}

CASES: Final[dict[str, tuple[list[dict[str, Any]], set[str]]]] = {
    "requests that are ok": ([line(number) for number in range(40)], set()),
    "five that fail": ([line(number, **FAILED) for number in range(5)], set()),
    "six that fail": ([line(number, **FAILED) for number in range(6)], {"Shop: many requests fail"}),
    "six that failed earlier": ([line(number, 6, **FAILED) for number in range(6)], set()),
    "twenty that are slow": ([line(number, 9, **SLOW) for number in range(20)], set()),
    "more that are slow": ([line(number, 9, **SLOW) for number in range(21)], {"Shop: many requests are slow"}),
    "tasks": ([line(number, **FAILED, **SLOW, **TASK) for number in range(40)], {"Shop: no requests"}),
    "requests long ago": ([line(1, 11)], {"Shop: no requests"}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_alert_rings_when_it_should(case: str, alerts: Mapping[str, Alert], engine: Engine, index: str) -> None:
    lines, ringing = CASES[case]
    assert {item["status"] for item in engine.fill(index, lines)} == {201}

    assert {name for name, alert in alerts.items() if alert.rings(engine, index)} == ringing


def test_both_products_have_the_same_alerts() -> None:
    kibana, opensearch = ([READ[name](one) for one in loaded(name)] for name in ("kibana", "opensearch"))

    assert [(one.name, one.compare, one.limit) for one in kibana] == [
        (one.name, one.compare, one.limit) for one in opensearch
    ]


@pytest.mark.parametrize("name", READ)
def test_an_alert_asks_for_fields_that_the_template_types(name: str) -> None:
    properties = component_template(opensearch=True)["template"]["mappings"]["properties"]
    typed = {*properties, *(f"event.{field}" for field in properties["event"]["properties"])}
    asked = set(re.findall(r"[\"\\]((?:event\.|@)\w+)[\"\\]", (FOLDER / f"{name}.json").read_text(encoding="utf-8")))

    assert {"@timestamp", "event.action", "event.outcome", "event.duration"} == asked
    assert asked <= typed
