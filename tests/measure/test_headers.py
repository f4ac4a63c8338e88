"""`obs_middleware.measure.headers`: sizes, targets and optional fields of requests and responses."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from conftest import Get, Site
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings

from obs_middleware.measure.headers import EXPOSING, declared_bytes, meta_key, response_bytes, target_of
from obs_middleware.testing import CapturedRequests


def test_optional_fields_are_left_out_by_default(get: Get, lines: CapturedRequests) -> None:
    get("/ok/?a=1", headers={"User-Agent": "curl", "Referer": "http://x/", "X-Tenant": "t"})

    assert not {"user_agent", "host", "scheme", "http_version", "query", "referrer", "headers"} & set(lines[0])


def test_optional_fields_and_headers_are_on_the_line_if_configured(
    mode: str, get: Get, lines: CapturedRequests
) -> None:
    asked = {
        "FIELDS": ["user_agent", "host", "scheme", "http_version", "query", "referrer"],
        "HEADERS": ["X-Tenant", "Authorization", "X-Missing"],
    }
    sent = {
        **({"Host": "testserver"} if mode == "sync" else {}),  # the async client sends it by itself
        "User-Agent": "curl",
        "Referer": "http://u:p@x/y?token=1&b=2#f",
        "X-Tenant": "t1",
        "Authorization": "Bearer abc",
    }
    with override_settings(OBS_MIDDLEWARE=asked):
        get("/ok/?a=1&token=secret", headers=sent)

    (line,) = lines
    assert (line["user_agent"], line["host"], line["scheme"]) == ("curl", "testserver", "http")
    assert line["http_version"] == "1.1"
    assert line["query"] == "a=1&token=[redacted]"
    assert line["referrer"] == "http://x/y?token=[redacted]&b=2"
    assert line["headers"] == {"x-tenant": "t1", "authorization": "[redacted]"}


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        ("12", 12),
        ("0", 0),
        ("", None),
        (None, None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("9" * 30, None),
        ("x", None),
    ],
    ids=repr,
)
def test_the_declared_size_is_read_or_left_out(length: str | None, expected: int | None) -> None:
    assert declared_bytes(length) == expected


def test_the_size_of_a_plain_response_is_known() -> None:
    assert response_bytes(HttpResponse("é"), "GET") == 2
    assert response_bytes(HttpResponse("é"), "HEAD") == 0
    assert response_bytes(StreamingHttpResponse([]), "GET") is None


@pytest.mark.parametrize(
    ("header", "key"),
    [("X-Request-ID", "HTTP_X_REQUEST_ID"), ("Content-Type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH")],
)
def test_a_header_has_its_key_in_meta(header: str, key: str) -> None:
    assert meta_key(header) == key


@pytest.mark.parametrize(
    "request_", [None, object(), Mock(), Mock(spec=HttpRequest)], ids=["none", "object", "mock", "spec"]
)
def test_an_object_that_is_not_a_request_has_no_target(request_: Any) -> None:
    assert target_of(request_) == (None, None, {})


def test_the_target_of_a_request_is_read() -> None:
    request = RequestFactory().put("/a/?b=1")

    assert target_of(request) == ("PUT", "/a/", request.META)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "X-Request-ID"),
        ("", "X-Request-ID"),
        ("ETag, X-Total", "ETag, X-Total, X-Request-ID"),
        ("X-Request-Id ,ETag", "X-Request-Id ,ETag"),
        ("*", "*, X-Request-ID"),
    ],
    ids=repr,
)
def test_the_id_is_added_to_the_headers_that_other_origins_may_read(before: str | None, after: str, site: Site) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={} if before is None else {EXPOSING: before})

    assert site.get(view).headers.get(EXPOSING) == before
    assert site.get(view, OBS_MIDDLEWARE={"EXPOSE_HEADER": True})[EXPOSING] == after
    hidden = site.get(view, OBS_MIDDLEWARE={"EXPOSE_HEADER": True, "RESPONSE_HEADER": False})
    assert hidden.headers.get(EXPOSING) == before
