"""The queries of docs/how-to/shipping.md, over the golden lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from paths import ROOT
from shipping.golden import GOLDEN, ROUTES, golden_lines, of, took
from shipping.parts import Engine, is_percentile

PAGE = (ROOT / "docs" / "how-to" / "shipping.md").read_text()
QUESTION = re.compile(r"^### ([^\n]+\?)$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
DSL = re.compile(r"^```http\nPOST /logs-shop-prod/_search\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ESQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
THE_REQUEST = "78c74a4b6e3dc9f3e227a9ff98aafa50"


def queries() -> dict[str, dict[str, Any]]:
    """Return the query of each question."""
    found = {}
    for question, text in QUESTION.findall(PAGE):
        (query,) = DSL.findall(text)
        found[question] = json.loads(query)
    return found


@pytest.fixture(name="ask")
def _ask(engine: Engine, index: str) -> Any:
    """Ask a question of the golden lines, which are of another day and have other ids than those of the page."""
    engine.fill(index, list(golden_lines()))

    def ask(question: str) -> Any:
        text = json.dumps(queries()[question])
        text = re.sub(r'"now-1[hd]"', '"2026-11-02T09:00:00Z"', text).replace(THE_REQUEST, "request-132")
        return engine.search(index, json.loads(text))

    return ask


def test_each_of_the_five_questions_has_both_queries() -> None:
    found = QUESTION.findall(PAGE)

    assert len(found) == len(queries()) == 5
    for question, text in found:
        (esql,) = ESQL.findall(text)
        assert esql.startswith("FROM logs-shop-*\n| WHERE "), question
        # Both ask of the same fields.
        fields = set(re.findall(r"\b(?:http|event|error|service)\.[a-z_.]+", esql))
        assert all(f'"{field}"' in text for field in fields), question


def test_slow_routes(ask: Any) -> None:
    buckets = ask("Which routes are slow?")["aggregations"]["routes"]["buckets"]

    assert [bucket["key"] for bucket in buckets] == ["checkout/", "report/", "products/<slug:slug>/"]
    for bucket in buckets:
        assert is_percentile(bucket["took"]["values"]["95.0"], 95, took(of(bucket["key"])))


def test_the_p95_of_each_route_by_the_minute(ask: Any) -> None:
    buckets = ask("What is the p95 of each route, minute by minute?")["aggregations"]["routes"]["buckets"]

    assert {bucket["key"] for bucket in buckets} == ROUTES
    for bucket in buckets:
        minutes = bucket["minutes"]["buckets"]
        assert len(minutes) == 2
        for number, minute in enumerate(minutes):
            requests = [request for request in of(bucket["key"]) if request.minute == number]
            assert minute["doc_count"] == len(requests)
            assert is_percentile(minute["took"]["values"]["95.0"], 95, took(requests))


def test_errors_by_type(ask: Any) -> None:
    buckets = ask("Which errors are there?")["aggregations"]["types"]["buckets"]

    assert {bucket["key"]: bucket["doc_count"] for bucket in buckets} == {"ZeroDivisionError": 20, "shop.BankError": 8}
    assert [bucket["routes"]["buckets"][0]["key"] for bucket in buckets] == ["report/", "checkout/"]


def test_the_lines_of_one_request(ask: Any) -> None:
    hits = [hit["_source"] for hit in ask("What else did this request say?")["hits"]["hits"]]

    assert sorted(hit["event_id"] for hit in hits) == ["132-1", "132-2"]
    assert {hit["http"]["request"]["id"] for hit in hits} == {"request-132"}


def test_what_changed_since_the_release(ask: Any) -> None:
    buckets = ask("What changed since the release?")["aggregations"]["routes"]["buckets"]

    failures = Counter((one.route, one.version) for one in GOLDEN if one.outcome == "error")
    for bucket in buckets:
        versions = bucket["versions"]["buckets"]
        assert [version["key"] for version in versions] == ["1.0", "1.1"]
        for version in versions:
            requests = [request for request in of(bucket["key"]) if request.version == version["key"]]
            assert version["doc_count"] == len(requests)
            assert version["failures"]["doc_count"] == failures[bucket["key"], version["key"]]
            assert is_percentile(version["took"]["values"]["95.0"], 95, took(requests))
    assert failures["checkout/", "1.1"] == 8
    assert ("checkout/", "1.0") not in failures
