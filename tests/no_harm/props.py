"""Layers around the middleware under test, which record what they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

seen: list[Any] = []
"""The records of the layers. Emptied before each request."""

hooks: dict[str, Callable[..., Any]] = {}
"""The task of a layer, by its name."""


class Layer:
    """A layer that is native in both modes, so that it adds nothing to the counts."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._respond_async(request)
        answer = self.before(request)
        return self.after(request, self.get_response(request)) if answer is None else answer

    async def _respond_async(self, request: HttpRequest) -> Any:
        answer = self.before(request)
        return self.after(request, await self.get_response(request)) if answer is None else answer

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response


class Probe(Layer):
    """Record the response or the exception of the layers below."""

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._watch_async(request)
        try:
            return self._note(self.get_response(request))
        except BaseException as error:
            seen.append(error)
            raise

    async def _watch_async(self, request: HttpRequest) -> Any:
        try:
            return self._note(await self.get_response(request))
        except BaseException as error:
            seen.append(error)
            raise

    @staticmethod
    def _note(response: HttpResponseBase) -> HttpResponseBase:
        seen.append(response)
        if "probe" in hooks:
            hooks["probe"](response)
        return response


class Health(Layer):
    """Answer a health check before anything reads the host."""

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        return HttpResponse("healthy") if request.path == "/health/" else None


class Tenant(Layer):
    """Put something lazy on the request, which nobody needs."""

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        request.tenant = SimpleLazyObject(lambda: seen.append("evaluated"))  # type: ignore[attr-defined]  # a prop
        return None


class OwnUrls(Layer):
    """Choose the URLconf for each request."""

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        request.urlconf = hooks["urls"]  # type: ignore[assignment]  # a module, or an object used as one
        return None


class Failing(Layer):
    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        raise LookupError("a layer below")


class Hooks(Layer):
    """All hooks of a middleware. Each call is recorded, and a test can replace each hook."""

    name = "outer"

    def before(self, request: HttpRequest) -> None:
        seen.append(f"{self.name} before")

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        seen.append(f"{self.name} after")
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        seen.append(f"{self.name} view {view.__name__} {args} {kwargs}")
        return hooks.get(f"{self.name} view", lambda: None)()

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        seen.append(f"{self.name} exception {exception!r}")
        return hooks.get(f"{self.name} exception", lambda: None)()

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        seen.append(f"{self.name} template")
        response.context_data["name"] += self.name[0]
        return response


class InnerHooks(Hooks):
    name = "inner"


def sync_only(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An old layer, for which Django changes threads under ASGI."""

    def middleware(request: HttpRequest) -> Any:
        seen.append("sync only")
        return get_response(request)

    return middleware
