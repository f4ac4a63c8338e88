"""Cases that are easy to get wrong: layers that answer first, refusals, late hooks, other scopes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asgiref
import django
import pytest
from asgiref.sync import iscoroutinefunction
from conftest import Site, respond
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.utils.decorators import decorator_from_middleware
from endings.drivers import OURS, Visit, site, visit_asgi, visit_wsgi

from obs_middleware import bind, get_request_id
from obs_middleware.asgi import observed
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

logger = logging.getLogger("site")

BELOW = "testproject.middleware."
COMMON = "django.middleware.common.CommonMiddleware"
SERVERS = ["wsgi", "asgi", "asgi observed"]


def visit(server: str, visit: Visit) -> Visit:
    return visit_wsgi(visit) if server == "wsgi" else visit_asgi(visit, outside="observed" in server)


# Other layers


@pytest.mark.django_db
@pytest.mark.parametrize("where", ["below", "above"])
def test_a_line_has_all_its_facts_with_a_layer_in_a_thread(where: str, lines: CapturedRequests) -> None:
    """Under ASGI a sync-only layer moves the middleware, or the view, to another thread."""
    sync_only = BELOW + "sync_only"

    def view(request: HttpRequest) -> HttpResponse:
        bind(users=User.objects.count())
        logger.info("in view")
        return HttpResponse(get_request_id())

    middleware = [OURS, sync_only] if where == "below" else [sync_only, OURS]
    response = Site("async").get(view, headers={"X-Request-ID": "mine"}, MIDDLEWARE=middleware)

    (line,) = lines
    assert response["X-Request-ID"] == response.content.decode() == line["request_id"] == "mine"
    assert (line["users"], line["db_queries"], line["route"]) == (0, 1, "")
    assert [(log["message"], log["request_id"]) for log in lines.logs] == [("in view", "mine")]


@pytest.mark.parametrize("layer", ["failing_before", "failing_outside"])
def test_the_exception_of_a_layer_below_is_on_the_line(layer: str, site: Site, lines: CapturedRequests) -> None:
    """The layer raises before or after the view. The answer of the view is not on the line."""
    site.get(lambda request: HttpResponse(), MIDDLEWARE=[OURS, BELOW + layer])

    (line,) = lines
    assert (line["status"], line["outcome"], line["error_type"]) == (500, "error", "RuntimeError")
    assert line["stack_trace"].count("RuntimeError: ") == 1
    assert lines.logs == []


def test_a_layer_below_that_answers_itself_gives_no_route(site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request: HttpResponse(), MIDDLEWARE=[OURS, BELOW + "short_circuit"])

    assert [(line["status"], line["route"], "view" in line) for line in lines] == [(418, None, False)]


def test_a_slash_that_is_appended_is_one_line_without_a_route(site: Site, lines: CapturedRequests) -> None:
    site.get(lambda request: HttpResponse(), "/page", route="page/", MIDDLEWARE=[OURS, COMMON])

    assert [(line["status"], line["route"], line["path"]) for line in lines] == [(301, None, "/page")]


def test_the_welcome_page_of_an_empty_project_is_no_error(mode: str, lines: CapturedRequests) -> None:
    urls = type("urls", (), {"urlpatterns": []})
    with override_settings(ROOT_URLCONF=urls, DEBUG=True):
        if mode == "sync":
            Client().get("/")
        else:
            asyncio.run(AsyncClient().get("/"))

    assert [(line["status"], line["outcome"]) for line in lines] == [(200, "ok")]
    assert lines.logs == []


def test_as_a_decorator_it_does_nothing(lines: CapturedRequests) -> None:
    """Django's function calls only ``process_...`` methods, as "Getting started" warns."""

    @decorator_from_middleware(TimingMiddleware)
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert view(RequestFactory().get("/")).status_code == 200
    assert lines == []


# Refusals


def many_fields(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.POST)))


def body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.body)))


