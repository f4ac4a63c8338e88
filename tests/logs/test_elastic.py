"""`obs_middleware.logs.elastic`: a type for every field of an ``ecs`` line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hostile import Mischief, hostile_event
from paths import DATA

from obs_middleware.logs.elastic import COMPONENT, component_template, index_template
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.schemas import SCHEMAS
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import parse_line


@pytest.fixture(name="opensearch", params=[False, True], ids=["elasticsearch", "opensearch"])
def _opensearch(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def types(component: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the mapping of every field by its path."""

    def walk(properties: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        for name, mapping in properties.items():
            if "properties" in mapping:
                assert set(mapping) == {"properties"}
                yield from walk(mapping["properties"], f"{above}{name}.")
            else:
                yield f"{above}{name}", mapping

    return dict(walk(component["template"]["mappings"]["properties"]))


def kind_of(value: Any) -> str:
    """Return the type that a store sees in a JSON value."""
    names = {str: "string", bool: "boolean", int: "long", float: "double"}
    return names[type(value)]


def paths(line: Mapping[str, Any], trees: set[str], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of *line* with its path; a tree in *trees* is one value, and null is left out."""
    for key, value in line.items():
        path = f"{above}{key}"
        if path in trees:
            yield path, value
        elif isinstance(value, dict):
            yield from paths(value, trees, f"{path}.")
        elif isinstance(value, list):
            yield from ((path, one) for one in value)
        elif value is not None:
            yield path, value


FITTING = {
    "keyword": "string",
    "wildcard": "string",
    "match_only_text": "string",
    "ip": "string",
    "date_nanos": "string",
    "long": "long",
    "double": "double or long",
    "boolean": "boolean",
}


def assert_typed(line: Mapping[str, Any], component: Mapping[str, Any]) -> None:
    """Hold that every field of *line* is typed, by its name or by a rule for its place, and has a value of the type."""
    typed = types(component)
    rules = [next(iter(rule.values())) for rule in component["template"]["mappings"]["dynamic_templates"]]
    trees = {path for path, mapping in typed.items() if mapping["type"] in {"flattened", "flat_object"}}
    for path, value in paths(line, trees):
        if path in trees:
            assert isinstance(value, dict), path
        elif path in typed:
            assert kind_of(value) in FITTING[typed[path]["type"]].split(" or "), (path, value)
        else:
            fitting = [
                rule
                for rule in rules
                if "path_match" in rule
                and path.startswith(rule["path_match"].partition("*")[0])
                and path.endswith(rule["path_match"].rpartition("*")[2])
                and rule["match_mapping_type"] == kind_of(value)
            ]
            assert fitting, (path, value)


def test_every_field_of_the_table_is_typed(opensearch: bool) -> None:
    """Also those that few lines have; a new field fails here until the table says what it is."""
    typed = types(component_template(opensearch=opensearch))
    schema = SCHEMAS["ecs"]
    assert schema is not None
    chosen_names = {
        ".".join(to.path) for name, field in FIELDS.items() if field.type == "object" for to in schema.fields[name]
    }
    everything = {".".join(to.path) for places in schema.fields.values() for to in places}

    assert everything - chosen_names <= set(typed)
    assert chosen_names == {"obs.headers"}
    assert {"event.kind", "event.category", "event.type", "event.action", "ecs.version", "obs.extra"} <= set(typed)


def test_every_field_of_hostile_lines_is_typed(opensearch: bool) -> None:
    component = component_template(opensearch=opensearch)
    formatter = JSONFormatter(schema="ecs", service="shop", version="1", environment="test")
    for number in range(300):
        mischief = Mischief(f"types-{number}")
        event = hostile_event("GET", "/", mischief.fields(12), on_the_request_line=number % 2 == 0)
        record = _record(event, mischief)
        current_event.set(event)
        try:
            line = parse_line(formatter.format(record))
        finally:
            current_event.set(None)
        assert_typed(line, component)


def _record(event: Any, mischief: Mischief) -> Any:
    import logging  # noqa: PLC0415 -- of this helper alone

    return logging.LogRecord("site", 20, __file__, 1, event.message or mischief.value(), None, None)


def test_the_types_are_those_of_the_published_schema() -> None:
    """But for the time, of which Elasticsearch's own template for logs keeps the microseconds too."""
    with (DATA / "ecs_fields.csv").open(newline="") as file:
        published = {row["field"]: row["type"] for row in csv.DictReader(file)}
    typed = {path: mapping["type"] for path, mapping in types(component_template()).items()}

    shared = set(published) & set(typed)
    assert len(shared) > 25
    assert {path: typed[path] for path in shared} == {path: published[path] for path in shared} | {
        "@timestamp": "date_nanos"
    }


def test_the_twin_differs_only_where_the_products_do() -> None:
    elastic, twin = types(component_template()), types(component_template(opensearch=True))

    assert {path for path in elastic if elastic[path] != twin[path]} == {"obs.extra"}
    assert (elastic["obs.extra"]["type"], twin["obs.extra"]["type"]) == ("flattened", "flat_object")


def test_an_index_template_is_for_data_streams_and_goes_before_the_built_in_one() -> None:
    template = index_template("shop")

    assert template["index_patterns"] == ["logs-shop-*"]
    assert template["data_stream"] == {}
    assert template["priority"] > 100
    assert template["composed_of"] == ["logs@mappings", "logs@settings", COMPONENT, "ecs@mappings"]
    assert index_template("shop", opensearch=True)["composed_of"] == [COMPONENT]


def test_an_index_template_can_be_for_plain_indices_of_any_name() -> None:
    template = index_template("shop", pattern="shop-*", plain=True, priority=500)

    assert template["index_patterns"] == ["shop-*"]
    assert template["priority"] == 500
    assert "data_stream" not in template


@pytest.mark.parametrize("dataset", ["", "a-b", "Shop", "a*", "x" * 101])
def test_a_dataset_must_be_able_to_be_one(dataset: str) -> None:
    with pytest.raises(ValueError, match="use lower-case letters"):
        index_template(dataset)
