"""`obs_middleware.measure.tracing`: traces from friendly and hostile callers."""

from __future__ import annotations

import runpy
import sys
from types import ModuleType

import pytest
from conftest import Get, Site
from django.http import HttpRequest, HttpResponse
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from obs_middleware.measure import tracing
from obs_middleware.measure.event import Event
from obs_middleware.measure.tracing import parse_traceparent, trace_of, traceparent_of
from obs_middleware.testing import CapturedRequests

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", True),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"00-{TRACE}-{SPAN}-01-extra", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE[:-1]}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-1", False),
        (f"00-{TRACE}-{SPAN}", False),
        (f" 00-{TRACE}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-01\n", False),
        (f"cc-{TRACE}-{SPAN}-01.", False),
        (f"cc-{TRACE}-{SPAN}-01-{'x' * 1000}", False),
        ("", False),
        (None, False),
        (7, False),
    ],
)
def test_a_traceparent_is_read_by_the_standard(header: object, valid: bool) -> None:
    parsed = parse_traceparent(header)

    assert (parsed and parsed[:2]) == ((TRACE, SPAN) if valid else None)


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_any_header_gives_a_trace_or_none(header: str) -> None:
    parsed = parse_traceparent(header)

    assert parsed is None or (len(parsed[0]), len(parsed[1])) == (32, 16)


def test_the_trace_is_on_every_line_of_the_request(get: Get, lines: CapturedRequests) -> None:
    get("/talk/", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})

    everything = [*lines, *lines.logs]
    assert {line["trace_id"] for line in everything} == {TRACE}
    assert {line["parent_span_id"] for line in everything} == {SPAN}
    (own,) = {line["span_id"] for line in everything}
    assert len(own) == 16
    assert own != SPAN


@pytest.mark.parametrize("header", ["garbage", f"00-{'0' * 32}-{SPAN}-01"])
def test_a_bad_trace_is_ignored(get: Get, header: str, lines: CapturedRequests) -> None:
    assert get("/ok/", headers={"traceparent": header}).status_code == 200
    assert "trace_id" not in lines[0]


def test_a_request_without_a_trace_has_no_trace_fields(get: Get, lines: CapturedRequests) -> None:
    get("/ok/")

    assert not {"trace_id", "span_id", "parent_span_id"} & set(lines[0])


def test_the_active_span_of_opentelemetry_wins(site: Site, lines: CapturedRequests) -> None:
    tracer = TracerProvider().get_tracer("tests")

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner") as inner:
        if site.mode == "sync":
            site.get(view, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        found = trace_of(f"00-{TRACE}-{SPAN}-01")

    context = inner.get_span_context()
    outer_id = f"{outer.get_span_context().span_id:016x}"
    assert found == (f"{context.trace_id:032x}", f"{context.span_id:016x}", outer_id, context.trace_flags)
    if site.mode == "sync":
        assert (lines[0]["trace_id"], lines[0]["span_id"]) == found[:2]


@pytest.mark.parametrize(("flags", "sent"), [("00", "00"), ("01", "01"), ("02", "02"), ("ff", "03")])
def test_work_elsewhere_has_the_span_of_the_request_as_its_parent(flags: str, sent: str) -> None:
    """Flags that the standard does not know are not sent on."""
    event = Event(0.0, "an-id", "GET", "/")
    assert traceparent_of(event) is None

    event.set_trace(*trace_of(f"00-{TRACE}-{SPAN}-{flags}") or ())

    assert event.trace is not None
    assert traceparent_of(event) == f"00-{TRACE}-{event.trace['span_id']}-{sent}"


def test_work_elsewhere_has_the_active_span_of_opentelemetry_as_its_parent() -> None:
    event = Event(0.0, "an-id", "GET", "/")
    event.set_trace(TRACE, SPAN, None)
    with TracerProvider().get_tracer("tests").start_as_current_span("a call") as span:
        context = span.get_span_context()

        expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        assert context.trace_flags.sampled
        assert traceparent_of(event) == expected


def test_an_invalid_span_is_ignored() -> None:
    with trace.use_span(trace.INVALID_SPAN):
        assert trace_of(None) is None


def test_without_opentelemetry_only_the_header_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "opentelemetry_context", None)
    found = trace_of(f"00-{TRACE}-{SPAN}-01")

    assert found is not None
    assert (found.trace_id, found.parent_span_id) == (TRACE, SPAN)


def test_a_namespace_of_opentelemetry_without_its_api_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """``opentelemetry-proto`` alone installs such a namespace."""
    namespace = ModuleType("opentelemetry")
    namespace.__path__ = []
    monkeypatch.setitem(sys.modules, "opentelemetry", namespace)
    for name in ("opentelemetry.trace", "opentelemetry.context"):
        monkeypatch.delitem(sys.modules, name)

    assert runpy.run_path(tracing.__file__)["opentelemetry_context"] is None
