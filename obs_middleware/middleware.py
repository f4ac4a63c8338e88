"""
Measure a request and write its one line.

Measure. `TimingMiddleware` runs natively under ASGI and WSGI. The sync and async ``__call__`` differ only in ``await``;
everything else is shared, in `begin` and `finish`.
"""

from __future__ import annotations

import functools
import logging
import time
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, Generic, Self

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.counted_lines import line_writer
from obs_middleware.measure.database import is_installed
from obs_middleware.measure.ending import follow, is_departure
from obs_middleware.measure.event import Event, current_event, event_of, failed_event
from obs_middleware.measure.facts import FactReader
from obs_middleware.measure.headers import meta_key, target_of
from obs_middleware.measure.ids import is_request_id, new_request_id
from obs_middleware.measure.line_writer import ORIGINAL_ERROR, ORIGINAL_INFO, ROOT_LOGGER
from obs_middleware.measure.policy import RULE_ATTRIBUTE, rule_of
from obs_middleware.measure.request_id import request_id_source
from obs_middleware.measure.response_headers import chosen_headers
from obs_middleware.measure.running import RUNNING, hold_weakly, is_observed_as
from obs_middleware.measure.sentry import SENTRY
from obs_middleware.measure.tracing import opentelemetry_context, trace_of
from obs_middleware.measure.unwritten import warn_if_unwritten
from obs_middleware.measure.watching import watch_for

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers bring it along; only Python 3.13 has `default` in `typing`

    Result = TypeVar("Result", default=Any)
else:
    from typing import TypeVar

    Result = TypeVar("Result")

__all__ = ["TimingMiddleware"]

_OF_DJANGO: Final = frozenset({ASGIRequest, WSGIRequest})


def _definer_of_call(cls: type) -> type:
    return next(one for one in cls.__mro__ if "__call__" in one.__dict__)


