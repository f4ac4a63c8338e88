"""The schema `datadog`, compared with the attributes that Datadog publishes."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Site
from translated import SPAN, TRACE, Written, failing, order, paths, port_of, rows, sent, translate, visit


def expected(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "timestamp": flat["timestamp"],
        "status": "info",
        "message": flat["message"],
        "logger": {"name": "root"},
        "event_id": flat["event_id"],
        "service": "shop",
        "version": "1.2",
        "env": "test",
        "dd": {"trace_id": TRACE, "span_id": str(int(flat["span_id"], 16))},
        "trace_id": TRACE,
        "span_id": flat["span_id"],
        "duration": round(flat["duration_seconds"] * 1e9),
        "evt": {"name": "http-request", "outcome": "success"},
        "http": {
            "request_id": flat["request_id"],
            "method": "GET",
            "route": "orders/<int:number>/",
            "status_code": 200,
            "version": "1.1",
            "useragent": "curl/8",
            "referer": "https://shop.example/cart",
            "headers": {"x-tenant": "t1"},
            "url": f"http://{flat['host']}/orders/7/?page=2&token=[redacted]",
            "url_details": {
                "host": flat["host"].removesuffix(":8000"),
                **port_of(flat, "port"),
                "scheme": "http",
                "path": "/orders/7/",
                "queryString": {"page": "2", "token": "[redacted]"},
            },
        },
        "network": {
            "bytes_written": 4,
            "client": {"ip": "127.0.0.1"},
            **({"bytes_read": flat["request_bytes"]} if "request_bytes" in flat else {}),
        },
        "db": {"queries": 0, "seconds": 0.0},
        "obs": {"view": flat["view"], "outcome": "ok", "parent_span_id": SPAN, "slow": True},
        "app": {
            "tenant": "t1",
            "nothing": None,
            "vip": True,
            "seats": 3,
            "stripe_seconds": flat["stripe_seconds"],
            "stripe_count": 1,
            "cart": {"a": [2], "a_b": 1},
        },
    }


def test_the_request_line(written: Written, site: Site) -> None:
    """The expected line is derived from the flat line, not from the table."""
    lines = written("datadog")

    visit(site, order)

    flat, line = lines()[-1]
    assert line == sent(expected(flat), flat)


def test_a_failure(written: Written, site: Site) -> None:
    lines = written("datadog")

    visit(site, failing)

    flat, line = lines()[-1]
    assert line["error"] == {
        "kind": flat["error_type"],
        "message": flat["error_message"],
        "stack": flat["stack_trace"],
    }
    assert line["evt"]["outcome"] == "failure"


def test_query_parameters_are_safe_again_after_decoding() -> None:
    line = translate("datadog", query="a=1&a=2&b=%00%ff&c.d=3&e&" + "&".join(f"x{n}=1" for n in range(100)))

    parameters = line["http"]["url_details"]["queryString"]
    assert {name: parameters[name] for name in ("a", "b", "c_d", "e")} == {
        "a": ["1", "2"],
        "b": "\ufffd\ufffd",
        "c_d": "3",
        "e": "",
    }
    assert len(parameters) <= 50


@pytest.mark.parametrize("view", [order, failing])
def test_lines_have_the_reserved_and_standard_attributes(view: Any, written: Written, site: Site) -> None:
    published = {row["attribute"]: row["type"] for row in rows("datadog_attributes.csv")}
    lines = written("datadog")

    visit(site, view)

    for _, line in lines():
        for path, value in paths(line):
            name = ".".join(path)
            ours = path[0] in {"obs", "app", "db", "event_id", "trace_id", "span_id"} or path[:2] == ("http", "headers")
            if ours or path[:3] == ("http", "url_details", "queryString"):
                continue
            kind = published[name].split()[0]
            assert type(value) is {"string": str, "date": str, "number": int}[kind], name
