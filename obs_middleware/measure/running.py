"""
The requests that are running now, and a warning for one that runs too long.

Measure. A running request costs one entry in a dict. The watchdog is one thread per process, started with the first
request if it is configured. It searches stacks only for a request that is late.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import traceback
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter  # by name: a test that replaces time.perf_counter counts only the middleware's calls
from typing import Any, Final

from obs_middleware import threads
from obs_middleware.failures import report_once
from obs_middleware.measure.event import RequestEvent, current_event, is_of_scope
from obs_middleware.measure.stacks import Stack, find_stacks
from obs_middleware.processes import call_after_fork

__all__ = ["RUNNING", "RunningRequest", "Watchdog", "hold_weakly", "in_flight", "is_observed_as", "watchdog"]

_TICKS: Final = 20
"""How often the watchdog looks within its time limit. A warning is late by at most this part of the limit."""

RUNNING: Final[dict[RequestEvent, Any]] = {}
"""
Requests in flight: event -> request, or a weak reference to it. `begin()` adds an entry, writing the line removes it.
"""


@dataclass(frozen=True, slots=True)
class RunningRequest:
    """
    A request that is running now.

    Attributes:
        request_id: Its id, as on its lines.
        method: The HTTP method, or None if it is unknown.
        path: The path without the query string, or None if it is unknown.
        route: The URL pattern that matched, or None if none has matched yet.
        age_seconds: Seconds since the request began.
    """

    request_id: str
    method: str | None
    path: str | None
    route: str | None
    age_seconds: float


def is_observed_as(event: RequestEvent, request: Any) -> bool:
    """
    Return whether `obs_middleware.asgi.observed` opened *event* for *request*, which may be any object.

    The request of a WSGI application in an ASGI adapter does not know the scope. It is the first request in *event*,
    and has the same method and path.
    """
    if is_of_scope(request, event):
        return True
    # By its attribute, not its class: Django's handlers are not needed for `import obs_middleware`.
    is_first = type(getattr(request, "environ", None)) is dict and RUNNING.get(event) is None
    return is_first and (request.method, request.path) == (event.method, event.path)


def hold_weakly(event: RequestEvent, request: Any) -> None:
    """
    Let *request* be garbage-collected while its response is a stream.

    A request may refer to its own response. If `RUNNING` kept the request, a stream that is lost would never be
    collected, which is how its end is noticed.
    """
    try:
        RUNNING[event] = weakref.ref(request)
    except TypeError:  # an object without weak references
        RUNNING[event] = None


def _running() -> Iterator[tuple[RequestEvent, Any]]:
    """Yield the events of the requests in flight, each with its request, or None if that is gone."""
    for event, request in RUNNING.copy().items():
        yield event, request() if type(request) is weakref.ref else request


def in_flight() -> list[RunningRequest]:
    """Return the requests that this process is serving now, oldest first."""
    now = perf_counter()
    return sorted(
        (
            RunningRequest(event.request_id, event.method, event.path, _route(event, request), now - event.started)
            for event, request in _running()
        ),
        key=lambda running: running.age_seconds,
        reverse=True,
    )


def _route(event: RequestEvent, request: Any) -> str | None:
    route = getattr(getattr(request, "resolver_match", None), "route", event.route)
    return route if isinstance(route, str) else None


class Watchdog:
    """
    Warn once of each request that has run too long: `Request still running after 10.0 seconds`.

    The warning goes to the logger ``obs_middleware``. It has the request's id, method, path, route and `age_seconds`,
    and the stack of the thread or task that serves the request as ``stack_info``.

    Attributes:
        seconds: The time limit.
    """

    def __init__(self) -> None:
        self.seconds = math.inf
        self._pid = 0
        self.renew_lock()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def set_limit(self, seconds: float) -> None:
        """Set the time limit, also for the requests that are running."""
        with self._lock:
            self.seconds = seconds
            self._changed.notify_all()

    def renew_lock(self) -> None:
        """Replace the lock, because a thread that holds it at a fork is not in the child."""
        self._lock = threads.RLock()
        self._changed = threads.Condition(self._lock)

    def attend(self, event: RequestEvent, *, in_thread: bool) -> None:
        """Watch *event*. Costs a flag, an entry for the event loop, and a check that the thread was started."""
        event.watched = True
        if not in_thread:
            self._loops.add(asyncio.get_running_loop())
        if self._pid != os.getpid():
            # The first request of this process: a thread does not survive a fork.
            self._pid = os.getpid()
            threads.start(self._watch, "obs_middleware watchdog")

    def _watch(self) -> None:
        while True:
            with self._lock:
                self._changed.wait(self.seconds / _TICKS)
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 -- one late request must not end the watch over the others
                report_once("Watchdog", error)

    def _look(self) -> None:
        late = perf_counter() - self.seconds
        found = [
            (event, request)
            for event, request in _running()
            if event.started <= late and event.watched and not event.done
        ]
        if not found:
            return
        stacks = find_stacks([request for _, request in found if request is not None], tuple(self._loops))
        for event, request in found:
            event.watched = False
            if not event.done:  # it may have ended while the others were reported
                self._warn(event, request, stacks.get(id(request), []))

    def _warn(self, event: RequestEvent, request: Any, frames: Stack) -> None:
        # A separate event, because later lines of the request must not have these fields.
        shown = RequestEvent(event.started, event.request_id, event.method, event.path)
        shown.said = event.said
        shown.context["route"] = _route(event, request)
        shown.context["age_seconds"] = round(perf_counter() - event.started, 6)
        stack = "".join(traceback.format_list(traceback.StackSummary.extract(iter(frames))))
        logger = logging.getLogger("obs_middleware")
        record = logger.makeRecord(
            logger.name,
            logging.WARNING,
            __file__,
            0,
            f"Request still running after {self.seconds:.1f} seconds",
            (),
            None,
            "watchdog",
            None,
            f"Stack (most recent call last):\n{stack}".rstrip("\n"),
        )
        if logger.isEnabledFor(logging.WARNING):
            current_event.set(shown)
            try:
                logger.handle(record)
            finally:
                current_event.set(None)


_WATCHDOG: Final = Watchdog()


def watchdog(seconds: float) -> Watchdog:
    """Return the watchdog of the process, with *seconds* as its time limit from now on."""
    _WATCHDOG.set_limit(seconds)
    return _WATCHDOG


call_after_fork(RUNNING.clear)
call_after_fork(_WATCHDOG.renew_lock)
