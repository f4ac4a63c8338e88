"""`obs_middleware.logs.schemas.translation`: fields of the application never replace ours."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse
from translated import TABLES, TRACE, Written, order, paths, translate, visit

from obs_middleware import bind
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.vocabulary import FIELDS

logger = logging.getLogger("site")

SHADOWING = [
    "event", "http", "url", "log", "error", "service", "labels", "app", "obs", "ecs", "user", "client", "trace", "span",
    "attributes", "resource", "body", "severity", "dd", "usr", "network", "duration", "evt", "httpRequest", "time",
    "event.id", "http.request.id", "log.level", "@timestamp", "a", "a.b", "message", "status", "level", "extra",
    "logging.googleapis.com/labels", "logging.googleapis.com/trace", "serviceContext", "stack_trace", "request_id",
]  # fmt: skip


def test_another_line_of_the_request_has_its_context_and_nothing_of_the_request_line(
    schema: SchemaName, written: Written, site: Site
) -> None:
    lines = written(schema)

    visit(site, order)

    flat, line = lines()[0]
    text = json.dumps(line)
    assert flat["request_id"] in text
    assert TRACE in text
    assert "http-request" not in text
    assert "http.server.request" not in text
    assert {"event_id", "message"} & set(line) == ({"event_id"} if schema == "otel" else {"event_id", "message"})


@pytest.mark.parametrize("value", ["text", 1, {"id": "x", "request": 1}], ids=["text", "number", "tree"])
def test_fields_of_the_application_neither_shadow_nor_collide(
    schema: SchemaName, value: Any, written: Written, site: Site
) -> None:
    def bare(request: HttpRequest) -> HttpResponse:
        return HttpResponse("done")

    def shadowing(request: HttpRequest) -> HttpResponse:
        bind(**dict.fromkeys(SHADOWING, value))
        logger.info("x", extra={name: value for name in SHADOWING if name != "message"})
        return HttpResponse("done")

    lines = written(schema)
    site.get(bare)
    site.get(shadowing)
    (_, without), (_, other), (flat, line) = lines()

    own = TABLES[schema].own
    ours = {path: type(found) for path, found in paths(without)}
    for path, found in paths(line):
        named = [one for one in own if path[: len(one.path)] == one.path and path[len(one.path)].startswith(one.prefix)]
        if path in ours:
            assert type(found) is ours[path], path
        else:
            assert named, path
    assert {path for path, _ in paths(line)} >= set(ours)
    text = json.dumps(line)
    assert text.count('"x"' if isinstance(value, dict) else f": {json.dumps(value)}") >= len(SHADOWING)
    assert len([name for name in flat if name not in FIELDS]) == len(SHADOWING)
    assert json.dumps(other).count('"app_status"') + json.dumps(other).count('"app.app_status"') == 1


def test_a_value_of_the_wrong_type_does_not_take_the_place_of_a_field(schema: str) -> None:
    """Only a processor of the application can give a field such a value."""
    line = translate(schema, status="teapot", duration_seconds="long", slow=1, route=5, span_id="no hex")

    text = json.dumps(line)
    assert all(f"app_{name}" in text for name in ("status", "duration_seconds", "slow", "route"))
    assert "teapot" in text
    types = {to.path: to.form or FIELDS[name].type for name, fields in TABLES[schema].fields.items() for to in fields}
    for path, value in paths(line):
        if path in types:
            assert is_of_form(value, types[path]), path


def is_of_form(value: Any, form: str) -> bool:
    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}
    kind = re.match(r"\w+", form)
    assert kind is not None
    if kind[0] == "array":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, kinds[kind[0]]) or (value is None and "null" in form)
