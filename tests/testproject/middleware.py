"""Middleware that tests put above and below ours."""

from __future__ import annotations

import inspect
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from obs_middleware.middleware import TimingMiddleware


def sync_only(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


def failing_outside(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        get_response(request)
        raise RuntimeError("outside")

    return middleware


def failing_before(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        raise RuntimeError("before")

    return middleware


@sync_and_async_middleware
def replacing(get_response: Any) -> Any:
    """Replace the content of a stream, as middleware that rewrites pages does."""

    async def chunks() -> Any:
        yield b"replaced"

    async def async_middleware(request: HttpRequest) -> Any:
        response = await get_response(request)
        response.streaming_content = chunks()
        return response

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        response.streaming_content = iter([b"replaced"])
        return response

    return async_middleware if iscoroutinefunction(get_response) else middleware


def short_circuit(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        return HttpResponse("teapot", status=418)

    return middleware


def unmarked_async(get_response: Any) -> Any:
    """Return a coroutine without being marked as async, as a lambda around an async layer does."""

    class Unmarked:
        def __call__(self, request: HttpRequest) -> Any:
            async def respond() -> Any:
                response = get_response(request)
                return await response if inspect.isawaitable(response) else response

            return respond()

    return Unmarked()


unmarked_async.async_capable = True  # type: ignore[attr-defined]  # as Django documents it


def unmarked_failing(get_response: Any) -> Any:
    async def fail(request: HttpRequest) -> Any:
        raise RuntimeError("unmarked")

    class Unmarked:
        def __call__(self, request: HttpRequest) -> Any:
            return fail(request)

    return Unmarked()


unmarked_failing.async_capable = True  # type: ignore[attr-defined]  # as above


class Plain(TimingMiddleware):
    seen: list[bool] = []  # noqa: RUF012 -- what the last instances were

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self.seen.append(iscoroutinefunction(self))


class Overriding(TimingMiddleware):
    async def __call__(self, request: Any) -> Any:
        response = await super().__call__(request)
        response["X-Own"] = "yes"
        return response


class OverridingSync(TimingMiddleware):
    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        response["X-Own"] = "yes"
        return response


class OverridingSyncAround(TimingMiddleware):
    def __call__(self, request: Any) -> Any:
        response: Any = super().__call__(request)
        response["X-Own"] = "yes"
        return response


class OverridingSyncBelowAsync(Overriding):
    def __call__(self, request: Any) -> Any:
        response: Any = TimingMiddleware(self.get_response)(request)
        response["X-Own"] = "yes"
        return response


class Mixin:
    async def __call__(self, request: Any) -> Any:
        response = await super().__call__(request)  # type: ignore[misc]  # of what it is mixed into
        response["X-Own"] = "yes"
        return response


class Mixed(Mixin, TimingMiddleware):
    pass


class OfNoBody(OverridingSyncAround):
    pass


class Registered(TimingMiddleware):
    known: list[str] = []  # noqa: RUF012 -- what a registry of plug-ins is

    def __init_subclass__(cls, *, tag: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.known.append(tag)


class Tagged(Registered, tag="mine"):
    pass


class OtherUrls:
    """The urlconf that `other_urls` selects, as multi-tenant sites do."""

    urlconf: Any = None


@sync_and_async_middleware
def other_urls(get_response: Any) -> Any:
    async def async_middleware(request: Any) -> Any:
        request.urlconf = OtherUrls.urlconf
        return await get_response(request)

    def middleware(request: Any) -> Any:
        request.urlconf = OtherUrls.urlconf
        return get_response(request)

    return async_middleware if iscoroutinefunction(get_response) else middleware
