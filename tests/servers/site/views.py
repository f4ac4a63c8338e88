"""
Views that end in every way a client or a server can make them.

``?seconds=`` is how long a view waits at most, so that no server has to wait for one that nobody ends; ``?chunks=`` and
``?bytes=`` are the size of a stream. A view that waits says so first, which is when a test may act.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from obs_middleware import bind

logger = logging.getLogger("site")


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("no")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[bytes]:
        for _ in range(int(request.GET["chunks"])):
            yield b"x" * int(request.GET["bytes"])

    return StreamingHttpResponse(chunks())


def wait(request: HttpRequest) -> HttpResponse:
    logger.info("waiting")
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse("waited")


def linger(request: HttpRequest) -> HttpResponse:
    """Respond, and work on while the response is closed."""

    def close() -> None:
        logger.info("closing")
        time.sleep(float(request.GET["seconds"]))

    response = HttpResponse("done")
    response._resource_closers.append(close)  # type: ignore[attr-defined]  # as the file of a FileResponse
    return response


def upload(request: HttpRequest) -> HttpResponse:
    bind(upload="large", user="alice")
    return HttpResponse(str(len(request.body)))


def bound(request: HttpRequest) -> HttpResponse:
    bind(bound="first")
    return HttpResponse("bound")


async def async_ok(request: HttpRequest) -> HttpResponse:
    return ok(request)


async def async_fail(request: HttpRequest) -> HttpResponse:
    return fail(request)


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Send the chunks, then hang for ``?seconds=``."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(int(request.GET["chunks"])):
            yield b"x" * int(request.GET["bytes"])
            await asyncio.sleep(0)
        await asyncio.sleep(float(request.GET.get("seconds", 0)))

    return StreamingHttpResponse(chunks())


async def async_wait(request: HttpRequest) -> HttpResponse:
    logger.info("waiting")
    await asyncio.sleep(float(request.GET["seconds"]))
    return HttpResponse("waited")


async def async_upload(request: HttpRequest) -> HttpResponse:
    return upload(request)


async def async_bound(request: HttpRequest) -> HttpResponse:
    return bound(request)


async def async_block(request: HttpRequest) -> HttpResponse:  # pragma: no cover -- ends by SIGKILL
    """Block the event loop, which a view must not do."""
    return wait(request)