MULTIPART = "multipart/form-data"
DJANGO = "django.core.exceptions."
REFUSALS: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, Any], str]] = {
    "a large body": (
        body,
        {"data": b"x" * 100, "content_type": "text/plain"},
        {"DATA_UPLOAD_MAX_MEMORY_SIZE": 10},
        DJANGO + "RequestDataTooBig",
    ),
    "many fields": (
        many_fields,
        {"data": {str(number): "x" for number in range(20)}},
        {"DATA_UPLOAD_MAX_NUMBER_FIELDS": 10},
        DJANGO + "TooManyFieldsSent",
    ),
    "many files": (
        many_fields,
        {"data": {str(number): SimpleUploadedFile("f", b"x") for number in range(3)}},
        {"DATA_UPLOAD_MAX_NUMBER_FILES": 2},
        DJANGO + "TooManyFilesSent",
    ),
    "a bad multipart": (
        many_fields,
        {"data": b"x", "content_type": MULTIPART},
        {},
        "django.http.multipartparser.MultiPartParserError",
    ),
    "a bad host": (
        body,
        {"headers": {"Host": "evil.example.org"}},
        {"ALLOWED_HOSTS": ["example.com"], "MIDDLEWARE": [OURS, COMMON]},
        DJANGO + "DisallowedHost",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_request_that_django_refuses_is_one_line_with_the_reason(
    mode: str, name: str, lines: CapturedRequests
) -> None:
    view, sent, settings, error_type = REFUSALS[name]
    urls = type("urls", (), {"urlpatterns": [_path(view)]})
    with override_settings(**{"ROOT_URLCONF": urls, "MIDDLEWARE": [OURS], **settings}):
        if mode == "sync":
            Client().post("/", **sent)
        else:
            asyncio.run(AsyncClient().post("/", **sent))

    assert [(line["status"], line["outcome"], line["error_type"]) for line in lines] == [(400, "ok", error_type)]
    assert lines.logs == []


def _path(view: Any) -> Any:
    from django.urls import path  # noqa: PLC0415 -- only for this helper

    return path("", view)


# Bodies that are not sent


def no_content(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def streamed_204(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"never sent"]), status=204)


@pytest.mark.parametrize("view", [no_content, streamed_204])
@pytest.mark.parametrize("take", [None, 0], ids=["iterated", "only closed"])
def test_a_204_is_one_line_even_if_the_server_does_not_iterate_it(
    view: Any, take: int | None, lines: CapturedRequests
) -> None:
    with site(view, [OURS]):
        visit_wsgi(Visit(take=take))

    assert [(line["status"], line["outcome"]) for line in lines] == [(204, "ok")]


@pytest.mark.parametrize("wrapper", [False, True], ids=["iterated", "file wrapper"])
def test_a_head_of_a_file_is_one_line(wrapper: bool, tmp_path: Path, lines: CapturedRequests) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 10)
    with site(lambda request: FileResponse(path.open("rb")), [OURS]):
        visit_wsgi(Visit(method="HEAD", take=0, file_wrapper=wrapper))

    assert [(line["method"], line["status"], line["outcome"]) for line in lines] == [("HEAD", 200, "ok")]


@pytest.mark.parametrize("server", SERVERS)
def test_content_that_a_layer_above_replaces_is_still_one_line(server: str, lines: CapturedRequests) -> None:
    """The layer discards the body of the view unread, and sends another."""

    async def async_view(request: HttpRequest) -> Any:
        return StreamingHttpResponse(async_chunks())

    view = (lambda request: StreamingHttpResponse(chunks())) if server == "wsgi" else async_view
    with site(view, [BELOW + "replacing", OURS]):
        seen = visit(server, Visit())

    assert seen.content == b"replaced"
    (line,) = lines
    # In the chain, the body was never read.
    assert (line["status"], line["outcome"]) == (200, "ok" if "observed" in server else "aborted")


def chunks() -> Iterator[bytes]:
    yield b"one"


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"one"


# After the middleware


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_lines_logged_while_a_response_is_closed_have_the_id(
    server: str, streams: bool, lines: CapturedRequests
) -> None:
    """
    A closer of the response runs after the middleware has returned, and before the context is cleared.

    Up to Django 6.0 it runs under ASGI in the server's own task, which sees the event only of a stream, or with
    `observed`.
    """

    class File:
        def close(self) -> None:
            logger.info("closing")

    def answer() -> Any:
        if streams:
            response: Any = StreamingHttpResponse(chunks() if server == "wsgi" else async_chunks())
        else:
            response = HttpResponse()
        response._resource_closers.append(File().close)
        return response

    async def async_view(request: HttpRequest) -> Any:
        return answer()

    with site((lambda request: answer()) if server == "wsgi" else async_view, [OURS]):
        visit(server, Visit())

    unknown = server == "asgi" and not streams and django.VERSION < (6, 1)
    assert [log.get("request_id") for log in lines.logs] == [None if unknown else lines[0]["request_id"]]


