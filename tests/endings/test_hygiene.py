"""The context before, between and after requests: no request sees anything of another."""

from __future__ import annotations

import asyncio
import io
import logging
import logging.handlers
import queue
from contextvars import copy_context
from pathlib import Path
from typing import Any

import django
import pytest
from conftest import Get, Site
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client, override_settings
from endings.drivers import OURS, Visit, scope_of, site, visit_asgi, visit_wsgi

from obs_middleware import bind, get_request_id
from obs_middleware.asgi import observed
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_a_pipelined_request_shows_nothing_of_the_one_before(outside: bool, lines: CapturedRequests) -> None:
    """Uvicorn and daphne start the second request of a connection in the context of the last ``send`` of the first."""

    async def view(request: HttpRequest) -> HttpResponse:
        if request.GET:
            bind(first=True)
        logger.info("in view")
        return HttpResponse()

    async def connection() -> None:
        handler = ASGIHandler()
        application: Any = observed(handler) if outside else handler
        second: list[asyncio.Task[None]] = []

        async def receive() -> Any:
            if not requests:
                await asyncio.Event().wait()
            return requests.pop()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body" and not second:
                requests.append({"type": "http.request", "body": b"", "more_body": False})
                second.append(asyncio.create_task(application(scope_of(Visit()), receive, send)))

        requests = [{"type": "http.request", "body": b"", "more_body": False}]
        await application(scope_of(Visit(query=b"n=1")), receive, send)
        await second[0]

    with site(view, [OURS]):
        copy_context().run(asyncio.run, connection())

    assert sorted("first" in line for line in lines) == [False, True]
    assert len({line["request_id"] for line in lines}) == 2
    assert {log["request_id"] for log in lines.logs} == {line["request_id"] for line in lines}


@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
def test_a_request_that_starts_in_a_dirty_context_takes_nothing_from_it(server: str, lines: CapturedRequests) -> None:
    """So it is after a large body on uvicorn with httptools, and in each thread that a WSGI server reuses."""
    stale = Event(0.0, "stale", "GET", "/stale/")
    stale.say().bound["stale"] = True
    stale.done = True
    current_event.set(stale)

    with site(lambda request: HttpResponse(), [OURS]):
        visit = Visit()
        visit_wsgi(visit) if server == "wsgi" else visit_asgi(visit, outside="observed" in server)

    (line,) = lines
    assert line["request_id"] != "stale"
    assert "stale" not in line


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "observed"])
def test_a_request_that_a_view_makes_has_its_own_line(outside: bool, lines: CapturedRequests) -> None:
    """The view uses Django's test client, in the same thread and context."""

    def view(request: HttpRequest) -> HttpResponse:
        if request.GET.get("inner"):
            return HttpResponse("inner", status=202)
        return HttpResponse(b"of " + Client().get("/?inner=1").content)

    with site(view, [OURS]):
        visit = visit_asgi(Visit(), outside=outside)

    assert visit.content == b"of inner"
    inner, outer = lines
    assert (inner["status"], outer["status"]) == (202, 200)
    assert inner["request_id"] != outer["request_id"]
    assert not [line for line in lines.logs if line["logger"] == "obs_middleware"]


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "observed"])
def test_a_request_that_an_async_view_makes_has_its_own_line(outside: bool, lines: CapturedRequests) -> None:
    """The inner request has a scope too, but not the one that `observed` has opened the outer event for."""

    async def view(request: HttpRequest) -> HttpResponse:
        if request.GET.get("inner"):
            return HttpResponse("inner", status=202)
        return HttpResponse(b"of " + (await AsyncClient().get("/?inner=1")).content)

    with site(view, [OURS]):
        visit = visit_asgi(Visit(), outside=outside)

    assert visit.content == b"of inner"
    inner, outer = lines
    assert (inner["status"], outer["status"]) == (202, 200)
    assert inner["request_id"] != outer["request_id"]


def test_what_django_logs_after_the_middleware_still_carries_the_id(get: Get, lines: CapturedRequests) -> None:
    """Django's "Not Found" comes late. A handler that does not fold prints it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logging.getLogger().addHandler(handler)

    get("/nowhere/")

    line, late = (parse_line(text) for text in stream.getvalue().splitlines())
    assert late["message"] == "Not Found: /nowhere/"
    assert late["request_id"] == line["request_id"]
    assert "status" not in late


def test_the_context_is_clear_after_each_request(get: Get) -> None:
    for url in ("/ok/", "/nowhere/", "/fail/", "/redirect/"):
        get(url)
        assert get_request_id() is None


def test_a_queue_with_the_formatter_in_front_keeps_the_fields(get: Get, lines: CapturedRequests) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(records)
    handler.setFormatter(JSONFormatter())
    logging.getLogger().addHandler(handler)

    get("/talk/")

    texts = [records.get_nowait().getMessage() for _ in range(3)]
    assert [parse_line(text)["request_id"] for text in texts] == [lines[0]["request_id"]] * 3
    assert parse_line(texts[-1])["status"] == 200


def test_a_rotating_file_and_a_second_handler_write_the_same_fields(tmp_path: Path, get: Get) -> None:
    stream = io.StringIO()
    path = tmp_path / "app.json"
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(path, maxBytes=100_000),
        logging.StreamHandler(stream),
    ]
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(JSONFormatter())
        root.addHandler(handler)
    logging.getLogger("django.request").propagate = False
    try:
        get("/fail/")
    finally:
        logging.getLogger("django.request").propagate = True
        handlers[0].close()

    (line,) = path.read_text().splitlines()
    assert line == stream.getvalue().strip()
    assert line.count("ValueError: no good") == 1


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has tasks since 6.0")
def test_a_task_that_runs_at_once_belongs_to_the_request(mode: str, lines: CapturedRequests) -> None:
    """The immediate backend runs a task in the context of the request."""
    from testproject.tasks import remember  # noqa: PLC0415 -- not importable on 5.2

    def view(request: HttpRequest) -> HttpResponseBase:
        remember.enqueue(number=7)
        return HttpResponse()

    with override_settings(TASKS={"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}):
        Site(mode).get(view)

    assert lines[0]["number"] == 7
    assert [log["request_id"] for log in lines.logs if log["message"] == "in task"] == [lines[0]["request_id"]]
