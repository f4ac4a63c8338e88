"""
Drivers: ways to send requests through a site, in batches that are timed as a whole.

The requests are created before the clock starts, so only the site is timed.
"""

from __future__ import annotations

import asyncio
import gc
import io
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, Protocol

import structlog
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path, resolve

from benchmarks import ordinary
from benchmarks.counting import Meter
from obs_middleware import structlog_config

__all__ = ["DRIVERS", "Driver"]

SYNC_PATH: Final = "/items/7/"
ASYNC_PATH: Final = "/items/7/async/"
FIELDS: Final[dict[str, Any]] = {"order": 7, "currency": "EUR", "is_gift": False}
"""Three fields of the application on a line."""


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


_number = itertools.count()


def environ() -> dict[str, Any]:
    """Return an environ such as a WSGI server builds for a request of a browser."""
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
    """Return the scope that an ASGI server builds for the same request."""
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
    """Something to measure in the configured site of this process, usually a request."""

    def time(self, count: int) -> float:
        """Run *count* times and return the nanoseconds of one run."""

    def measure(self, meter: Meter, count: int) -> None:
        """Measure *count* runs with *meter*, each on its own."""


class Chain(BaseHandler):
    """
    Django's middleware chain, adapted as usual, down to a view whose URL is already resolved.

    The rest of Django's handlers, such as signals and URL resolving, costs the same with any middleware.
    """

    _middleware_chain: Any

    def __init__(self, *, is_async: bool, view: Callable[..., Any] = sync_view) -> None:
        self._match = resolve(ASYNC_PATH if is_async else SYNC_PATH)
        self._view = view
        self.load_middleware(is_async=is_async)
        self.send = self._middleware_chain

    def _get_response(self, request: HttpRequest) -> Any:
        request.resolver_match = self._match
        return self._view(request, 7)

    async def _get_response_async(self, request: HttpRequest) -> Any:
        request.resolver_match = self._match
        return await async_view(request, 7)


class Sync:
    """Send requests one after the other with plain calls."""

    def __init__(self, make: Callable[[], Any], send: Callable[[Any], object]) -> None:
        self._make = make
        self._send = send

    def time(self, count: int) -> float:
        """Send *count* requests and return the nanoseconds of one."""
        send = self._send
        requests = [self._make() for _ in range(count)]
        gc.collect()
        started = time.perf_counter_ns()
        for request in requests:
            send(request)
        return (time.perf_counter_ns() - started) / count

    def measure(self, meter: Meter, count: int) -> None:
        """Measure *count* requests with *meter*, each on its own."""
        for request in [self._make() for _ in range(count)]:
            meter.start()
            self._send(request)
            meter.stop()


class Async:
    """Send requests one after the other in one event loop."""

    def __init__(self, make: Callable[[], Any], send: Callable[[Any], Awaitable[object]]) -> None:
        self._make = make
        self._send = send
        self._runner = asyncio.Runner()

    def time(self, count: int) -> float:
        """Send *count* requests and return the nanoseconds of one."""
        return self._runner.run(self._time(count))

    async def _time(self, count: int) -> float:
        send = self._send
        requests = [self._make() for _ in range(count)]
        gc.collect()
        started = time.perf_counter_ns()
        for request in requests:
            await send(request)
        return (time.perf_counter_ns() - started) / count

    def measure(self, meter: Meter, count: int) -> None:
        """Measure *count* requests with *meter*, each on its own."""
        self._runner.run(self._measure(meter, count))

    async def _measure(self, meter: Meter, count: int) -> None:
        for request in [self._make() for _ in range(count)]:
            meter.start()
            await self._send(request)
            meter.stop()


