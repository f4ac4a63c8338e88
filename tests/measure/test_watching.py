"""`obs_middleware.measure.watching`: requests that run too long, become slow, or block an event loop."""

# ruff: noqa: ASYNC251 -- to block the event loop is what is tested here

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import gc
import os
import pdb  # noqa: T100 -- a debugger that waits is tested here
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from conftest import Site, respond
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import resolve
from watched import LOOPS, PATIENCE, block, blocked, compute, new_loop, run, serve, until

from obs_middleware import bind, threads
from obs_middleware.asgi import observed
from obs_middleware.conf import get_settings
from obs_middleware.measure import watching
from obs_middleware.measure.garbage import PAUSES
from obs_middleware.measure.running import RUNNING
from obs_middleware.measure.stacks import find_stacks
from obs_middleware.measure.watching import WATCH
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

# From Python 3.12 on, a fork of a process with threads is a warning. These tests need it.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SOON = 0.05
LONG = 0.3


# The watchdog


@pytest.fixture(name="impatient")
def _impatient() -> Iterator[None]:
    with override_settings(OBS_MIDDLEWARE={"WATCHDOG_SECONDS": SOON}):
        yield


def until_warned(lines: CapturedRequests) -> dict[str, Any]:
    """Wait for the warning, even on a busy machine."""
    until(lambda: lines.logs)
    return lines.logs[0]


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
        here.set()
        until_warned(lines)
        return HttpResponse()

    here = threading.Event()
    # On a busy machine the request may be late before it gets to the view. Then ask again.
    for _ in range(PATIENCE):
        here.clear()
        lines.logs.clear()
        Site("async").get(blocks_here)
        if "in blocks_here" in lines.logs[-1]["stack_info"]:
            return
    raise AssertionError(lines.logs)


def test_requests_in_time_get_no_warning(lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"WATCHDOG_SECONDS": PATIENCE}):
        for _ in range(10):
            respond(lambda request: HttpResponse(), RequestFactory().get("/"))
        until(lambda: WATCH.asleep)

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


# Blocked event loops


