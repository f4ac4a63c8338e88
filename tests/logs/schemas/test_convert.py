"""`obs_middleware.logs.schemas.convert`: conversions that several schemas use."""

from __future__ import annotations

import json

import pytest
from translated import TABLES, translate


@pytest.mark.parametrize(
    ("outcome", "coarse"),
    [
        ("ok", "success"),
        ("error", "failure"),
        ("stream_error", "failure"),
        ("cancelled", "unknown"),
        ("aborted", "unknown"),
        ("lost", "unknown"),
        ("timeout", "failure"),
        ("killed", "failure"),
        ("unknown", "failure"),
        ("retry", "unknown"),
    ],
)
def test_an_outcome_keeps_our_word_beside_the_coarse_one(outcome: str, coarse: str) -> None:
    assert translate("ecs", outcome=outcome)["event"]["outcome"] == coarse
    assert translate("datadog", outcome=outcome)["evt"]["outcome"] == coarse
    otel_type = translate("otel", outcome=outcome, status=503)["attributes"].get("error.type")
    assert otel_type == ("503" if coarse == "failure" else None)
    for schema in TABLES:
        assert outcome in json.dumps(translate(schema, outcome=outcome)).replace("error.type", "")


@pytest.mark.parametrize(
    ("host", "domain", "port"),
    [
        ("shop.example", "shop.example", None),
        ("shop.example:8000", "shop.example", 8000),
        ("[::1]:80", "[::1]", 80),
        ("[::1]", "[::1]", None),
        ("a:b:80", "a:b:80", None),
        ("shop.example:port", "shop.example:port", None),
    ],
)
def test_the_host_is_split_into_name_and_port(host: str, domain: str, port: int | None) -> None:
    url = translate("ecs", host=host)["url"]

    assert (url["domain"], url.get("port")) == (domain, port)


def test_names_in_a_query_that_are_one_when_they_are_clean_share_a_list() -> None:
    """A plan converts a query before it is cleaned, the chain afterwards."""
    dirty, clean = (translate("datadog", query=query)["http"]["url_details"] for query in ("\0=1&\ufffd=2", "_=1&_=2"))

    assert dirty == clean


def test_a_text_that_is_not_an_address_is_not_put_where_a_store_requires_one() -> None:
    assert translate("ecs", client_ip="10.0.0.x")["client"] == {"address": "10.0.0.x"}
    assert translate("ecs", client_ip="10.0.0.1")["client"] == {"ip": "10.0.0.1"}


@pytest.mark.parametrize("seconds", [-1.0, 1e10, 1e300, 2**60])
def test_an_impossible_duration_becomes_a_field_of_the_application(seconds: float) -> None:
    """Beyond 64 bits it would not even be JSON that every encoder can write."""
    assert translate("ecs", duration_seconds=seconds)["app"] == {"app_duration_seconds": seconds}
    assert translate("datadog", duration_seconds=seconds)["app"] == {"app_duration_seconds": seconds}
    assert translate("gcp", duration_seconds=seconds)["app"] == {"app_duration_seconds": seconds}
