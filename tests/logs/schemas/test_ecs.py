"""The schema `ecs`, compared with the fields and the logging specification that Elastic publishes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Site
from paths import DATA
from translated import SPAN, TRACE, Written, failing, order, paths, port_of, rows, sent, visit

KEYWORDS = {"keyword", "wildcard", "match_only_text", "ip", "date"}


def expected(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "@timestamp": flat["timestamp"],
        "log.level": "info",
        "message": flat["message"],
        "ecs.version": "9.4.0",
        "event_id": flat["event_id"],
        "event": {
            "id": flat["event_id"],
            "kind": "event",
            "category": ["web"],
            "type": ["access"],
            "action": "http-request",
            "outcome": "success",
            "duration": round(flat["duration_seconds"] * 1e9),
            "dataset": "shop",
        },
        "log": {"logger": "root"},
        "service": {"name": "shop", "version": "1.2", "environment": "test"},
        "http": {
            "request": {
                "id": flat["request_id"],
                "method": "GET",
                "referrer": "https://shop.example/cart",
                **({"body": {"bytes": flat["request_bytes"]}} if "request_bytes" in flat else {}),
            },
            "response": {"status_code": 200, "body": {"bytes": 4}},
            "route": "orders/<int:number>/",
            "version": "1.1",
        },
        "url": {
            "path": "/orders/7/",
            "query": "page=2&token=[redacted]",
            "domain": flat["host"].removesuffix(":8000"),
            **port_of(flat, "port"),
            "scheme": "http",
        },
        "client": {"ip": "127.0.0.1"},
        "user_agent": {"original": "curl/8"},
        "trace": {"id": TRACE},
        "span": {"id": flat["span_id"]},
        "obs": {
            "view": flat["view"],
            "outcome": "ok",
            "parent_span_id": SPAN,
            "slow": True,
            "db_queries": 0,
            "db_seconds": 0.0,
            "headers": {"x-tenant": "t1"},
            "extra": {"cart": {"a": [2], "a_b": 1}},
        },
        "labels": {"tenant": "t1", "nothing": None},
        "app": {"vip": True, "seats": 3, "stripe_seconds": flat["stripe_seconds"], "stripe_count": 1},
    }


def test_the_request_line(written: Written, site: Site) -> None:
    """The expected line is derived from the flat line, not from the table."""
    lines = written("ecs")

    visit(site, order)

    flat, line = lines()[-1]
    assert line == sent(expected(flat), flat)


def test_a_failure(written: Written, site: Site) -> None:
    lines = written("ecs")

    visit(site, failing)

    flat, line = lines()[-1]
    assert line["error"] == {
        "type": flat["error_type"],
        "message": flat["error_message"],
        "stack_trace": flat["stack_trace"],
    }
    assert line["event"]["outcome"] == "failure"


@pytest.mark.parametrize("view", [order, failing])
def test_lines_have_the_names_and_types_of_ecs(view: Any, written: Written, site: Site) -> None:
    """Each field is in the published list, with a value of its type, or under a name that the list leaves free."""
    published = {row["field"]: row for row in rows("ecs_fields.csv")}
    lines = written("ecs")

    visit(site, view)

    for _, line in lines():
        for path, value in paths(line):
            name = ".".join(path)
            if path[0] in {"obs", "labels", "app", "event_id"} or name == "http.route":
                continue
            row = published[name]
            assert isinstance(value, list) == (row["normalization"] == "array"), name
            for one in value if isinstance(value, list) else [value]:
                assert type(one) is (int if row["type"] == "long" else str), name
                assert row["type"] in KEYWORDS | {"long"}, name


@pytest.mark.parametrize("view", [order, failing])
def test_lines_keep_the_specification_of_ecs_logging(view: Any, written: Written, site: Site) -> None:
    spec = json.loads((DATA / "ecs_logging_spec.json").read_text())
    lines = written("ecs")

    visit(site, view)

    for _, line in lines():
        assert list(line)[: len(spec["order"])] == spec["order"]
        assert set(spec["required"]) <= set(line)
        assert {key for key in line if "." in key} == set(spec["dotted_at_top"])
        found = {".".join(path): value for path, value in paths(line)}
        assert all(isinstance(found[name], str) for name in spec["strings"] if name in found)
        forbidden = set(spec["labels_key_forbidden"])
        assert not [key for key in line.get("labels", {}) if forbidden & set(key)]
