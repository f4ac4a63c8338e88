"""
`obs_middleware.measure.sentry`: lines and Sentry's events have the same ids.

The real SDK patches Django, Celery and the logging module for good, so each set-up of the SDK has a process: this file,
run with the set-up's name. It serves all requests, and prints their events and lines.
"""

from __future__ import annotations

import functools
import gc
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from endings.drivers import OURS, Visit, site, visit_asgi, visit_wsgi
from hypothesis import given
from hypothesis import strategies as st
from paths import TESTS

from obs_middleware import logging_config
from obs_middleware.measure import sentry
from obs_middleware.measure.event import Event
from obs_middleware.measure.sentry import parse_sentry_trace
from obs_middleware.testing import capture_requests
from obs_middleware.work import tasks

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"

SDKS: dict[str, dict[str, Any]] = {
    "errors only": {},
    "tracing": {"traces_sample_rate": 1.0},
    "logs": {"enable_logs": True},
    "streamed spans": {"traces_sample_rate": 1.0, "_experiments": {"trace_lifecycle": "stream"}},
    "started late": {"traces_sample_rate": 1.0},
    "without its Django integration": {},
}
"""Options of ``sentry_sdk.init``. "started late": the SDK is imported when the site is already built."""

TRACED = ["tracing", "started late"]
INTEGRATED = [one for one in SDKS if one != "without its Django integration"]

SERVERS = ["wsgi", "asgi", "asgi observed"]


def raising() -> HttpResponse:
    raise ValueError("the bank is closed")


def logging_an_error() -> HttpResponse:
    logging.getLogger("shop").error("card refused")
    return HttpResponse()


def chunks() -> Iterator[bytes]:
    yield b"a"
    raise ValueError("the bank is closed")


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"a"
    raise ValueError("the bank is closed")


def in_a_thread() -> HttpResponse:
    thread = threading.Thread(target=logging_an_error)
    thread.start()
    thread.join()
    return HttpResponse()


def with_a_tag() -> HttpResponse:
    sys.modules["sentry_sdk"].set_tag("request_id", "of the site")
    return raising()


def checking_in() -> HttpResponse:
    sys.modules["sentry_sdk"].crons.capture_checkin(monitor_slug="nightly", status="ok")
    return HttpResponse()


VIEWS: dict[str, Callable[[], Any]] = {
    "200": lambda: HttpResponse(),
    "raises": raising,
    "logs an error": logging_an_error,
    "a stream breaks": lambda: StreamingHttpResponse(chunks()),
    "a thread logs an error": in_a_thread,
    "sets the tag": with_a_tag,
    "checks in": checking_in,
}
HEADERS: dict[str, dict[str, str]] = {
    "": {},
    "sentry-trace": {"sentry-trace": f"{TRACE}-{SPAN}-1"},
    "traceparent": {"traceparent": f"00-{TRACE}-{SPAN}-00"},
    "both": {"traceparent": f"00-{TRACE}-{SPAN}-00", "sentry-trace": f"{OTHER}-{SPAN}-1"},
}
Found = dict[str, Any]


