"""Views that several test modules share. A view that only one test needs is inside that test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)

from obs_middleware import annotate, bind, get_request_id

logger = logging.getLogger("site")


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def ok_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def item(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(number))


def redirect(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/ok/")


def unavailable(request: HttpRequest) -> HttpResponse:
    return HttpResponse("later", status=503)


RAISED: dict[str, BaseException] = {
    "value": ValueError("no good"),
    "404": Http404("not here"),
    "403": PermissionDenied("not you"),
    "400": BadRequest("not so"),
    "suspicious": SuspiciousOperation("not that"),
}


def fail(request: HttpRequest, what: str = "value") -> HttpResponse:
    raise RAISED[what].with_traceback(None)


async def fail_async(request: HttpRequest, what: str = "value") -> HttpResponse:
    raise RAISED[what].with_traceback(None)


def nothing(request: HttpRequest) -> None:
    return None


def talk(request: HttpRequest) -> HttpResponse:
    logger.info("before")
    bind(cart=7)
    annotate(coupon="spring")
    logger.info("after")
    return HttpResponse(get_request_id())


async def talk_async(request: HttpRequest) -> HttpResponse:
    logger.info("before")
    bind(cart=7)
    annotate(coupon="spring")
    logger.info("after")
    return HttpResponse(get_request_id())


async def spread(request: HttpRequest) -> HttpResponse:
    """Call bind() from every kind of thread, task and context that asyncio and asgiref offer."""

    async def task(name: str) -> None:
        await asyncio.sleep(0)
        bind(**{name: True})
        logger.info(name)

    def thread(name: str) -> None:
        bind(**{name: True})
        logger.info(name)

    await asyncio.create_task(task("create_task"))
    await asyncio.gather(task("gather_1"), task("gather_2"))
    await asyncio.wait_for(task("wait_for"), 10)
    await asyncio.to_thread(thread, "to_thread")
    await sync_to_async(thread)("sync_to_async")
    await sync_to_async(lambda: async_to_sync(task)("async_to_sync"))()
    return HttpResponse("done")


def spread_sync(request: HttpRequest) -> HttpResponse:
    async_to_sync(spread)(request)
    return HttpResponse("done")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        for part in ("one", "two", "three"):
            logger.info(part)
            yield part

    return StreamingHttpResponse(body())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        for part in ("one", "two", "three"):
            await asyncio.sleep(0)
            logger.info(part)
            yield part

    return StreamingHttpResponse(body())
