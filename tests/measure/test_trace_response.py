"""`obs_middleware.measure.trace_response`: the header ``traceresponse``, on the responses of Django and of servers."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from endings.drivers import OURS, Visit, site, visit_asgi
from opentelemetry.sdk.trace import TracerProvider

from obs_middleware.measure.headers import EXPOSING
from obs_middleware.testing import CapturedRequests

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
CHOSEN = {"TRACE_RESPONSE": True}


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@pytest.mark.parametrize(("flags", "sent"), [("00", "00"), ("01", "01"), ("ff", "03")])
def test_the_header_continues_the_trace_of_the_caller_with_the_span_of_the_line(
    site: Site, flags: str, sent: str, lines: CapturedRequests
) -> None:
    response = site.get(ok, headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}, OBS_MIDDLEWARE=CHOSEN)

    assert response["traceresponse"] == f"00-{TRACE}-{lines[0]['span_id']}-{sent}"
    assert lines[0]["span_id"] != SPAN


def test_a_response_has_no_such_header_by_default(site: Site) -> None:
    assert "traceresponse" not in site.get(ok, headers=TRACEPARENT)


@pytest.mark.parametrize("headers", [{}, {"traceparent": "garbage"}], ids=["none", "malformed"])
def test_without_a_trace_there_is_no_header(site: Site, headers: dict[str, str]) -> None:
    assert "traceresponse" not in site.get(ok, headers=headers, OBS_MIDDLEWARE=CHOSEN)


def test_an_error_has_the_header_too(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise ValueError("no stock")

    response = site.get(view, headers=TRACEPARENT, OBS_MIDDLEWARE=CHOSEN)

    assert (response.status_code, response["traceresponse"]) == (500, f"00-{TRACE}-{lines[0]['span_id']}-01")


def test_a_header_of_the_application_stays(site: Site) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"traceresponse": "its own"})

    assert site.get(view, headers=TRACEPARENT, OBS_MIDDLEWARE=CHOSEN)["traceresponse"] == "its own"


def test_the_span_of_opentelemetry_is_in_the_header(site: Site, lines: CapturedRequests) -> None:
    if site.mode != "sync":
        pytest.skip("the span of this test is not active in the event loop's task")
    with TracerProvider().get_tracer("tests").start_as_current_span("outer") as span:
        response = site.get(ok, OBS_MIDDLEWARE=CHOSEN)

    context = span.get_span_context()
    assert response["traceresponse"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@pytest.mark.parametrize(
    ("settings", "exposed"),
    [
        ({}, "X-Request-ID, traceresponse"),
        ({"RESPONSE_HEADER": False}, "traceresponse"),
        ({"TRACE_RESPONSE": False}, "X-Request-ID"),
    ],
    ids=["both", "trace", "id"],
)
def test_scripts_of_other_origins_may_read_it(site: Site, settings: dict[str, Any], exposed: str) -> None:
    response = site.get(ok, headers=TRACEPARENT, OBS_MIDDLEWARE={**CHOSEN, "EXPOSE_HEADER": True, **settings})

    assert response[EXPOSING] == exposed


def test_a_header_that_is_not_sent_is_not_exposed(site: Site) -> None:
    response = site.get(ok, OBS_MIDDLEWARE={**CHOSEN, "EXPOSE_HEADER": True})

    assert response[EXPOSING] == "X-Request-ID"


def outer_failing(get_response: Any) -> Any:
    """Middleware above ours whose response is not that of the layers below."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        await get_response(request)
        return HttpResponse("teapot", status=418)

    return middleware


outer_failing.async_capable = True  # type: ignore[attr-defined]  # as Django's decorators do
outer_failing.sync_capable = False  # type: ignore[attr-defined]  # as above


def test_observed_adds_it_to_a_response_that_did_not_pass_the_middleware(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    chosen = {**CHOSEN, "EXPOSE_HEADER": True}
    with site(view, [f"{__name__}.outer_failing", OURS], OBS_MIDDLEWARE=chosen):
        visit = visit_asgi(Visit(headers=TRACEPARENT), outside=True)

    headers = visit.messages[0]["headers"]
    assert visit.status == 418
    assert [value for name, value in headers if name == b"traceresponse"] == [
        f"00-{TRACE}-{lines[0]['span_id']}-01".encode()
    ]
    exposed = [value for name, value in headers if name == EXPOSING.lower().encode()]
    assert exposed == [b"x-request-id", b"traceresponse"]


@pytest.mark.parametrize("headers", [TRACEPARENT, {}], ids=["traced", "untraced"])
def test_observed_adds_nothing_that_is_there(headers: dict[str, str]) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with site(view, [OURS], OBS_MIDDLEWARE={**CHOSEN, "EXPOSE_HEADER": True}):
        visit = visit_asgi(Visit(headers=headers), outside=True)

    names = [name.lower() for name, _ in visit.messages[0]["headers"]]
    assert names.count(b"traceresponse") == len(headers)
    assert (names.count(b"x-request-id"), names.count(EXPOSING.lower().encode())) == (1, 1)


def test_the_setting_counts_while_the_process_runs(site: Site) -> None:
    with override_settings(OBS_MIDDLEWARE=CHOSEN):
        assert "traceresponse" in site.get(ok, headers=TRACEPARENT)
    assert "traceresponse" not in site.get(ok, headers=TRACEPARENT)