@functools.cache
def results(sdk: str) -> dict[str, Found]:
    """Return what each request gave, by `key`: its line, and Sentry's items."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    command = [sys.executable, __file__, sdk]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Found] = json.loads(result.stdout)
    return found


def key(server: str, view: str, headers: str = "") -> str:
    return f"{server} | {view} | {headers}"


on_all_servers = pytest.mark.parametrize("server", SERVERS)


@on_all_servers
@pytest.mark.parametrize("view", ["raises", "logs an error", "a stream breaks"])
@pytest.mark.parametrize("sdk", SDKS)
def test_the_event_of_an_error_has_the_id_of_its_line(sdk: str, view: str, server: str) -> None:
    if view == "a stream breaks" and sdk not in INTEGRATED:
        pytest.skip("only the Django integration makes an event of it")
    found = results(sdk)[key(server, view)]

    assert [event["tags"]["request_id"] for event in found["event"]] == [found["line"]["request_id"]]


@on_all_servers
@pytest.mark.parametrize("view", ["200", "raises", "a stream breaks"])
@pytest.mark.parametrize("sdk", TRACED)
def test_a_transaction_has_the_id_of_its_line(sdk: str, view: str, server: str) -> None:
    found = results(sdk)[key(server, view)]

    assert [one["tags"]["request_id"] for one in found["transaction"]] == [found["line"]["request_id"]]


@on_all_servers
@pytest.mark.parametrize("sdk", INTEGRATED)
def test_a_line_without_another_trace_has_that_of_its_event(sdk: str, server: str) -> None:
    found = results(sdk)[key(server, "raises")]

    (event,) = found["event"]
    assert event["contexts"]["trace"]["trace_id"] == found["line"]["trace_id"]
    if sdk != "streamed spans":  # with tracing, the event has a span further inside
        (root,) = found["transaction"] if sdk in TRACED else [event]
        assert root["contexts"]["trace"]["span_id"] == found["line"]["span_id"]
    assert "parent_span_id" not in found["line"]


@pytest.mark.parametrize("sdk", INTEGRATED)
def test_each_request_has_a_trace_of_its_own(sdk: str) -> None:
    traces = [results(sdk)[key(server, view)]["line"]["trace_id"] for server in SERVERS for view in VIEWS]

    assert len(set(traces)) == len(SERVERS) * len(VIEWS)


@on_all_servers
@pytest.mark.parametrize("sdk", SDKS)
def test_the_trace_of_a_sentry_trace_header_is_continued(sdk: str, server: str) -> None:
    """Also where the SDK does not read the header, because its Django integration is off."""
    found = results(sdk)[key(server, "raises", "sentry-trace")]

    assert (found["line"]["trace_id"], found["line"]["parent_span_id"]) == (TRACE, SPAN)
    assert found["line"]["span_id"] != SPAN
    if sdk in INTEGRATED:
        assert [event["contexts"]["trace"]["trace_id"] for event in found["event"]] == [TRACE]


@on_all_servers
@pytest.mark.parametrize("headers", ["traceparent", "both"])
@pytest.mark.parametrize("sdk", SDKS)
def test_a_traceparent_wins(sdk: str, headers: str, server: str) -> None:
    found = results(sdk)[key(server, "raises", headers)]

    assert (found["line"]["trace_id"], found["line"]["parent_span_id"]) == (TRACE, SPAN)
    assert [event["tags"]["request_id"] for event in found["event"]] == [found["line"]["request_id"]]


def test_a_span_of_opentelemetry_wins() -> None:
    found = results("tracing")["in a span"]

    assert found["line"]["trace_id"] == found["active"]


@on_all_servers
def test_the_trace_of_a_whole_process_is_not_that_of_a_request(server: str) -> None:
    found = results("without its Django integration")[key(server, "raises")]

    assert len(found["event"]) == 1
    assert "trace_id" not in found["line"]


@on_all_servers
def test_the_event_of_a_thread_has_the_id_of_the_request_that_started_it(server: str) -> None:
    found = results("errors only")[key(server, "a thread logs an error")]

    assert [event["tags"]["request_id"] for event in found["event"]] == [found["line"]["request_id"]]


@on_all_servers
@pytest.mark.parametrize("sdk", INTEGRATED)
def test_a_tag_of_the_site_wins(sdk: str, server: str) -> None:
    found = results(sdk)[key(server, "sets the tag")]

    assert [event["tags"]["request_id"] for event in found["event"]] == ["of the site"]


@on_all_servers
def test_a_check_in_has_no_tags(server: str) -> None:
    found = results("errors only")[key(server, "checks in")]

    assert ["tags" in one for one in found["check_in"]] == [False]


@on_all_servers
def test_logs_have_the_id_as_an_attribute(server: str) -> None:
    found = results("logs")[key(server, "logs an error")]

    bodies = {one["body"]: one["attributes"]["request_id"]["value"] for log in found["log"] for one in log["items"]}
    assert bodies["card refused"] == found["line"]["request_id"]


@on_all_servers
def test_streamed_spans_have_the_id_as_an_attribute(server: str) -> None:
    found = results("streamed spans")[key(server, "200")]

    spans = [one for group in found["span"] for one in group["items"]]
    (root,) = [one for one in spans if one["is_segment"]]
    assert root["attributes"]["request_id"]["value"] == found["line"]["request_id"]
    assert root["trace_id"] == found["line"]["trace_id"]


@pytest.mark.parametrize("sdk", INTEGRATED)
def test_a_task_and_the_request_that_sent_it_have_one_id_and_one_trace(sdk: str) -> None:
    sent, done = results(sdk)["sends a task"]["line"], results(sdk)["task"]

    task = done["line"]
    assert (task["kind"], task["request_id"], task["trace_id"]) == ("task", sent["request_id"], sent["trace_id"])
    expected = {"request_id": task["request_id"], "task_id": task["task_id"]}
    items = [*done["event"], *done["transaction"]]
    assert [one["type"] for one in items] == ["event", "transaction"][: 2 if sdk in TRACED else 1]
    for one in items:
        assert expected.items() <= one["tags"].items()
        assert one["contexts"]["trace"]["trace_id"] == task["trace_id"]


def test_a_task_that_nobody_has_sent_along_a_trace_has_that_of_sentry() -> None:
    found = results("tracing")["task without a carrier"]

    (event,) = found["event"]
    assert event["contexts"]["trace"]["trace_id"] == found["line"]["trace_id"]


@pytest.mark.parametrize("sdk", TRACED)
def test_work_inside_a_transaction_of_the_site_has_its_trace(sdk: str) -> None:
    found = results(sdk)["transaction of the site"]

    (transaction,) = found["transaction"]
    assert transaction["contexts"]["trace"]["trace_id"] == found["line"]["trace_id"]
    assert transaction["contexts"]["trace"]["span_id"] == found["line"]["span_id"]
    assert transaction["tags"]["request_id"] == found["line"]["request_id"]


@pytest.mark.parametrize("sdk", SDKS)
def test_an_error_outside_all_work_has_no_tags(sdk: str) -> None:
    found = results(sdk)["outside"]

    assert [event.get("tags") for event in found["event"]] == [None]


# The parts that need no process


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"{TRACE}-{SPAN}", 0),
        (f"{TRACE}-{SPAN}-0", 0),
        (f"{TRACE}-{SPAN}-1", 1),
        (f" \t{TRACE}-{SPAN}-1 ", 1),
        (f"{TRACE}-{SPAN}-2", None),
        (f"{TRACE}-{SPAN}-", None),
        (f"{TRACE}", None),
        (f"00-{TRACE}-{SPAN}-01", None),
        (f"{TRACE.upper()}-{SPAN}", None),
        (f"{'0' * 32}-{SPAN}-1", None),
        (f"{TRACE}-{'0' * 16}-1", None),
        (f"{TRACE}-{SPAN}{' ' * 1000}", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_sentry_trace_is_read(header: object, flags: int | None) -> None:
    assert parse_sentry_trace(header) == (None if flags is None else (TRACE, SPAN, flags))


@given(st.text() | st.from_regex(r"[ \t]*[0-9a-f]{32}-[0-9a-f]{16}(-[01])?[ \t]*", fullmatch=True))
def test_any_header_is_read_or_ignored(header: str) -> None:
    parsed = parse_sentry_trace(header)

    assert parsed is None or (len(parsed[0]), len(parsed[1])) == (32, 16)


def test_an_sdk_that_works_otherwise_stops_no_request(capfd: pytest.CaptureFixture[str]) -> None:
    event = Event(0.0, "an-id", "GET", "/")

    sentry._join(SimpleNamespace(), event, {})

    assert event.trace is None


def test_the_sdk_has_the_parts_that_have_no_public_name() -> None:
    """If this fails, look in the SDK for the scope that an integration opens for a request, and how to recognise it."""
    from sentry_sdk import scope  # noqa: PLC0415 -- the process below must be able to import it late

    assert scope._isolation_scope.name == "isolation_scope"
    assert scope._current_scope.name == "current_scope"
    with scope.isolation_scope() as isolation:
        assert isolation._name is None


# The process that the tests start


class Started:
    """Sentry's SDK with a transport that keeps what it would send."""

    def __init__(self, sdk: str) -> None:
        import sentry_sdk  # noqa: PLC0415 -- it must be possible to import it late
        from sentry_sdk.integrations.django import DjangoIntegration  # noqa: PLC0415
        from sentry_sdk.transport import Transport  # noqa: PLC0415

        kept: list[dict[str, Any]] = []

        class Kept(Transport):
            def capture_envelope(self, envelope: Any) -> None:
                kept.extend({"type": one.type, **one.payload.json} for one in envelope.items if one.payload.json)

        without = [DjangoIntegration] if sdk == "without its Django integration" else []
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Kept, disabled_integrations=without, **SDKS[sdk])
        self.module = sentry_sdk
        self.kept = kept

    def observe(self, work: Callable[[], Any]) -> Found:
        """Do *work*, and return its line and Sentry's items by type."""
        self.kept.clear()
        with capture_requests() as lines:
            work()
            self.module.flush()
        types = ("event", "transaction", "check_in", "log", "span")
        return {"line": lines[-1] if lines else None} | {
            name: [one for one in self.kept if one["type"] == name] for name in types
        }


