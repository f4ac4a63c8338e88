"""
Ways to send a request through a site, each in batches that are timed as a whole.

Requests are made before the clock starts; what is timed is the site alone.
"""

from __future__ import annotations

import asyncio
import gc
import io
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import path, resolve

from benchmarks.counting import Calls

__all__ = ["DRIVERS", "Driver"]

SYNC_PATH: Final = "/items/7/"
ASYNC_PATH: Final = "/items/7/async/"


def sync_view(_: HttpRequest, pk: int) -> HttpResponse:
    """Answer at once."""
    return HttpResponse(b"ok")


async def async_view(_: HttpRequest, pk: int) -> HttpResponse:
    """Answer at once."""
    return HttpResponse(b"ok")


urlpatterns = [
    path("items/<int:pk>/", sync_view, name="item"),
    path("items/<int:pk>/async/", async_view, name="item-async"),
]


def environ() -> dict[str, Any]:
    """Return what a WSGI server gives with a request of a browser, about."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": SYNC_PATH,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "HTTP_HOST": "bench.example",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "HTTP_ACCEPT_LANGUAGE": "en",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }


def scope() -> dict[str, Any]:
    """Return the same as an ASGI server gives it."""
    given = environ()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": ASYNC_PATH,
        "raw_path": ASYNC_PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name[5:].replace("_", "-").lower().encode(), value.encode())
            for name, value in given.items()
            if name.startswith("HTTP_")
        ],
        "client": (given["REMOTE_ADDR"], 40000),
        "server": ("bench", 80),
    }


class Driver(Protocol):
    """One way to send requests through the site that is configured in this process."""

    def time(self, count: int) -> float:
        """Return the nanoseconds that one of *count* requests took."""

    def count(self, count: int) -> Calls:
        """Return what *count* requests called, summed."""


class Chain(BaseHandler):
    """
    Django's own middleware chain as it adapts it, down to a view whose URL is resolved already.

    What stands around it in Django's handlers, signals and URL resolving, costs the same with any middleware.
    """

    def __init__(self, *, is_async: bool) -> None:
        self._match = resolve(ASYNC_PATH if is_async else SYNC_PATH)
        self.load_middleware(is_async=is_async)

    def _get_response(self, request: HttpRequest) -> Any:
        request.resolver_match = self._match
        return sync_view(request, 7)

    async def _get_response_async(self, request: HttpRequest) -> Any:
        request.resolver_match = self._match
        return await async_view(request, 7)


class Sync:
    """Send requests one after the other by calls."""

    def __init__(self, make: Callable[[], Any], send: Callable[[Any], object]) -> None:
        self._make = make
        self._send = send

    def time(self, count: int) -> float:
        """Return the nanoseconds that one of *count* requests took."""
        send = self._send
        requests = [self._make() for _ in range(count)]
        gc.collect()
        started = time.perf_counter_ns()
        for request in requests:
            send(request)
        return (time.perf_counter_ns() - started) / count

    def count(self, count: int) -> Calls:
        """Return what *count* requests called, summed."""
        calls = Calls()
        for request in [self._make() for _ in range(count)]:
            calls.start()
            self._send(request)
            calls.stop()
        return calls


class Async:
    """Send requests one after the other in one event loop."""

    def __init__(self, make: Callable[[], Any], send: Callable[[Any], Awaitable[object]]) -> None:
        self._make = make
        self._send = send
        self._runner = asyncio.Runner()

    def time(self, count: int) -> float:
        """Return the nanoseconds that one of *count* requests took."""
        return self._runner.run(self._time(count))

    async def _time(self, count: int) -> float:
        send = self._send
        requests = [self._make() for _ in range(count)]
        gc.collect()
        started = time.perf_counter_ns()
        for request in requests:
            await send(request)
        return (time.perf_counter_ns() - started) / count

    def count(self, count: int) -> Calls:
        """Return what *count* requests called, summed."""
        return self._runner.run(self._count(count))

    async def _count(self, count: int) -> Calls:
        calls = Calls()
        for request in [self._make() for _ in range(count)]:
            calls.start()
            await self._send(request)
            calls.stop()
        return calls


def async_chain() -> Driver:
    """Return the chain under ASGI."""
    return Async(lambda: ASGIRequest(scope(), io.BytesIO()), Chain(is_async=True)._middleware_chain)


def sync_chain() -> Driver:
    """Return the chain under WSGI."""
    return Sync(lambda: WSGIRequest(environ()), Chain(is_async=False)._middleware_chain)


def wsgi() -> Driver:
    """Return Django's whole WSGI handler, as a server drives it."""
    handler = WSGIHandler()

    def send(given: dict[str, Any]) -> None:
        response = handler(given, lambda *_: None)
        for _ in response:
            pass
        response.close()

    return Sync(environ, send)


def asgi() -> Driver:
    """Return Django's whole ASGI handler, as a server drives it."""
    handler = ASGIHandler()

    async def send(given: dict[str, Any]) -> None:
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            return await asyncio.get_running_loop().create_future()

        async def answer(_: dict[str, Any]) -> None:
            pass

        await handler(given, receive, answer)

    return Async(scope, send)


DRIVERS: Final[dict[str, Callable[[], Driver]]] = {
    "async chain": async_chain,
    "sync chain": sync_chain,
    "ASGI handler": asgi,
    "WSGI handler": wsgi,
}
