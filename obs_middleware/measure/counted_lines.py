"""
Count each request and task in a histogram when its line is decided.

Measure. `line_writer` makes the writer of lines for the settings. Without ``METRICS`` it is a plain one, so that a
request costs nothing more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from django.core.handlers.wsgi import WSGIRequest

from obs_middleware.conf import Settings, django_setting
from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event
from obs_middleware.measure.facts import FactReader
from obs_middleware.measure.histograms import histograms_in
from obs_middleware.measure.line_writer import LineWriter
from obs_middleware.measure.policy import is_failure
from obs_middleware.measure.running import RUNNING

__all__ = ["CountingLineWriter", "line_writer"]

Log = Callable[[str | None], None]
LogFailure = Callable[[str | None, BaseException | None], None]

_UNKNOWN: Final = "_OTHER"
"""An error without a class, as the semantic conventions of OpenTelemetry name it."""


def line_writer(settings: Settings, log: Log, log_failure: LogFailure) -> LineWriter:
    """Return the writer of lines for *settings*. The arguments are those of `LineWriter`."""
    if settings.metrics is False:
        return LineWriter(settings, log, log_failure)
    return CountingLineWriter(settings, log, log_failure)


class CountingLineWriter(LineWriter):
    """
    A writer of lines that counts every request and task, also those whose line is left out or lost.

    Args:
        settings: The settings in force, with ``METRICS``.
        log: As for `LineWriter`.
        log_failure: As for `LineWriter`.
    """

    def __init__(self, settings: Settings, log: Log, log_failure: LogFailure) -> None:
        super().__init__(settings, log, log_failure)
        histograms = histograms_in(settings.metrics)
        self._requests = histograms.requests
        self._tasks = histograms.tasks
        header = django_setting("SECURE_PROXY_SSL_HEADER")
        # Django itself reports a setting of another form.
        self._proxy = tuple(header) if isinstance(header, (list, tuple)) and len(header) == 2 else None

    def conclude(
        self,
        event: Event,
        seconds: float,
        reader: FactReader | None = None,
        request: Any = None,
        response: Any = None,
    ) -> None:
        """End *event* as `LineWriter.conclude` does, and count it. Never raises."""
        if event.done:
            return
        # Afterwards, the exception and the request are gone.
        failure = None if event.outcome == "ok" and event.records is None else _failure_of(event)
        if request is None and event.kind is None:
            request = _running(event)
        try:
            LineWriter.conclude(self, event, seconds, reader, request, response)
        finally:
            try:
                if event.kind is None:
                    route = event.route
                    if route is None:
                        route = _route_of(request)
                    if self._proxy is None and type(request) is WSGIRequest:
                        scheme = request.META.get("wsgi.url_scheme")
                    else:
                        scheme = self._scheme_of(request)
                    self._requests.count((event.method, scheme, route, event.status, failure), seconds, event)
                elif event.kind == "task":
                    self._count_task(event, seconds, failure)
            except BaseException as error:  # noqa: BLE001 -- the request goes on, whatever failed
                report_once('OBS_MIDDLEWARE["METRICS"]', error)

    def _scheme_of(self, request: Any) -> Any:
        """Return the scheme as Django finds it. `request.scheme` would look up settings each time."""
        meta = getattr(request, "META", None)
        if type(meta) is not dict:
            return None
        if self._proxy is not None and (sent := meta.get(self._proxy[0])) is not None:
            return "https" if sent.split(",", 1)[0].strip() == self._proxy[1] else "http"
        scope = getattr(request, "scope", None)
        return scope.get("scheme") if type(scope) is dict else meta.get("wsgi.url_scheme")

    def _count_task(self, event: Event, seconds: float, failure: str | None) -> None:
        queue = None if event.line_fields is None else event.line_fields.get("queue")
        task = event.names().get("task")
        values = (None if task is None else str(task), None if queue is None else str(queue), event.outcome, failure)
        self._tasks.count(values, seconds, event)


def _running(event: Event) -> Any:
    """Return the request of *event*, or None if it is gone."""
    request = RUNNING.get(event)
    return request() if type(request) is weakref.ref else request


def _route_of(request: Any) -> Any:
    """Return the route of a request whose line is left out, so that nothing has read it. None if no view matched."""
    return getattr(getattr(request, "resolver_match", None), "route", None)


def _failure_of(event: Event) -> str | None:
    """
    Return the attribute ``error.type``, or None if the work has not failed. Never raises.

    It is the ``error_type`` of the line. Without an exception it is the status of a 5xx, else the outcome.
    """
    try:
        if not is_failure(event):
            return None
        error = event.refusal if event.error is None else event.error
        if isinstance(error, BaseException):
            kind = type(error)
            return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        if event.status is not None and event.status >= 500:
            return str(event.status)
        return event.outcome if event.outcome != "ok" else _UNKNOWN
    except Exception as error:  # noqa: BLE001 -- a foreign class may raise anything when asked for its name
        report_once('OBS_MIDDLEWARE["METRICS"]', error)
        return _UNKNOWN