class Inside:
    """Repeat some work inside one request, without the cost of the request."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._send = Chain(is_async=False, view=self._view).send
        self._loop: Callable[[], None]

    def _view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._loop()
        return sync_view(request, pk)

    def time(self, count: int) -> float:
        """Do the work *count* times and return the nanoseconds of one."""
        work = self._work
        spent = 0

        def loop() -> None:
            nonlocal spent
            started = time.perf_counter_ns()
            for _ in range(count):
                work()
            spent = time.perf_counter_ns() - started

        self._loop = loop
        gc.collect()
        self._send(WSGIRequest(environ()))
        return spent / count

    def measure(self, meter: Meter, count: int) -> None:
        """Measure the work *count* times with *meter*, each on its own."""
        work = self._work

        def loop() -> None:
            for _ in range(count):
                meter.start()
                work()
                meter.stop()

        self._loop = loop
        self._send(WSGIRequest(environ()))


def _varied() -> HttpRequest:
    """Return a request with a new path, id, caller and browser, so that a cache by any of them grows."""
    number = next(_number)
    given = environ()
    given["PATH_INFO"] = f"/items/{number}/"
    given["HTTP_X_REQUEST_ID"] = f"caller-{number}"
    given["HTTP_USER_AGENT"] = f"Browser/{number}"
    given["REMOTE_ADDR"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return WSGIRequest(given)


def varied_requests() -> Driver:
    """Return a driver of the sync chain whose requests are all different."""
    return Sync(_varied, Chain(is_async=False).send)


def async_chain() -> Driver:
    """Return a driver of the middleware chain under ASGI."""
    chain = Chain(is_async=True)
    return Async(lambda: ASGIRequest(scope(), io.BytesIO()), chain.send)


def sync_chain() -> Driver:
    """Return a driver of the middleware chain under WSGI."""
    return Sync(lambda: WSGIRequest(environ()), Chain(is_async=False).send)


def further_line() -> Driver:
    """Return a driver that logs lines of the application inside a request."""
    logger = logging.getLogger("shop.checkout")
    return Inside(lambda: logger.info("Paid %d cents", 1250))


def line_with_extra() -> Driver:
    """Return a driver that logs lines with three fields of the application inside a request."""
    logger = logging.getLogger("shop.checkout")
    return Inside(lambda: logger.info("Paid %d cents", 1250, extra=FIELDS))


def structlog_line() -> Driver:
    """Return a driver that logs the same three fields by a logger of structlog."""
    structlog.configure(**structlog_config())
    logger = structlog.get_logger("shop.checkout")
    return Inside(lambda: logger.info("Paid %d cents", 1250, **FIELDS))


def query() -> Driver:
    """Return a driver that runs the cheapest possible query inside a request."""
    cursor = connection.cursor()
    return Inside(lambda: cursor.execute("SELECT 1"))


def wsgi() -> Driver:
    """Return a driver of Django's whole WSGI handler, which calls it as a server does."""
    handler: Any = WSGIHandler()

    def send(given: dict[str, Any]) -> None:
        response = handler(given, lambda *_: None)
        for _ in response:
            pass
        response.close()

    return Sync(environ, send)


def ordinary_request() -> Driver:
    """Return a driver of the WSGI handler of an ordinary site."""
    ordinary.prepare()
    return wsgi()


async def _for_ever() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise RuntimeError("The client disconnected.")


def asgi() -> Driver:
    """Return a driver of Django's whole ASGI handler, which calls it as a server does."""
    handler: Any = ASGIHandler()

    async def send(given: dict[str, Any]) -> None:
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict[str, Any]:
            message = next(messages, None)
            return message or await _for_ever()

        async def answer(_: dict[str, Any]) -> None:
            pass

        await handler(given, receive, answer)

    return Async(scope, send)


DRIVERS: Final[dict[str, Callable[[], Driver]]] = {
    "async chain": async_chain,
    "sync chain": sync_chain,
    "ASGI handler": asgi,
    "WSGI handler": wsgi,
    "further line": further_line,
    "line with extra": line_with_extra,
    "structlog line": structlog_line,
    "query": query,
    ordinary.NAME: ordinary_request,
    "varied requests": varied_requests,
}
