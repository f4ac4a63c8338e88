"""Middleware that do harm, each in one way that the suite must notice."""

from __future__ import annotations

from typing import Any

import structlog
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from no_harm.props import Layer

kept: list[Any] = []


class AsksForTheUser(Layer):
    def after(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        str(request.user.pk)
        return response


class EvaluatesLazies(Layer):
    def after(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        str(request.tenant)
        return response


class ReadsTheBody(Layer):
    def before(self, request: HttpRequest) -> None:
        len(request.body)


class AsksForTheHost(Layer):
    def before(self, request: HttpRequest) -> None:
        request.get_host()


class Varies(Layer):
    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        patch_vary_headers(response, ["Cookie"])
        return response


class Exposes(Layer):
    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers["Access-Control-Expose-Headers"] = "X-Request-ID"
        return response


class Copies(Layer):
    def after(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        return HttpResponse(response.content, headers=response.headers)


class Consumes(Layer):
    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = list(response)
        return response


class Swallows(Layer):
    """Treat every exception as a failure of the application."""

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._swallow_async(request)
        try:
            return self.get_response(request)
        except BaseException:  # noqa: BLE001 -- the harm
            return HttpResponse(status=500)

    async def _swallow_async(self, request: HttpRequest) -> Any:
        try:
            return await self.get_response(request)
        except BaseException:  # noqa: BLE001 -- the harm
            return HttpResponse(status=500)


class Translates(Layer):
    def __call__(self, request: HttpRequest) -> Any:
        try:
            return self.get_response(request)
        except Exception as error:
            raise RuntimeError("translated") from error


class ChangesThreads(Layer):
    def before(self, request: HttpRequest) -> None:
        async_to_sync(sync_to_async(len))("")


class ClearsTheContext(Layer):
    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        structlog.contextvars.clear_contextvars()
        return response


class Keeps(Layer):
    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kept.append((request, response))
        return response
