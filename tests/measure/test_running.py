"""`obs_middleware.measure.running`: requests in flight, and the watchdog for late ones."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Get, Site, respond
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import resolve

from obs_middleware import bind, in_flight, stats
from obs_middleware.measure.event import event_of
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

# From Python 3.12 on, a fork of a process with threads is a warning. These tests need it.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SOON = 0.05
PATIENCE = 20


def test_a_request_is_in_flight_while_it_runs(get: Get, site: Site) -> None:
    seen: list[Any] = []

    def view(request: HttpRequest, number: int) -> HttpResponse:
        seen.extend(in_flight())
        return HttpResponse()

    site.get(view, "/7/", route="<int:number>/")

    (running,) = seen
    assert (running.method, running.path, running.route) == ("GET", "/7/", "<int:number>/")
    assert len(running.request_id) == 32
    assert 0 < running.age_seconds < PATIENCE
    assert in_flight() == []


def test_a_stream_is_in_flight_until_its_body_is_over() -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"x"]))

    request = RequestFactory().get("/shop/item/7/")
    request.resolver_match = resolve(request.path)
    response = respond(view, request)
    del request  # the line is not delayed by a reference of ours to the request
    assert [(running.path, running.route) for running in in_flight()] == [("/shop/item/7/", "shop/item/<int:number>/")]
    list(response.streaming_content)

    assert in_flight() == []


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_a_request_that_fails_is_not_in_flight_any_more(error: type[BaseException]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(error):
        respond(view, RequestFactory().get("/"))

    assert in_flight() == []


def test_the_oldest_request_comes_first() -> None:
    seen: list[str | None] = []

    def inner(request: HttpRequest) -> HttpResponse:
        seen.extend(running.path for running in in_flight())
        return HttpResponse()

    def outer(request: HttpRequest) -> Any:
        return respond(inner, RequestFactory().get("/inner/"))

    respond(outer, RequestFactory().get("/outer/"))

    assert seen == ["/outer/", "/inner/"]


@forking
def test_a_child_process_has_no_requests_of_its_parent() -> None:
    reading, writing = os.pipe()

    def view(request: HttpRequest) -> HttpResponse:
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, f"{len(in_flight())} {stats()['requests']}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return HttpResponse()

    respond(view, RequestFactory().get("/"))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "0 0"


# The watchdog


@pytest.fixture(name="impatient")
def _impatient() -> Iterator[None]:
    with override_settings(OBS_MIDDLEWARE={"WATCHDOG_SECONDS": SOON}):
        yield


def until_warned(lines: CapturedRequests) -> dict[str, Any]:
    """Wait for the warning, even on a busy machine."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if lines.logs:
            return lines.logs[0]
        waiting.wait(0.01)
    raise AssertionError("no warning came")


@pytest.mark.usefixtures("impatient")
def test_a_late_request_in_a_thread_gets_one_warning_with_its_stack(lines: CapturedRequests) -> None:
    def slow_query(request: HttpRequest) -> None:
        until_warned(lines)
        threading.Event().wait(SOON * 3)

    match = resolve("/shop/item/7/")  # not in the view: the first call imports all URLs, which may take too long

    def view(request: HttpRequest) -> HttpResponse:
        request.resolver_match = match
        bind(cart=7)
        slow_query(request)
        return HttpResponse()

    respond(view, RequestFactory().get("/late/"))

    (warning,) = lines.logs
    assert (warning["level"], warning["logger"]) == ("warning", "obs_middleware")
    assert warning["message"] == "Request still running after 0.1 seconds"
    assert (warning["method"], warning["path"], warning["route"]) == ("GET", "/late/", "shop/item/<int:number>/")
    assert warning["request_id"] == lines[0]["request_id"]
    assert warning["cart"] == 7
    assert warning["age_seconds"] >= SOON
    assert "in slow_query" in warning["stack_info"]
    assert "age_seconds" not in lines[0]


