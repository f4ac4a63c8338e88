"""Servers in process for a single request. They pass it to Django's handlers, and end it in every way a server can."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any
from wsgiref.util import FileWrapper

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings
from django.urls import path

from obs_middleware.asgi import observed

OURS = "obs_middleware.middleware.TimingMiddleware"
PATIENCE = 20


class SendFailed(OSError):
    """Raised by a server's ``send`` when the connection is gone."""


@dataclass
class Visit:
    """
    The behaviour of the client and the server of one request, and the result.

    A view may call `leave` to make the client go away at that moment.
    """

    method: str = "GET"
    query: bytes = b""
    body: Sequence[bytes] = (b"",)
    headers: dict[str, str] = field(default_factory=dict)
    fail_send_at: int | None = None
    """Number of the message, from 0, at which ``send`` raises."""
    stall_send_at: int | None = None
    """Number of the message, from 0, at which ``send`` hangs. Then the client leaves."""
    cancel_from_outside: bool = False
    """The server cancels the task at the moment when the client would have left."""
    take: int | None = None
    """WSGI: chunks that the server takes before it closes the response. None for all."""
    close: bool = True
    """WSGI: the server closes the response."""
    broken_input: bool = False
    """WSGI: the client goes away before its body is read."""
    file_wrapper: bool = False
    """WSGI: the server offers ``wsgi.file_wrapper``."""

    messages: list[Any] = field(default_factory=list)
    raised: BaseException | None = None
    status: int | None = None
    result: Any = None
    left: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def leave(self) -> None:
        """Make the client go away now. May be called in any thread."""
        if self.loop is not None and self.left is not None:
            self.loop.call_soon_threadsafe(self.left.set)

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


@contextmanager
def site(view: Callable[..., Any], middleware: Iterable[str], **settings: Any) -> Iterator[None]:
    """Configure a site with *view* at ``/`` and *middleware*."""
    urls = type("urls", (), {"urlpatterns": [path("", view)]})
    # Like Django's own test client, keep the database of the tests open between requests.
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=list(middleware), **settings):
            yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


def visit_asgi(visit: Visit, *, outside: bool = False, handler: Any = None) -> Visit:
    """Serve *visit* with *handler*, by default Django's ASGI handler, inside `observed` if *outside*."""
    handler = handler or ASGIHandler()
    application = observed(handler) if outside else handler
    # A separate context, as each connection of a server has.
    copy_context().run(asyncio.run, _serve(application, visit))
    gc.collect()
    return visit


def scope_of(visit: Visit, **changes: Any) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode()) for name, value in visit.headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": visit.method,
        "path": "/",
        "raw_path": b"/",
        "query_string": visit.query,
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 1234),
        "server": ("testserver", 80),
        "scheme": "http",
        **changes,
    }


async def _serve(application: Any, visit: Visit) -> None:
    visit.loop = asyncio.get_running_loop()
    visit.left = asyncio.Event()
    parts = list(visit.body)

    async def receive() -> dict[str, Any]:
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}
        assert visit.left is not None
        await visit.left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        number = len(visit.messages)
        if number == visit.fail_send_at:
            raise SendFailed("gone")
        visit.messages.append(message)
        if number == visit.stall_send_at:
            assert visit.left is not None
            visit.left.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(application(scope_of(visit), receive, send))
    if visit.cancel_from_outside:
        await asyncio.wait_for(visit.left.wait(), PATIENCE)
        visit.left.clear()
        task.cancel()
    try:
        await asyncio.wait_for(task, PATIENCE)
    except BaseException as error:  # noqa: BLE001 -- a server catches everything
        visit.raised = _bare(error)
    starts = [message for message in visit.messages if message["type"] == "http.response.start"]
    visit.status = starts[0]["status"] if starts else None
    await _end_rest(cancel=visit.cancel_from_outside)


async def _end_rest(*, cancel: bool) -> None:
    """End the tasks that Django left running, as it does if it is cancelled from outside."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for one in rest:
        if cancel:
            one.cancel()
    if rest:
        await asyncio.wait(rest, timeout=PATIENCE)


def _bare(error: BaseException) -> BaseException:
    """Remove the frames of *error*, which would keep the response alive. A server drops the exception."""
    for one in (error, error.__context__, error.__cause__, *getattr(error, "exceptions", ())):
        if one is not None:
            one.__traceback__ = None
    return error


class BrokenInput(io.RawIOBase):
    """A request body whose client has gone away."""

    def read(self, size: int = -1) -> bytes:
        raise OSError("client gone")


def visit_wsgi(visit: Visit, *, handler: Any = None) -> Visit:
    """Serve *visit* with *handler*, by default Django's WSGI handler."""
    copy_context().run(_serve_wsgi, visit, handler or WSGIHandler())
    gc.collect()
    return visit


def _serve_wsgi(visit: Visit, handler: Any) -> None:
    body = b"".join(visit.body)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": visit.method,
        "PATH_INFO": "/",
        "QUERY_STRING": visit.query.decode("latin-1"),
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.input": BrokenInput() if visit.broken_input else io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in visit.headers.items()},
    }
    if visit.file_wrapper:
        environ["wsgi.file_wrapper"] = FileWrapper

    def start_response(status: str, headers: Any) -> None:
        visit.status = int(status.split(maxsplit=1)[0])

    response: Any = ()
    try:
        response = handler(environ, start_response)
        visit.result = response
        for number, chunk in enumerate(response):
            if number == visit.take:
                break
            visit.messages.append({"type": "http.response.body", "body": chunk})
            if number + 1 == visit.take:
                break
    except BaseException as error:  # noqa: BLE001 -- a server catches everything
        visit.raised = _bare(error)
    finally:
        if visit.close and hasattr(response, "close"):
            response.close()
        response = visit.result = None
