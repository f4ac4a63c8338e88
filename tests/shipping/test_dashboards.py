"""The dashboards: files that agree with themselves, with the template, and with what is known of the golden lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from faults import faulty
from loglines import FORMATS, tasks
from shipping.golden import GOLDEN, golden_lines
from shipping.parts import ELK, Engine, is_percentile

from obs_middleware.logs.elastic import component_template

FOLDER = ELK / "dashboards"
TASKS = tasks(40)
AGGREGATABLE = {"keyword", "long", "double", "boolean", "date_nanos", "ip", "wildcard"}
KQL = re.compile(r'([\w.]+) : "([^"]+)"')
NANOSECONDS = 1_000_000


class Query(NamedTuple):
    """What a panel asks: by which field over which time, and which percentiles; or the columns of documents."""

    title: str
    filter: str
    rows: str
    over_time: str | None = None
    percentiles: str | None = None
    percents: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def fields(self) -> set[str]:
        """Every field that the panel sorts by, groups by or calculates with."""
        named = {self.rows, self.over_time, self.percentiles, *(name for name, _ in KQL.findall(self.filter))}
        return {name for name in named if name}

    def dsl(self) -> dict[str, Any]:
        """Return it as the dashboard would send it."""
        found = KQL.fullmatch(self.filter)
        assert found is not None, self.filter
        query = {"bool": {"filter": [{"term": {found[1]: found[2]}}]}}
        if self.columns:
            return {"query": query, "size": 10, "sort": [{self.rows: "desc"}], "_source": list(self.columns)}
        inner: dict[str, Any] = {}
        if self.percentiles:
            inner["took"] = {"percentiles": {"field": self.percentiles, "percents": list(self.percents)}}
        aggs: dict[str, Any] = {"rows": {"terms": {"field": self.rows, "size": 20}, "aggs": inner}}
        if self.over_time:
            aggs = {"time": {"date_histogram": {"field": self.over_time, "fixed_interval": "1m"}, "aggs": aggs}}
        return {"size": 0, "query": query, "aggs": aggs}


def objects(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.ndjson").read_text().splitlines()]


@pytest.fixture(name="product", params=["kibana", "opensearch"])
def _product(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="saved")
def _saved(product: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["type"], one["id"]): one for one in objects(product)}


def panels(saved: Mapping[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    (dashboard,) = [one for (kind, _), one in saved.items() if kind == "dashboard"]
    return list(json.loads(dashboard["attributes"]["panelsJSON"]))


def queries(product: str) -> Iterator[Query]:
    """Read what the panels of *product* ask out of its file."""
    saved = {(one["type"], one["id"]): one for one in objects(product)}
    for one in saved.values():
        if one["type"] == "search":
            yield of_search(one["attributes"])
        elif one["type"] == "visualization":
            yield of_visualization(one["attributes"])
    for panel in panels(saved):
        if panel.get("type") == "lens":
            yield of_lens(panel["embeddableConfig"]["attributes"])


def of_search(attributes: Mapping[str, Any]) -> Query:
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    ((field, direction),) = attributes["sort"]
    assert direction == "desc"
    return Query(attributes["title"], source["query"]["query"], field, columns=tuple(attributes["columns"]))


def of_visualization(attributes: Mapping[str, Any]) -> Query:
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    state = json.loads(attributes["visState"])
    by_type = {one["type"]: one["params"] for one in state["aggs"]}
    assert set(by_type) <= {"count", "terms", "date_histogram", "percentiles"}
    ids = {one["id"] for one in state["aggs"]}
    assert by_type["terms"]["orderBy"] in ids
    assert {series["data"]["id"] for series in state["params"].get("seriesParams", [])} <= ids
    percentiles = by_type.get("percentiles", {"field": None, "percents": []})
    return Query(
        attributes["title"],
        source["query"]["query"],
        by_type["terms"]["field"],
        by_type.get("date_histogram", {}).get("field"),
        percentiles["field"],
        tuple(percentiles["percents"]),
    )


def of_lens(attributes: Mapping[str, Any]) -> Query:
    state = attributes["state"]
    ((layer_id, layer),) = state["datasourceStates"]["formBased"]["layers"].items()
    columns = layer["columns"]
    assert list(columns) == layer["columnOrder"]
    look = state["visualization"]
    for shown in look.get("layers", [look]):
        assert shown["layerId"] == layer_id
        used = {shown[key] for key in ("xAccessor", "splitAccessor") if key in shown} | set(shown.get("accessors", []))
        assert used | {column["columnId"] for column in shown.get("columns", [])} == set(columns)
    assert attributes["references"][0]["name"] == f"indexpattern-datasource-layer-{layer_id}"
    kinds: dict[str, list[Any]] = {}
    for column in columns.values():
        kinds.setdefault(column["operationType"], []).append(column)
    assert set(kinds) <= {"count", "terms", "date_histogram", "percentile"}
    (terms,) = kinds["terms"]
    assert terms["params"]["orderBy"]["columnId"] in columns
    percentiles = kinds.get("percentile", [])
    return Query(
        attributes["title"],
        state["query"]["query"],
        terms["sourceField"],
        kinds["date_histogram"][0]["sourceField"] if "date_histogram" in kinds else None,
        percentiles[0]["sourceField"] if percentiles else None,
        tuple(column["params"]["percentile"] for column in percentiles),
    )


def typed_fields() -> dict[str, str]:
    """Return the type of every field that the template names."""

    def walk(properties: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
        for name, mapping in properties.items():
            if "properties" in mapping:
                yield from walk(mapping["properties"], f"{above}{name}.")
            else:
                yield f"{above}{name}", mapping["type"]

    return dict(walk(component_template()["template"]["mappings"]["properties"]))


# Structure


def test_the_files_are_what_the_description_makes(tmp_path: Path) -> None:
    copy = tmp_path / "build.py"
    copy.write_text((FOLDER / "build.py").read_text())
    subprocess.run([sys.executable, copy], check=True)

    for name in ("kibana.ndjson", "opensearch.ndjson"):
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text(), "run examples/elk/dashboards/build.py"


def test_every_reference_resolves(product: str, saved: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert len(saved) == len(objects(product))
    for one in saved.values():
        names = [reference["name"] for reference in one["references"]]
        assert len(set(names)) == len(names)
        for reference in one["references"]:
            assert (reference["type"], reference["id"]) in saved
        for text in re.findall(r'"(?:indexRefName|panelRefName)\\*": \\*"([^"\\]+)', json.dumps(one)):
            assert [name for name in names if name == text or name.endswith(f":{text}")], text


def test_every_lens_panel_has_its_data_view_at_the_dashboard(saved: dict[tuple[str, str], dict[str, Any]]) -> None:
    (dashboard,) = [one for (kind, _), one in saved.items() if kind == "dashboard"]
    names = {reference["name"] for reference in dashboard["references"]}
    for panel in panels(saved):
        if panel.get("type") == "lens":
            for reference in panel["embeddableConfig"]["attributes"]["references"]:
                assert f"{panel['panelIndex']}:{reference['name']}" in names
        else:
            assert {panel["panelRefName"], f"{panel['panelIndex']}:{panel['panelRefName']}"} & names


def test_the_panels_lie_beside_each_other_in_the_grid(saved: dict[tuple[str, str], dict[str, Any]]) -> None:
    grids = [panel["gridData"] for panel in panels(saved)]

    assert len({grid["i"] for grid in grids}) == len(grids) == 10
    for grid in grids:
        assert grid["x"] >= 0
        assert grid["x"] + grid["w"] <= 48
    for one, other in combinations(grids, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


def test_both_products_ask_the_same() -> None:
    assert sorted(queries("kibana")) == sorted(queries("opensearch"))


def test_every_field_is_in_the_template_and_can_be_aggregated(product: str) -> None:
    types = typed_fields()

    for query in queries(product):
        for field in query.fields:
            assert types[field] in AGGREGATABLE, field
        assert set(query.columns) <= set(types)


def test_the_data_view_has_the_time_and_shows_durations_as_such(saved: dict[tuple[str, str], dict[str, Any]]) -> None:
    (view,) = [one["attributes"] for (kind, _), one in saved.items() if kind == "index-pattern"]

    assert typed_fields()[view["timeFieldName"]] == "date_nanos"
    for field, form in json.loads(view["fieldFormatMap"]).items():
        assert (typed_fields()[field], form["params"]["inputFormat"]) == ("long", "nanoseconds")


# Numbers


@pytest.fixture(name="answers")
def _answers(product: str, engine: Engine, index: str) -> dict[str, Any]:
    """What the engine answers to each panel over the golden lines, by its title."""
    lines: list[Any] = [*golden_lines(), *map(FORMATS["ecs"], TASKS)]
    assert {item["status"] for item in engine.fill(index, lines)} == {201}
    return {query.title: engine.search(index, query.dsl()) for query in queries(product)}


def counted(aggregation: Mapping[str, Any]) -> dict[Any, int]:
    return {bucket["key"]: bucket["doc_count"] for bucket in aggregation["buckets"]}


def test_the_panels_of_places_name_the_code_that_is_slow(product: str, engine: Engine, index: str) -> None:
    lines = faulty()
    engine.fill(index, list(map(FORMATS["ecs"], lines)))
    asked = {query.title: query for query in queries(product)}

    for title, field in (
        ("Repeated queries by place in the code", "db_repeated_at"),
        ("Blocked event loops by place in the code", "blocked_at"),
        ("Slow requests by the place where they were caught", "slow_at"),
    ):
        (bucket,) = engine.search(index, asked[title].dsl())["aggregations"]["rows"]["buckets"]
        named = [line[field] for line in lines if field in line]
        assert [(bucket["key"], bucket["doc_count"])] == list(Counter(named).items())


def test_every_panel_gives_the_numbers_that_are_known(answers: dict[str, Any]) -> None:
    assert len(answers) == 10
    outcomes = {"ok": "success", "error": "failure"}

    for title in ("Request rate by outcome", "Error rate: the share of each outcome"):
        minutes = answers[title]["aggregations"]["time"]["buckets"]
        assert [counted(minute["rows"]) for minute in minutes] == [
            Counter(outcomes[one.outcome] for one in GOLDEN if one.minute == minute) for minute in (0, 1)
        ]

    statuses = counted(answers["Requests by status"]["aggregations"]["rows"])
    assert statuses == {200: 152, 404: 20, 500: 20, 502: 8}
    assert statuses == Counter(one.status for one in GOLDEN)

    routes = answers["p50, p95 and p99 by route"]["aggregations"]["rows"]
    assert counted(routes) == Counter(one.route for one in GOLDEN if one.route is not None)
    for bucket in routes["buckets"]:
        took = [one.milliseconds * NANOSECONDS for one in GOLDEN if one.route == bucket["key"]]
        assert sorted(map(float, bucket["took"]["values"])) == [50, 95, 99]
        for percent, value in bucket["took"]["values"].items():
            assert is_percentile(value, float(percent), took), (bucket["key"], percent)

    tasks = answers["p50, p95 and p99 by task"]["aggregations"]["rows"]
    assert counted(tasks) == Counter(task["task"] for task in TASKS)
    minutes = answers["Tasks by outcome"]["aggregations"]["time"]["buckets"]
    assert sum((Counter(counted(minute["rows"])) for minute in minutes), Counter()) == Counter(
        task["outcome"] for task in TASKS
    )

    hits = [hit["_source"] for hit in answers["Slowest requests"]["hits"]["hits"]]
    slowest = sorted(GOLDEN, key=lambda one: -one.milliseconds)[:10]
    assert [hit["event"]["duration"] for hit in hits] == [one.milliseconds * NANOSECONDS for one in slowest]
    assert hits[0] == {
        "url": {"path": f"/{slowest[0].number}/"},
        "http": {
            "route": "checkout/",
            "response": {"status_code": 502},
            "request": {"id": f"request-{slowest[0].number}"},
        },
        "event": {"duration": slowest[0].milliseconds * NANOSECONDS},
    }