class TimingMiddleware(Generic[Result]):
    """
    Write one line for each request: ``Request took 0.1234 seconds``, with everything known about it.

    Put it first in ``MIDDLEWARE``: layers above it are not measured, and their exceptions are not on the line.
    ``logging.info`` gets the text as its only argument. Formatters find the fields through the ContextVar in
    `obs_middleware.measure.event`. A failure in here never reaches the application.

    Under WSGI, or above a sync-only middleware, you get an instance of a sync twin of the class, so that no request
    changes threads. A subclass may override `begin` and `finish`. A ``__call__`` of a subclass or a mixin is never
    bypassed. If it is sync, its ``super().__call__`` is sync; if it is async, that is async. Django adapts it to the
    other mode, which costs a thread change for each request.

    Args:
        get_response: The next layer, a function or a coroutine function.

    Raises:
        ValueError: *get_response* is None.
        MiddlewareNotUsed: ``OBS_MIDDLEWARE["ENABLED"]`` is False.
        ImproperlyConfigured: ``OBS_MIDDLEWARE`` has a mistake.
    """

    sync_capable = True
    async_capable = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        definer = _definer_of_call(cls)
        is_async = iscoroutinefunction(definer.__dict__["__call__"])
        lineage = cls.__mro__[: cls.__mro__.index(definer) + 1]
        for name, is_capable in (("sync_capable", not is_async), ("async_capable", is_async)):
            # Keep a value set by the class that defines this body, or below it. Others are about another body.
            if all(name not in one.__dict__ for one in lineage):
                setattr(cls, name, is_capable)

    def __new__(cls, get_response: Callable[[Any], Result], *_: Any, **__: Any) -> Self:
        """Create a sync twin if the next layer is not async. A subclass may take further arguments."""
        twin: type[Self] = cls
        if not iscoroutinefunction(get_response) and not issubclass(cls, _SyncTwin):
            # Ask which class defines it: a tracer may have replaced the function.
            definer = _definer_of_call(cls)
            if definer is TimingMiddleware or not iscoroutinefunction(definer.__dict__["__call__"]):
                twin = _sync_twin(cls)  # type: ignore[arg-type]  # a class is hashable
        return super().__new__(twin)

    def __init__(self, get_response: Callable[[Any], Result]) -> None:
        if get_response is None:
            raise ValueError("get_response must be provided.")
        self.get_response: Callable[[Any], Any] = get_response
        self._in_thread = not iscoroutinefunction(get_response)
        if not self._in_thread:
            # Django asks the instance, not its class, whether it is async.
            markcoroutinefunction(self)
        keep_configured(self)
        if not self._enabled:
            raise MiddlewareNotUsed('OBS_MIDDLEWARE["ENABLED"] is False')

    def configure(self, settings: Settings) -> None:
        """Take over *settings*. Everything is resolved here, and nothing in a request."""
        self._enabled = settings.enabled
        self._id_key = meta_key(settings.request_id_header) if settings.trust_request_id else ""  # META never has it
        self._id_header = settings.request_id_header if settings.response_header else None
        self._id_header_key = settings.request_id_header.lower()
        self._add_headers = chosen_headers(settings)
        self._id_source = request_id_source(settings.request_id)
        self._measures_queries = settings.database and is_installed()
        self._watch = watch_for(settings, in_thread=self._in_thread)
        self._facts = FactReader(settings)
        self._writer = line_writer(settings, _log, _log_failure)
        warn_if_unwritten(settings)

    if TYPE_CHECKING:
        # Not async, because a sync twin is not. A decorator of this type would do too, but mypy loses its type variable
        # when it reads the module from its cache.
        def __call__(self, request: Any) -> Result:
            """Return the result of *get_response*: the response, or a coroutine if the next layer is async."""
    else:

        async def __call__(self, request: Any) -> Any:
            """Await the next layer between `begin` and `finish`, and return its response."""
            event = self.begin(request)
            try:
                response = await self.get_response(request)
            except BaseException as error:
                self.finish(event, request, error=error)
                raise
            return self.finish(event, request, response)

    def begin(self, request: Any) -> Event | None:  # noqa: C901, PLR0912 -- runs in each request, so it makes few calls
        """
        Start the clock, and open the event of *request* in this context.

        Returns None if the request already has an open event, because the middleware is listed twice.
        """
        started = time.perf_counter()
        event = outer = None
        try:
            outer = current_event.get()
            if outer is not None:
                if outer.done:
                    outer = None  # left over in this thread or connection
                elif event_of(request) is outer:
                    return None
            if type(request) in _OF_DJANGO:
                method = request.method
                path = request.path
                meta = request.META
            else:
                method, path, meta = target_of(request)
            if outer is not None and outer.observed and is_observed_as(outer, request):
                event = outer
                if self._id_source is not None and event.request_id != meta.get(self._id_key):
                    event.request_id = self._id_source(request)  # observed() has no request to make it from
                event.set_target(method, path)
            else:
                request_id = meta.get(self._id_key)
                if request_id is None or type(request_id) is not str or not is_request_id(request_id):
                    request_id = new_request_id() if self._id_source is None else self._id_source(request)
                event = Event(started, request_id, method, path)
                event.previous = outer
                current_event.set(event)
            try:
                request._obs_middleware_event = event  # noqa: SLF001 -- EVENT_ATTRIBUTE; setattr() would be a call
                request.request_id = event.request_id
            except AttributeError:
                pass  # not a request of Django, and it takes no attributes
            traceparent = meta.get("HTTP_TRACEPARENT")
            if traceparent is not None or (opentelemetry_context is not None and opentelemetry_context()):
                trace = trace_of(traceparent)
                if trace is not None:
                    event.set_trace(*trace)
            if SENTRY:
                SENTRY[0](event, meta)
            if self._measures_queries:
                event.queries = []
            RUNNING[event] = request
            watch = self._watch
            if watch is not None and (watch.asleep or (not self._in_thread and _get_running_loop() is not watch.loop)):
                watch.attend()
        except BaseException as error:  # noqa: BLE001 -- the request goes on, whatever failed
            report_once("TimingMiddleware.begin", error)
            # An event that was opened before the failure must be closed, but not that of another request.
            opened = current_event.get()
            if opened is not None and not opened.done and (opened is not outer or opened.observed):
                event = opened
        return event or Event(started, new_request_id(), None, None)

    def finish(  # noqa: C901, PLR0912 -- as above
        self,
        event: Event | None,
        request: Any,
        response: Any = None,
        error: BaseException | None = None,
    ) -> Any:
        """
        Stop the clock and write the line, or let the end of a stream write it. Return *response*.

        Args:
            event: The result of `begin`. If it is None, nothing happens.
            request: The request that the next layer got.
            response: The response that it returned, or None.
            error: The exception that it raised, or None. The caller raises it again.
        """
        if event is None or event.done:
            return response
        seconds = time.perf_counter() - event.started
        try:
            if type(response) is HttpResponse or isinstance(response, HttpResponseBase):
                event.status = response.status_code
                if self._id_header is not None:
                    # This skips Django's checks of the name and the value, which cost ten times as much. Both are ASCII
                    # tokens: the settings and is_request_id() have checked them.
                    response.headers._store[self._id_header_key] = (self._id_header, event.request_id)  # noqa: SLF001 -- a canary test checks it
                if self._add_headers is not None:
                    self._add_headers(event, response, seconds)
            try:
                view = request.resolver_match.func
                if getattr(view, RULE_ATTRIBUTE, None) is not None:
                    event.rule = rule_of(view)
            except AttributeError:
                pass  # no view matched, or not a request of Django
            if error is not None:
                self._leave(event, error)
            elif event.error is not None or (event.status or 0) >= 500:
                event.outcome = "error"
            if type(response) is not HttpResponse and isinstance(response, StreamingHttpResponse):
                self._facts.read(event, request, response)
                event.note("first_byte_seconds", round(seconds, 6))
                hold_weakly(event, request)
                follow(response, event, self._conclude)
            elif event.observed and event.outcome != "cancelled":
                self._facts.read(event, request, response)
            else:
                # Also if it is observed and cancelled: a server that shuts down may never return to the observer.
                self._writer.conclude(event, seconds, self._facts, request, response)
            outer = event.previous
            if outer is not None and not event.observed and not outer.done:
                # The request was made inside another one, whose code may never close the response.
                current_event.set(outer)
        except BaseException as failure:  # noqa: BLE001 -- the response goes out, whatever failed
            report_once("TimingMiddleware.finish", failure)
            if event.message is None and not event.observed:
                self._writer.conclude(event, seconds)
        return response

    def _conclude(self, event: Event, outcome: str, error: BaseException | None) -> None:
        """Write the line at the end of a stream, unless `observed` does."""
        if outcome != "ok":
            event.outcome = outcome
        if error is not None:
            event.error = error
        if not event.observed or outcome == "aborted":
            self._writer.conclude(event, time.perf_counter() - event.started)

    @staticmethod
    def _leave(event: Event, error: BaseException) -> None:
        if is_departure(error):
            event.status, event.outcome = 499, "cancelled"
        else:
            event.status, event.outcome, event.error = 500, "error", error
        if not event.observed:
            # request_finished may never be sent, and the next request of this thread must start clean.
            current_event.set(event.previous)
            failed_event.set(event)