@pytest.mark.usefixtures("impatient")
def test_a_late_request_in_a_task_gets_a_warning_with_its_stack(lines: CapturedRequests) -> None:
    async def waits_here() -> None:
        while not lines.logs:  # noqa: ASYNC110 -- the warning comes from a thread
            await asyncio.sleep(0.01)

    async def view(request: HttpRequest) -> HttpResponse:
        await waits_here()
        return HttpResponse()

    async def visit() -> None:
        async with asyncio.timeout(PATIENCE):
            await TimingMiddleware(view)(AsyncRequestFactory().get("/"))

    asyncio.run(visit())

    (warning,) = lines.logs
    assert "in waits_here" in warning["stack_info"]
    assert warning["request_id"] == lines[0]["request_id"]


@pytest.mark.usefixtures("impatient")
def test_a_late_sync_view_under_asgi_is_found_in_its_thread(lines: CapturedRequests) -> None:
    def blocks_here(request: HttpRequest) -> HttpResponse:
        event = event_of(request)
        assert event is not None
        until_warned(lines)
        for _ in range(int(PATIENCE / 0.01)):
            if "in blocks_here" in lines.logs[-1]["stack_info"]:
                break
            # On a busy machine the request may be late before it gets here. Then watch it again.
            event.watched = True
            threading.Event().wait(0.01)
        return HttpResponse()

    Site("async").get(blocks_here)

    assert "in blocks_here" in lines.logs[-1]["stack_info"]


@pytest.mark.usefixtures("impatient")
def test_requests_in_time_get_no_warning(lines: CapturedRequests) -> None:
    for _ in range(10):
        respond(lambda request: HttpResponse(), RequestFactory().get("/"))
    threading.Event().wait(SOON * 2)

    assert lines.logs == []


@pytest.mark.usefixtures("impatient")
def test_one_thread_watches_all_requests() -> None:
    for _ in range(5):
        respond(lambda request: HttpResponse(), RequestFactory().get("/"))

    watching = [thread for thread in threading.enumerate() if thread.name == "obs_middleware watchdog"]
    assert len(watching) == 1
    assert watching[0].daemon


@forking
@pytest.mark.usefixtures("impatient")
def test_the_watchdog_runs_in_a_child_process_too() -> None:
    reading, writing = os.pipe()
    respond(lambda request: HttpResponse(), RequestFactory().get("/"))
    child = os.fork()
    if child == 0:
        try:
            respond(lambda request: HttpResponse(), RequestFactory().get("/"))
            names = [thread.name for thread in threading.enumerate() if thread.is_alive()]
            os.write(writing, ",".join(names).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        assert "obs_middleware watchdog" in pipe.read()


@pytest.mark.parametrize("seconds", [SOON, 1000])
def test_the_watchdog_follows_a_change_of_the_settings(seconds: float, lines: CapturedRequests) -> None:
    """The middleware and the thread of the watchdog are older than the settings."""
    before = 1000 if seconds == SOON else SOON
    with override_settings(OBS_MIDDLEWARE={"WATCHDOG_SECONDS": before}):
        middleware: Any = TimingMiddleware(lambda request: request.view())
        request: Any = RequestFactory().get("/first/")
        request.view = HttpResponse
        middleware(request)
    late = RequestFactory().get("/late/")

    def view() -> HttpResponse:
        if seconds == SOON:
            until_warned(lines)
        else:
            threading.Event().wait(SOON * 3)
        return HttpResponse()

    late.view = view  # type: ignore[attr-defined]  # as above
    with override_settings(OBS_MIDDLEWARE={"WATCHDOG_SECONDS": seconds}):
        middleware(late)

    assert [log["path"] for log in lines.logs] == (["/late/"] if seconds == SOON else [])


def test_no_watchdog_without_the_setting(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        threading.Event().wait(SOON * 2)
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert lines.logs == []
