"""The schema `otel`, compared with the semantic conventions that OpenTelemetry publishes."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Site
from translated import SPAN, TRACE, Written, failing, order, port_of, rows, sent, translate, visit


def expected(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "timestamp": flat["timestamp"],
        "severity_text": "INFO",
        "severity_number": 9,
        "body": flat["message"],
        "event_id": flat["event_id"],
        "event_name": "http.server.request",
        "trace_id": TRACE,
        "span_id": flat["span_id"],
        "instrumentation_scope": {"name": "root"},
        "resource": {
            "attributes": {"service.name": "shop", "service.version": "1.2", "deployment.environment.name": "test"}
        },
        "attributes": {
            "log.record.uid": flat["event_id"],
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.route": "orders/<int:number>/",
            "http.server.request.duration": flat["duration_seconds"],
            "http.response.body.size": 4,
            **({"http.request.body.size": flat["request_bytes"]} if "request_bytes" in flat else {}),
            "http.request.header.referer": ["https://shop.example/cart"],
            "http.request.header.x-tenant": ["t1"],
            "network.protocol.version": "1.1",
            "url.path": "/orders/7/",
            "url.query": "page=2&token=[redacted]",
            "url.scheme": "http",
            "server.address": flat["host"].removesuffix(":8000"),
            **port_of(flat, "server.port"),
            "client.address": "127.0.0.1",
            "user_agent.original": "curl/8",
            "code.function.name": flat["view"],
            "obs.request_id": flat["request_id"],
            "obs.outcome": "ok",
            "obs.parent_span_id": SPAN,
            "obs.slow": True,
            "obs.db_queries": 0,
            "obs.db_seconds": 0.0,
            "app.tenant": "t1",
            "app.nothing": None,
            "app.vip": True,
            "app.seats": 3,
            "app.stripe_seconds": flat["stripe_seconds"],
            "app.stripe_count": 1,
            "app.cart": {"a": [2], "a_b": 1},
        },
    }


def test_the_request_line(written: Written, site: Site) -> None:
    """The expected line is derived from the flat line, not from the table."""
    lines = written("otel")

    visit(site, order)

    flat, line = lines()[-1]
    assert line == sent(expected(flat), flat)


def test_a_failure(written: Written, site: Site) -> None:
    lines = written("otel")

    visit(site, failing)

    flat, line = lines()[-1]
    attributes = line["attributes"]
    assert [attributes[f"exception.{name}"] for name in ("type", "message", "stacktrace")] == [
        flat["error_type"],
        flat["error_message"],
        flat["stack_trace"],
    ]
    assert attributes["error.type"] == "ValueError"


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("debug", 5),
        ("info", 9),
        ("warning", 13),
        ("error", 17),
        ("critical", 21),
        ("notice", None),
        ("chatter", None),
    ],
)
def test_levels(level: str, number: int | None) -> None:
    line = translate("otel", level=level)

    assert (line["severity_text"], line.get("severity_number")) == (level.upper(), number)


def test_an_unknown_method_is_other_and_keeps_its_name() -> None:
    assert translate("otel", method="BREW")["attributes"] == {
        "log.record.uid": "1",
        "http.request.method": "_OTHER",
        "http.request.method_original": "BREW",
    }


@pytest.mark.parametrize("view", [order, failing])
def test_lines_have_the_attributes_of_the_semantic_conventions(view: Any, written: Written, site: Site) -> None:
    published = {row["attribute"]: row["type"] for row in rows("otel_attributes.csv")}
    lines = written("otel")

    visit(site, view)

    for _, line in lines():
        assert set(line) <= {
            "timestamp", "severity_text", "severity_number", "body", "event_id", "event_name", "trace_id", "span_id",
            "instrumentation_scope", "resource", "attributes",
        }  # fmt: skip
        for name, value in {**line["attributes"], **line["resource"]["attributes"]}.items():
            if name.startswith("http.request.header."):
                assert [type(one) for one in value] == [str]
            elif name == "http.server.request.duration":
                assert type(value) is float
            elif not name.startswith(("obs.", "app.")):
                assert type(value) is {"string": str, "int": int}[published[name]], name
    # required of a server's request
    assert {"http.request.method", "url.path", "url.scheme", "http.response.status_code"} <= set(line["attributes"])
