"""The templates at work in an engine: what it takes, what it refuses, and how it types what it was not told of."""

from __future__ import annotations

import json
import logging
from typing import Any

from hostile import EVENTS, NOT_EXTRA, SEED, Mischief, hostile_event
from shipping.golden import GOLDEN, golden_lines
from shipping.parts import Engine

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import current_event

HEAD = {"@timestamp": "2026-11-02T10:00:00.000001Z", "log.level": "info", "message": "x", "ecs.version": "9.4.0"}
STATUS = {"http": {"response": {"status_code": 200}}}


def mappings(engine: Engine, index: str) -> dict[str, Any]:
    """Return the mappings of *index* as the engine has them now."""
    (found,) = engine.ask("GET", f"/{index}/_mapping").values()
    properties: dict[str, Any] = found["mappings"]["properties"]
    return properties


def test_a_value_of_the_wrong_type_is_refused(engine: Engine, index: str) -> None:
    """So the tests that find nothing refused could find it."""
    wrong = {"http": {"response": {"status_code": "teapot"}}}
    said = engine.fill(index, [{**HEAD, **STATUS, "event_id": "1"}, {**HEAD, **wrong, "event_id": "2"}])

    assert [item["status"] for item in said] == [201, 400]


def test_a_line_that_comes_again_is_not_stored_again(engine: Engine, index: str) -> None:
    line = {**HEAD, "event_id": "1"}

    assert [item["status"] for item in engine.fill(index, [line, line])] == [201, 409]
    assert engine.count(index) == 1


def test_what_an_application_and_a_shipper_add_is_typed_by_its_place(engine: Engine, index: str) -> None:
    line = {
        **HEAD,
        "event_id": "1",
        "labels": {"tenant": "t1"},
        "app": {"payment_seconds": 1, "payment_count": 1, "vip": True, "share": 0.5},
        "obs": {"extra": {"cart": {"a": [1, {"b": "x"}]}}, "headers": {"x-tenant": "t1"}},
        "container": {"id": "abc"},
    }
    assert [item["status"] for item in engine.fill(index, [line])] == [201]

    found = mappings(engine, index)
    types = {name: mapping["type"] for name, mapping in found["app"]["properties"].items()}
    assert types == {"payment_seconds": "double", "payment_count": "long", "vip": "keyword", "share": "double"}
    assert found["labels"]["properties"]["tenant"]["type"] == "keyword"
    assert found["obs"]["properties"]["headers"]["properties"]["x-tenant"]["type"] == "keyword"
    assert found["obs"]["properties"]["extra"]["type"] == "flat_object"
    assert "cart" not in json.dumps(found)
    assert found["container"]["properties"]["id"]["type"] == "keyword"


def test_every_hostile_line_is_taken(engine: Engine, index: str) -> None:
    """Whatever an application binds: ``OBS_HOSTILE_EVENTS`` and ``OBS_HOSTILE_SEED`` as in the tests of the schemas."""
    lines = []
    formatter = JSONFormatter(schema="ecs", service="shop", version="1", environment="test")
    for number in range(EVENTS):
        mischief = Mischief(f"{SEED}-{number}")
        event = hostile_event(mischief.text(), mischief.text(), mischief.fields(6), on_the_request_line=number % 2 == 0)
        record = logging.LogRecord("site", 20, __file__, 1, event.message or mischief.value(), None, None)
        extra = {name: value for name, value in mischief.fields(3).items() if name not in NOT_EXTRA}
        record.__dict__.update({name: value for name, value in extra.items() if name not in record.__dict__})
        current_event.set(event)
        try:
            lines.append(formatter.format(record))
        finally:
            current_event.set(None)

    # The names are as hostile as the values; of a thousand an index would be full, which is not what is tried here.
    engine.ask("PUT", f"/_index_template/{index}", _template(engine, index))
    refused = [
        (item["error"], line)
        for item, line in zip(engine.fill(index, lines), lines, strict=True)
        if item["status"] != 201
    ]
    assert not refused, f"OBS_HOSTILE_SEED={SEED}: {refused[0]}"


def _template(engine: Engine, index: str) -> dict[str, Any]:
    return {
        "index_patterns": [index],
        "priority": 300,
        "composed_of": ["obs-middleware"],
        "template": {"settings": {"index.mapping.total_fields.limit": 50_000}},
        **({"data_stream": {}} if engine.has_data_streams else {}),
    }


def test_golden_lines_are_found_as_they_were_written(engine: Engine, index: str) -> None:
    lines = list(golden_lines())
    engine.fill(index, lines)

    documents = json.loads(json.dumps(engine.everything(index)))
    assert len(documents) == len(lines) == 2 * len(GOLDEN)
    assert {one["event_id"]: one for one in documents} == {
        one["event_id"]: one for one in json.loads(json.dumps(lines))
    }
