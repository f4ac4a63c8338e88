"""`obs_middleware.asgi`: `observed` around applications of all kinds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from asgiref.wsgi import WsgiToAsgi
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, override_settings
from endings.drivers import OURS, Visit, site, visit_asgi

from obs_middleware.asgi import observed
from obs_middleware.testing import CapturedRequests

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


def serve(application: Any, **scope: Any) -> list[dict[str, Any]]:
    """Send one request to *application*, and return the messages that the server got."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application({**SCOPE, **scope}, receive, send))
    return sent


def answering(headers: Callable[[], Any]) -> Any:
    async def application(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers()})
        await send({"type": "http.response.body", "body": b"abc"})

    return application


@pytest.mark.parametrize("own", [[], [(b"X-Request-Id", b"its-own")]], ids=["without", "with"])
def test_headers_that_can_be_read_once_all_reach_the_server(own: Any, lines: CapturedRequests) -> None:
    headers = [(b"content-type", b"text/plain"), *own, (b"set-cookie", b"a=b")]

    sent = serve(observed(answering(lambda: iter(headers))))

    assert list(sent[0]["headers"])[: len(headers)] == headers
    assert len(list(sent[0]["headers"])) == 3
    assert lines[0]["status"] == 200


def test_other_origins_may_read_the_id_of_a_response_that_never_passed_the_middleware() -> None:
    with override_settings(OBS_MIDDLEWARE={"EXPOSE_HEADER": True}):
        sent = serve(observed(answering(lambda: [(b"access-control-expose-headers", b"ETag")])))

    headers = sent[0]["headers"]
    assert [value for name, value in headers if name == b"access-control-expose-headers"] == [b"ETag", b"x-request-id"]


def test_headers_of_a_request_that_can_be_read_once_reach_the_application(lines: CapturedRequests) -> None:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await answering(list)(scope, receive, send)

    serve(observed(application), headers=iter([(b"x-request-id", b"the-id"), (b"accept", b"*/*")]))

    assert seen == [(b"x-request-id", b"the-id"), (b"accept", b"*/*")]
    assert lines[0]["request_id"] == "the-id"


def test_an_id_that_was_sent_twice_is_replaced(lines: CapturedRequests) -> None:
    serve(observed(answering(list)), headers=[(b"x-request-id", b"one"), (b"x-request-id", b"two")])

    assert lines[0]["request_id"] not in {"one", "two", "one,two"}


def test_an_application_that_is_wrapped_twice_has_one_line(lines: CapturedRequests) -> None:
    serve(observed(observed(answering(list))))

    assert [(line["status"], line["outcome"], line["response_bytes"]) for line in lines] == [(200, "ok", 3)]


def test_a_request_inside_a_request_has_its_own_line(lines: CapturedRequests) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await whole({**scope, "path": "/inner"}, receive, lambda message: asyncio.sleep(0))
        await answering(list)(scope, receive, send)

    whole = observed(application)
    serve(whole)

    assert [line["path"] for line in lines] == ["/inner", "/"]


def test_a_file_that_the_server_sends_by_its_path_is_complete(lines: CapturedRequests) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})

    serve(observed(application))

    assert (lines[0]["outcome"], "response_bytes" in lines[0]) == ("ok", False)


@pytest.mark.parametrize("ends", ["returns", "raises", "is cancelled"])
def test_the_line_is_written_when_the_server_has_the_last_byte(ends: str, lines: CapturedRequests) -> None:
    """A server that stops while the application works on does not lose the line, and that work is not counted."""
    seen: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        seen.append(len(lines))
        await send({"type": "http.response.body", "body": b"def"})
        seen.append(len(lines))
        if ends == "raises":
            raise ValueError("too late to matter")
        if ends == "is cancelled":
            raise asyncio.CancelledError

    with contextlib.suppress(ValueError, asyncio.CancelledError):
        serve(observed(application))

    assert seen == [0, 1]
    assert [(line["status"], line["outcome"], line["response_bytes"]) for line in lines] == [(200, "ok", 6)]


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_what_django_does_after_the_last_byte_is_not_measured(streams: bool, lines: CapturedRequests) -> None:
    seen: list[int] = []

    def finished(**_: Any) -> None:
        seen.append(len(lines))

    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    async def view(request: HttpRequest) -> Any:
        response: Any = StreamingHttpResponse(body()) if streams else HttpResponse("x")
        response._resource_closers.append(finished)
        return response

    request_finished.connect(finished)
    try:
        with site(view, [OURS]):
            visit_asgi(Visit(), outside=True)
    finally:
        request_finished.disconnect(finished)

    assert seen == [1, 1]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators:Warning")
@pytest.mark.parametrize("prefix", ["", "/shop"])
@pytest.mark.parametrize("kind", ["plain", "stream", "failing"])
def test_django_under_wsgi_in_an_adapter_has_one_line(kind: str, prefix: str, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> Any:
        logging.getLogger("site").info("inside")
        if request.GET:
            Client().get("/").getvalue()  # another request, inside the first
        if kind == "failing":
            raise ValueError("no")
        return HttpResponse("abc") if kind == "plain" else StreamingHttpResponse(iter([b"abc"]))

    scope = {
        "path": f"{prefix}/",
        "root_path": prefix,
        "query_string": b"a=1",
        "http_version": "1.1",
        "server": ["a", 80],
    }
    with site(view, [OURS]):
        adapted: Any = WsgiToAsgi(WSGIHandler())  # type: ignore[no-untyped-call]  # asgiref has no types here
        sent = serve(observed(adapted), **scope)

    inner, line = lines
    assert (inner["path"], line["path"], line["route"]) == ("/", f"{prefix}/", "")
    assert inner["request_id"] != line["request_id"]
    if kind == "failing":
        assert (line["status"], line["outcome"], line["error_type"]) == (500, "error", "ValueError")
    else:
        assert (line["status"], line["outcome"], line["response_bytes"]) == (200, "ok", 3)
    assert [log["request_id"] for log in lines.logs] == [line["request_id"], inner["request_id"]]
    assert dict(sent[0]["headers"])[b"x-request-id"] == line["request_id"].encode()