def served_by(server: str, handler: Any, visit: Visit) -> None:
    if server == "wsgi":
        visit_wsgi(visit, handler=handler)
    else:
        visit_asgi(visit, handler=handler, outside="observed" in server)


def view(request: HttpRequest) -> Any:
    return VIEWS[request.headers["X-View"]]()


async def async_view(request: HttpRequest) -> Any:
    response = view(request)
    if response.streaming:
        response.streaming_content = async_chunks()
    return response


def main(sdk: str) -> None:
    late = sdk == "started late"
    started = None if late else Started(sdk)
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=["obs_middleware"],
        LOGGING=logging_config(stream="stderr"),
    )
    django.setup()
    views: dict[str, Any] = {server: view if server == "wsgi" else async_view for server in SERVERS}
    handlers: dict[str, Any] = {}
    for server in SERVERS:
        with site(views[server], [OURS]):
            handlers[server] = WSGIHandler() if server == "wsgi" else ASGIHandler()
    assert not late or "sentry_sdk" not in sys.modules
    started = started or Started(sdk)
    found: dict[str, Found] = {}
    if sdk not in INTEGRATED:
        VIEWS.pop("sets the tag")  # the tag would be that of the whole process
    for server in SERVERS:
        with site(views[server], [OURS]):
            for name, sent in [*((name, "") for name in VIEWS), *(("raises", sent) for sent in HEADERS if sent)]:
                visit = Visit(headers={"X-View": name, **HEADERS[sent]})
                found[key(server, name, sent)] = started.observe(
                    functools.partial(served_by, server, handlers[server], visit)
                )
            gc.freeze()  # each visit collects garbage, which takes as long as the heap is large
    with site(view, [OURS]):
        found |= other_work(started, handlers["wsgi"])
    print(json.dumps(found))