def only(lines: CapturedRequests) -> dict[str, Any]:
    """Return the one warning, when it has come."""

    def found() -> list[dict[str, Any]]:
        # On a busy machine the handlers of Django may block the loop, too.
        return [warning for warning in blocked(lines) if "watched.py" in warning.get("stack_info", "")]

    until(found)
    (warning,) = found()
    return warning


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_view_that_blocks_its_loop_is_on_its_line_and_in_one_warning(kind: str, lines: CapturedRequests) -> None:
    """The view returns right after it, so the line is written before the loop can go on."""

    async def view(request: HttpRequest) -> HttpResponse:
        bind(cart=7)
        block()
        return HttpResponse()

    serve(view, kind)

    (line,) = lines
    assert 0.1 <= line["blocked_seconds"] <= line["duration_seconds"]
    assert re.fullmatch(r"tests/watched\.py:\d+ in block", line["blocked_at"])
    warning = only(lines)
    assert (warning["level"], warning["logger"]) == ("warning", "obs_middleware")
    assert warning["message"] == f"Event loop blocked for {warning['blocked_seconds']:.2f} seconds"
    assert warning["blocked_at"] == line["blocked_at"]
    assert (warning["method"], warning["path"], warning["cart"]) == ("GET", "/", 7)
    assert warning["request_id"] == line["request_id"]
    assert "in view" in warning["stack_info"]
    assert "in block" in warning["stack_info"]
    assert "run_forever" not in warning["stack_info"]


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_view_that_computes_blocks_its_loop(kind: str, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        block(lambda: compute(0.1))
        return HttpResponse()

    serve(view, kind)

    assert lines[0]["blocked_seconds"] >= 0.1
    assert lines[0]["blocked_at"].startswith("tests/")


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("kind", LOOPS)
def test_the_longest_time_is_on_the_line(kind: str, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        for further in (0.0, 0.3, 0.0):
            block()
            time.sleep(further)
            await asyncio.sleep(0.05)
        await asyncio.to_thread(until, lambda: len(blocked(lines)) == 3)
        return HttpResponse()

    serve(view, kind)

    assert max(warning["blocked_seconds"] for warning in blocked(lines)) == lines[0]["blocked_seconds"]


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_task_of_the_request_blocks_for_it(kind: str, lines: CapturedRequests) -> None:
    async def helper() -> None:
        block()

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.gather(asyncio.create_task(helper()), asyncio.sleep(0))
        return HttpResponse()

    serve(view, kind)

    assert lines[0]["blocked_seconds"] >= 0.1
    assert "in helper" in only(lines)["stack_info"]


@pytest.mark.usefixtures("watched")
def test_an_async_middleware_blocks(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with override_settings(
        MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware", f"{__name__}.blocking_middleware"]
    ):
        serve(view)

    assert lines[0]["blocked_seconds"] >= 0.1
    assert "in middleware\n" in only(lines)["stack_info"]


def blocking_middleware(get_response: Any) -> Any:
    async def middleware(request: HttpRequest) -> Any:
        block()
        return await get_response(request)

    return middleware


blocking_middleware.async_capable = True  # type: ignore[attr-defined]  # Django's form


@pytest.mark.usefixtures("watched")
def test_a_consumer_of_a_websocket_blocks(lines: CapturedRequests) -> None:
    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        block()
        await receive()

    messages = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        pass

    run(observed(consumer)({"type": "websocket", "path": "/chat/", "headers": []}, receive, send))

    warning = only(lines)
    (line,) = lines
    assert (line["kind"], line["path"]) == ("websocket", "/chat/")
    assert line["blocked_seconds"] >= 0.1
    assert line["blocked_at"].endswith(" in block")
    assert (warning["path"], warning["request_id"]) == ("/chat/", line["request_id"])
    assert not WATCH.units


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_callback_that_belongs_to_no_request_blames_none(kind: str, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(SOON)
        asyncio.get_running_loop().call_soon(block, context=contextvars.Context())
        await asyncio.sleep(SOON)
        return HttpResponse()

    serve(view, kind)

    warning = only(lines)
    assert "request_id" not in warning
    assert warning["blocked_at"].endswith(" in block")
    assert "blocked_seconds" not in lines[0]


@pytest.mark.usefixtures("watched")
def test_a_callback_of_a_request_blocks_for_it(lines: CapturedRequests) -> None:
    """On uvloop, nothing tells the request of a callback that is no task."""

    async def view(request: HttpRequest) -> HttpResponse:
        asyncio.get_running_loop().call_soon(time.sleep, 0)
        asyncio.get_running_loop().call_soon(block)
        await asyncio.sleep(SOON)
        return HttpResponse()

    serve(view)

    assert lines[0]["blocked_seconds"] >= 0.1
    assert only(lines)["request_id"] == lines[0]["request_id"]


@pytest.mark.usefixtures("watched")
def test_each_of_several_loops_is_watched(lines: CapturedRequests) -> None:
    together = threading.Barrier(2)

    async def view(request: Any) -> HttpResponse:
        together.wait(PATIENCE)
        block()
        return HttpResponse()

    middleware: Any = TimingMiddleware(view)

    async def visit(path: str) -> None:
        await middleware(AsyncRequestFactory().get(path))

    threads = [threading.Thread(target=run, args=(visit(f"/{kind}/"), kind)) for kind in (LOOPS * 2)[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    until(lambda: len(blocked(lines)) == 2)
    assert len({warning["request_id"] for warning in blocked(lines)}) == 2
    for line in lines:
        assert line["blocked_seconds"] >= 0.1


@pytest.mark.usefixtures("watched")
def test_a_loop_that_stays_blocked_gets_its_warning_meanwhile(
    lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_STILL_SECONDS", 0.2)

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.to_thread(lambda: None)
        until(lambda: blocked(lines))
        return HttpResponse()

    serve(view)
    until(lambda: WATCH.asleep)

    warning = only(lines)
    assert warning["message"].startswith("Event loop still blocked after 0.")
    assert warning["request_id"] == lines[0]["request_id"]


# False alarms


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_busy_loop_is_not_blocked(kind: str, lines: CapturedRequests) -> None:
    """Each task takes its turn after the others, so the loop answers late, and the same tasks are seen again."""

    async def work() -> None:
        for _ in range(5):
            compute(0.01)
            await asyncio.sleep(0)

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.gather(*(work() for _ in range(20)))
        return HttpResponse()

    serve(view, kind)
    until(lambda: WATCH.asleep)

    assert blocked(lines) == []
    assert "blocked_seconds" not in lines[0]


@pytest.mark.usefixtures("watched")
def test_a_sync_view_in_a_thread_blocks_no_loop(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        time.sleep(LONG)
        return HttpResponse()

    serve(view)
    until(lambda: WATCH.asleep)

    assert blocked(lines) == []
    assert "blocked_seconds" not in lines[0]


@pytest.mark.usefixtures("watched")
def test_a_collection_of_garbage_blames_no_request(lines: CapturedRequests) -> None:
    def lengthen(phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            sum(range(10_000_000))  # in C, with the global lock, as a collection is

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.to_thread(lambda: None)
        until(lambda: WATCH._loops and not WATCH.asleep and PAUSES._note in gc.callbacks)
        gc.callbacks.append(lengthen)  # after our own, which takes the time
        gc.collect()
        return HttpResponse()

    gc.disable()
    try:
        serve(view, settings={"BLOCKED_SECONDS": 0.02})
    finally:
        gc.enable()
        gc.callbacks.remove(lengthen)

    until(lambda: any("garbage" in log["message"] for log in lines.logs))
    *_, warning = (log for log in lines.logs if "garbage" in log["message"])  # a collection of Python's may come first
    assert (
        warning["message"] == f"Event loop blocked for {warning['blocked_seconds']:.2f} seconds by garbage collection"
    )
    assert "request_id" not in warning


@pytest.mark.usefixtures("watched")
def test_a_thread_that_keeps_the_global_lock_blames_no_request(lines: CapturedRequests) -> None:
    """Nothing runs then, the watching thread included."""
    keep_lock = ctypes.PyDLL(None).usleep

    async def view(request: HttpRequest) -> HttpResponse:
        thread = threading.Thread(target=keep_lock, args=(1_000_000,))
        compute(0.03)
        thread.start()
        compute(0.03)
        thread.join()
        return HttpResponse()

    serve(view)
    until(lambda: WATCH.asleep)

    assert blocked(lines) == []


@pytest.mark.usefixtures("watched")
def test_a_debugger_blames_no_request(lines: CapturedRequests) -> None:
    reading, writing = os.pipe()

    def type_later() -> None:
        threading.Event().wait(LONG)
        os.write(writing, b"continue\n")

    async def view(request: HttpRequest) -> HttpResponse:
        with os.fdopen(reading) as keyboard, open(os.devnull, "w") as screen:  # noqa: ASYNC230, PTH123 -- it stops anyway
            debugger = pdb.Pdb(stdin=keyboard, stdout=screen, nosigint=True)
            threading.Thread(target=type_later).start()
            debugger.set_trace()
            return HttpResponse()

    serve(view)
    os.close(writing)
    until(lambda: WATCH.asleep)

    assert blocked(lines) == []
    assert "blocked_seconds" not in lines[0]


@pytest.mark.usefixtures("watched")
def test_nothing_is_blamed_without_the_setting(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        time.sleep(LONG)
        return HttpResponse()

    serve(view, settings={"BLOCKED_SECONDS": None})

    assert WATCH.is_needed(in_thread=False)  # the settings are the test project's again
    assert lines.logs == []
    assert "blocked_seconds" not in lines[0]


@pytest.mark.usefixtures("watched")
def test_a_middleware_without_a_site_is_not_watched(lines: CapturedRequests) -> None:
    with override_settings(MIDDLEWARE=[]):
        assert TimingMiddleware(HttpResponse)._watch is None


# Slow requests


@pytest.fixture(name="slow")
def _slow() -> Iterator[None]:
    with override_settings(OBS_MIDDLEWARE={"SLOW_SECONDS": SOON}):
        yield


class Caught:
    """Wait in a view until the place of its request is known."""

    def __init__(self) -> None:
        self.event: Any = None

    def is_caught(self) -> bool:
        return self.event.seen is not None and self.event.seen.slow_at is not None


def _note(looks: list[Any], units: Any, _: Any) -> dict[Any, Any]:
    """Find no stack, but note for which requests."""
    looks.extend(units)
    return {}


def waits_here(caught: Caught) -> HttpResponse:
    until(caught.is_caught)
    return HttpResponse()


SLOW = {"SLOW_SECONDS": 0.5}  # enough for a busy machine to get to the view: a request is looked at once


@pytest.mark.parametrize("kind", LOOPS)
def test_an_async_view_is_caught_where_it_waits(kind: str, lines: CapturedRequests) -> None:
    caught = Caught()

    async def waits_in_a_task(request: Any) -> None:
        caught.event = request._obs_middleware_event
        while not caught.is_caught():  # noqa: ASYNC110 -- the thread sets it
            await asyncio.sleep(0.01)

    async def view(request: HttpRequest) -> HttpResponse:
        await waits_in_a_task(request)
        return HttpResponse()

    serve(view, kind, SLOW)

    assert lines[0]["slow_at"].endswith("waits_in_a_task")
    assert lines[0]["slow"] is True


def test_work_below_sync_to_async_is_caught_in_its_thread(lines: CapturedRequests) -> None:
    caught = Caught()

    async def view(request: Any) -> HttpResponse:
        caught.event = request._obs_middleware_event
        return await sync_to_async(waits_here, thread_sensitive=False)(caught)

    serve(view, settings=SLOW)

    assert lines[0]["slow_at"].startswith("tests/")
    assert not lines[0]["slow_at"].endswith("view")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_sync_view_is_caught_in_its_thread(mode: str, lines: CapturedRequests) -> None:
    def view(request: Any) -> HttpResponse:
        caught.event = request._obs_middleware_event
        return waits_here(caught)

    caught = Caught()
    Site(mode).get(view, OBS_MIDDLEWARE=SLOW)

    assert lines[0]["slow_at"].startswith("tests/")


def test_a_stream_is_caught(lines: CapturedRequests) -> None:
    caught = Caught()

    def chunks() -> Iterator[bytes]:
        yield b"x"
        waits_here(caught)
        yield b"x"

    def view(request: Any) -> StreamingHttpResponse:
        caught.event = request._obs_middleware_event
        return StreamingHttpResponse(chunks())

    response = Site("sync").get(view, OBS_MIDDLEWARE=SLOW)
    with override_settings(OBS_MIDDLEWARE=SLOW):
        list(response.streaming_content)

    assert lines[0]["slow_at"].startswith("tests/")


def test_an_async_stream_is_caught(lines: CapturedRequests) -> None:
    caught = Caught()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        while not caught.is_caught():  # noqa: ASYNC110 -- the thread sets it
            await asyncio.sleep(0.01)

    async def visit() -> None:
        async def view(request: Any) -> StreamingHttpResponse:
            caught.event = request._obs_middleware_event
            return StreamingHttpResponse(chunks())

        middleware: Any = TimingMiddleware(view)
        response = await middleware(AsyncRequestFactory().get("/"))
        async for _ in response.streaming_content:
            pass

    with override_settings(OBS_MIDDLEWARE=SLOW):
        run(visit())

    assert lines[0]["slow_at"].endswith("chunks")


def test_fast_requests_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    monkeypatch.setattr(watching, "find_stacks", partial(_note, looks))

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(SOON)
        return HttpResponse()

    serve(view, settings={"SLOW_SECONDS": PATIENCE})
    until(lambda: WATCH.asleep)

    assert looks == []


@pytest.mark.usefixtures("slow")
def test_a_request_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    searched = find_stacks

    def note(units: Any, loops: Any) -> Any:
        looks.extend(event.path for event in units)
        return searched(units, loops)

    monkeypatch.setattr(watching, "find_stacks", note)

    def view(request: HttpRequest) -> HttpResponse:
        until(lambda: looks)
        threading.Event().wait(SOON * 2)
        return HttpResponse()

    respond(view, RequestFactory().get("/slow/"))

    assert looks == ["/slow/"]


@pytest.mark.usefixtures("slow")
def test_a_failure_of_the_thread_is_reported_and_the_watch_goes_on(
    lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no stack")

    def view(request: HttpRequest) -> HttpResponse:
        until(lambda: lines.logs)
        return HttpResponse()

    with monkeypatch.context() as patch:
        patch.setattr(watching, "find_stacks", fail)
        patch.setattr(watching, "_QUIET_SECONDS", SOON)
        respond(view, RequestFactory().get("/"))
    (report,) = lines.logs
    assert report["message"].startswith("the watching thread failed")
    looks: list[Any] = []
    monkeypatch.setattr(watching, "find_stacks", partial(_note, looks))

    def next_view(request: Any) -> HttpResponse:
        until(lambda: looks)
        return HttpResponse()

    respond(next_view, RequestFactory().get("/"))
    assert len(looks) == 1


def test_a_thread_that_does_not_start_is_reported_and_the_next_request_tries_again(
    lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process has as many threads as it may."""

    def fail(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    watch = watching.Watch()
    with monkeypatch.context() as patch:
        patch.setattr(threads, "start", fail)
        watch.attend()
        watch.attend()
    started: list[Any] = []
    monkeypatch.setattr(threads, "start", lambda *task: started.append(task))
    watch.attend()
    watch.attend()

    (report,) = lines.logs
    assert report["message"].startswith("the watching thread failed")
    assert len(started) == 1


def test_an_observed_request_goes_on_without_the_thread(
    lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    sent: list[str] = []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    until(lambda: WATCH.asleep)
    with monkeypatch.context() as patch:
        patch.setattr(watching, "WatchedLoop", fail)
        run(observed(application)(scope, None, send))

    assert sent == ["http.response.start", "http.response.body"]
    assert [line["status"] for line in lines] == [200]
    assert not RUNNING


@pytest.mark.parametrize("name", ["SLOW_SECONDS", "WATCHDOG_SECONDS", "BLOCKED_SECONDS"])
def test_a_tiny_limit_does_not_keep_a_processor_busy(name: str) -> None:
    watch = watching.Watch()
    with override_settings(OBS_MIDDLEWARE={name: 0.0001}):
        watch.configure(get_settings())
        watch._loops = {None: None}  # type: ignore[dict-item]  # a loop

        assert watch._tick() >= 0.005


@pytest.mark.usefixtures("watched")
def test_a_loop_is_blocked_for_longer_than_a_tiny_limit(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        block()
        return HttpResponse()

    serve(view, settings={"BLOCKED_SECONDS": 0.0001})

    assert lines[0]["blocked_seconds"] > 0


# Sleep


def test_the_thread_sleeps_while_there_is_nothing_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_QUIET_SECONDS", SOON)
    awake: list[bool] = []

    async def view(request: HttpRequest) -> HttpResponse:
        awake.append(not WATCH.asleep)
        return HttpResponse()

    looks: list[float] = []
    look = watching.Watch._look

    def note(self: watching.Watch) -> float:
        looks.append(0.0)
        return look(self)

    monkeypatch.setattr(watching.Watch, "_look", note)
    for _ in range(2):
        serve(view)
        until(lambda: WATCH.asleep)
        until(lambda: WATCH._loops == {})
        assert PAUSES._note not in gc.callbacks
        count = len(looks)
        threading.Event().wait(SOON * 4)
        assert len(looks) <= count + 1  # the last one may have been about to end

    assert awake == [True, True]


def test_a_request_that_begins_while_the_thread_goes_to_sleep_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there before the thread said that it sleeps, so it did not wake it."""
    watch = watching.Watch()
    watch.asleep = False
    watch.units.add(object())  # type: ignore[arg-type]  # an event
    watch._sleep()

    assert not watch.asleep


def test_a_watch_that_was_forgotten_is_as_new() -> None:
    """After a fork, the thread and all that it knew are those of the parent."""
    watch = watching.Watch()
    watch.asleep = False
    watch.loop = new_loop("asyncio")()
    watch.loop.close()
    watch.forget()

    assert watch.asleep
    assert watch.loop is None