class _SyncTwin(TimingMiddleware[Any]):
    """The sync ``__call__``. It comes after the original class, so that a ``__call__`` of a subclass wins."""

    def __call__(self, request: Any) -> Any:
        event = self.begin(request)
        try:
            response = self.get_response(request)
        except BaseException as error:
            self.finish(event, request, error=error)
            raise
        if type(response) is not HttpResponse and _is_awaitable(response):
            # The next layer is async, but not marked as such.
            return self._finish_later(event, request, response)
        return self.finish(event, request, response)

    async def _finish_later(self, event: Event | None, request: Any, awaitable: Awaitable[Any]) -> Any:
        try:
            response = await awaitable
        except BaseException as error:
            self.finish(event, request, error=error)
            raise
        return self.finish(event, request, response)


def _is_awaitable(response: Any) -> bool:
    """Return whether *response* must be awaited. It may be any object."""
    try:
        return not issubclass(type(response), HttpResponseBase) and isawaitable(response)
    except BaseException as error:  # noqa: BLE001 -- a foreign object may raise anything
        report_once("TimingMiddleware.__call__", error)
        return False


class _Unannounced:
    """A base of twins that hides the ``__init_subclass__`` of other classes, which expect subclasses that you wrote."""

    def __init_subclass__(cls) -> None:
        """Do nothing."""


@functools.cache
def _sync_twin(cls: Any) -> Any:
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    bases = (_SyncTwin,) if cls is TimingMiddleware else (cls, _SyncTwin)
    return type(cls.__name__, (_Unannounced, *bases), names)


def _log(text: str | None) -> None:
    """Log the line like `measure.line_writer.log`, but from this module, where users' tests patch ``logging``."""
    if ROOT_LOGGER.handlers or logging.info is not ORIGINAL_INFO:
        logging.info(text)  # noqa: LOG015 -- the contract: root logger, one argument


def _log_failure(text: str | None, error: BaseException | None) -> None:
    """Log a failure like `measure.line_writer.log_failure`, for the same reason."""
    if not ROOT_LOGGER.handlers and logging.error is ORIGINAL_ERROR:
        return
    if error is None:
        logging.error(text)  # noqa: LOG015 -- as above
    else:
        logging.error(text, exc_info=error)  # noqa: LOG015 -- as above