def other_work(started: Started, handler: Any) -> dict[str, Found]:
    """Return what was found in tasks, in a span of OpenTelemetry, in a transaction of the site, and outside."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- slow to import
    from work.celery.inmemory import app, work  # noqa: PLC0415 -- the integration of the SDK must be there before

    pay = app.task(name="pay")(raising)

    def sending() -> HttpResponse:
        pay.delay()
        return HttpResponse()

    def serve(name: str) -> None:
        visit_wsgi(Visit(headers={"X-View": name}), handler=handler)

    def in_a_transaction() -> None:
        with started.module.start_transaction(name="nightly"), tasks.running("shop.report", "an-id"):
            pass

    VIEWS["sends a task"] = sending
    found = {"sends a task": started.observe(lambda: serve("sends a task")), "task": started.observe(work)}
    pay.delay()
    found["task without a carrier"] = started.observe(work)
    with TracerProvider().get_tracer("tests").start_as_current_span("outer") as span:
        active = f"{span.get_span_context().trace_id:032x}"
        found["in a span"] = {**started.observe(lambda: serve("200")), "active": active}
    found["transaction of the site"] = started.observe(in_a_transaction)
    found["outside"] = started.observe(logging_an_error)
    return found


if __name__ == "__main__":
    main(sys.argv[1])