@pytest.mark.parametrize("server", SERVERS)
def test_a_receiver_of_request_finished_never_logs_the_id_of_another_request(
    server: str, lines: CapturedRequests
) -> None:
    """The context may be clear already, which depends on the order of the receivers."""

    def receiver(**_: Any) -> None:
        logger.info("finished")

    async def async_view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with site((lambda request: HttpResponse()) if server == "wsgi" else async_view, [OURS]):
        request_finished.connect(receiver)
        try:
            for _ in range(2):
                visit(server, Visit())
        finally:
            request_finished.disconnect(receiver)

    assert len(lines.logs) == len(lines) == 2
    for line, log in zip(lines, lines.logs, strict=True):
        assert log.get("request_id") in {None, line["request_id"]}


def test_a_task_group_belongs_to_the_request(lines: CapturedRequests) -> None:
    async def one(number: int) -> None:
        bind(**{f"part_{number}": True})
        logger.info("part")

    async def view(request: HttpRequest) -> HttpResponse:
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(one(number))
        return HttpResponse()

    async def ask() -> None:
        await respond(view, RequestFactory().get("/"))

    asyncio.run(ask())

    (line,) = lines
    assert [line[f"part_{number}"] for number in range(3)] == [True] * 3
    assert {log["request_id"] for log in lines.logs} == {line["request_id"]}


# Clients that left at once

# Until asgiref 3.9, a call waited for ever if it was passed to a thread that was just ending.
LOSES_CALLS = tuple(map(int, asgiref.__version__.split(".")[:2])) < (3, 9)


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
@pytest.mark.parametrize("company", [[OURS], [BELOW + "sync_only", OURS], [OURS, BELOW + "sync_only"]])
def test_a_client_that_left_before_the_request_began_has_at_most_one_line(
    outside: bool, company: list[str], lines: CapturedRequests
) -> None:
    """A thread that was cancelled before its start never runs the middleware. `observed` sees the request."""

    async def serve() -> None:
        parts = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            """Discard the message, because no client reads it."""

        handler = ASGIHandler()
        async with asyncio.timeout(20):
            await (observed(handler) if outside else handler)(_scope("http"), receive, send)

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse()

    with site(view, company):
        try:
            asyncio.run(serve())
        except TimeoutError:
            if LOSES_CALLS:
                pytest.skip("asgiref before 3.9 has lost the call that Django waits for, so the request never ends")
            raise
    gc.collect()  # frees futures that asgiref leaves behind; asyncio would log about them in the next test

    assert len(lines) == 1 if outside else len(lines) <= 1
    assert {line["outcome"] for line in lines} <= {"ok", "cancelled"}


# Other scopes


def _scope(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }


@pytest.mark.parametrize("kind", ["lifespan", "something new"])
def test_another_scope_passes_through_untouched(kind: str, lines: CapturedRequests) -> None:
    """The application gets the same objects that the server passed, and its exception propagates unchanged."""
    seen: list[Any] = []
    error = ValueError("not for me")

    async def application(*given: Any) -> None:
        seen.extend(given)
        assert get_request_id() is None
        raise error

    async def receive() -> Any:
        raise AssertionError("only the application may call this")

    async def send(message: Any) -> None:
        raise AssertionError("only the application may call this")

    scope = _scope(kind)
    before = dict(scope)
    with pytest.raises(ValueError, match="not for me") as raised:
        asyncio.run(_call(observed(application), scope, receive, send))

    assert raised.value is error
    assert [one is other for one, other in zip(seen, (scope, receive, send), strict=True)] == [True] * 3
    assert scope == before
    assert lines == lines.logs == []


async def _call(application: Any, *given: Any) -> None:
    await application(*given)


def test_the_wrapper_is_an_application_of_asgi_3() -> None:
    """Servers treat anything but a coroutine function with three arguments as an ASGI 2 application."""
    assert iscoroutinefunction(observed(ASGIHandler()))


def test_the_wsgi_handler_is_served_without_a_loop(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return HttpResponse()

    environ = RequestFactory().get("/").environ
    with site(view, [OURS]):
        WSGIHandler()(environ, lambda *_: None).close()  # type: ignore[arg-type]  # exc_info is never given

    assert [line["status"] for line in lines] == [200]
