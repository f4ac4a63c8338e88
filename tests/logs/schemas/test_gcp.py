"""The schema `gcp`, compared with the fields that Google publishes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from conftest import Site
from paths import DATA
from translated import SPAN, TRACE, Written, failing, order, sent, translate, visit


def expected(flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": flat["timestamp"],
        "severity": "INFO",
        "message": flat["message"],
        "logger": "root",
        "event_id": flat["event_id"],
        "logging.googleapis.com/insertId": flat["event_id"],
        "logging.googleapis.com/trace": f"projects/my-project/traces/{TRACE}",
        "logging.googleapis.com/spanId": flat["span_id"],
        "logging.googleapis.com/labels": {
            "request_id": flat["request_id"],
            "route": "orders/<int:number>/",
            "view": flat["view"],
            "environment": "test",
            "tenant": "t1",
        },
        "serviceContext": {"service": "shop", "version": "1.2"},
        "httpRequest": {
            "requestMethod": "GET",
            "requestUrl": f"http://{flat['host']}/orders/7/?page=2&token=[redacted]",
            "status": 200,
            "latency": f"{flat['duration_seconds']:.6f}s",
            "responseSize": "4",
            **({"requestSize": str(flat["request_bytes"])} if "request_bytes" in flat else {}),
            "remoteIp": "127.0.0.1",
            "userAgent": "curl/8",
            "referer": "https://shop.example/cart",
            "protocol": "HTTP/1.1",
        },
        "obs": {
            "outcome": "ok",
            "parent_span_id": SPAN,
            "slow": True,
            "db_queries": 0,
            "db_seconds": 0.0,
            "headers": {"x-tenant": "t1"},
        },
        "app": {
            "nothing": None,
            "vip": True,
            "seats": 3,
            "stripe_seconds": flat["stripe_seconds"],
            "stripe_count": 1,
            "cart": {"a": [2], "a_b": 1},
        },
    }


def test_the_request_line(written: Written, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expected line is derived from the flat line, not from the table."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    lines = written("gcp")

    visit(site, order)

    flat, line = lines()[-1]
    assert line == sent(expected(flat), flat)


def test_a_failure(written: Written, site: Site) -> None:
    lines = written("gcp")

    visit(site, failing)

    flat, line = lines()[-1]
    assert [line["obs"]["error_type"], line["obs"]["error_message"], line["stack_trace"]] == [
        flat["error_type"],
        flat["error_message"],
        flat["stack_trace"],
    ]


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        ("debug", "DEBUG"),
        ("info", "INFO"),
        ("warning", "WARNING"),
        ("error", "ERROR"),
        ("critical", "CRITICAL"),
        ("notice", "NOTICE"),
        ("chatter", "DEFAULT"),
    ],
)
def test_levels(level: str, severity: str) -> None:
    assert translate("gcp", level=level)["severity"] == severity
    assert severity in json.loads((DATA / "google_log_entry.json").read_text())["severities"]


def test_a_trace_has_no_project_if_none_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)

    assert translate("gcp", trace_id=TRACE)["logging.googleapis.com/trace"] == TRACE


def test_there_are_at_most_sixty_four_labels_and_the_rest_is_not_lost() -> None:
    line = translate("gcp", **{f"name{number}": "text" for number in range(100)})

    assert len(line["logging.googleapis.com/labels"]) == 64
    assert len(line["app"]) == 36


@pytest.mark.parametrize("view", [order, failing])
def test_lines_have_the_special_fields_and_those_of_http_request(view: Any, written: Written, site: Site) -> None:
    published = json.loads((DATA / "google_log_entry.json").read_text())
    lines = written("gcp")

    visit(site, view)

    for _, line in lines():
        ours = {"message", "logger", "event_id", "serviceContext", "stack_trace", "obs", "app"}
        assert set(line) <= set(published["special"]) | ours
        assert line["severity"] in published["severities"]
        assert all(isinstance(value, str) for value in line["logging.googleapis.com/labels"].values())
        for name, value in line["httpRequest"].items():
            kind = published["httpRequest"][name]
            assert type(value) is (int if kind == "int32" else str), name
            if kind == "int64 as string":
                assert str(value).isdigit()
    assert re.fullmatch(r"\d+\.\d{6}s", line["httpRequest"]["latency"])
