"""
The requests that are running now, and a warning for one that runs too long.

Measure. A request costs one entry in a dict while it runs; the watchdog is one thread of the process, started with the
first request if it is configured, and it does the searching only for a request that is late.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter  # by name: a test that replaces time.perf_counter counts the middleware's calls alone
from types import FrameType
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.measure.event import RequestEvent, current_event

__all__ = ["RUNNING", "RunningRequest", "Watchdog", "in_flight", "watchdog"]

_TICKS: Final = 20
"""How often within its patience the watchdog looks; a warning is late by at most this part of it."""

RUNNING: Final[dict[RequestEvent, Any]] = {}
"""The events of the requests that are running, each with its request; entered at its begin, removed with its line."""


@dataclass(frozen=True, slots=True)
class RunningRequest:
    """
    A request that is running now.

    Attributes:
        request_id: Its id, as on its lines.
        method: The HTTP method; None if it is not known.
        path: The path, without the query string; None if it is not known.
        route: The URL pattern that matched; None if none has (yet).
        age_seconds: Seconds since it began.
    """

    request_id: str
    method: str | None
    path: str | None
    route: str | None
    age_seconds: float


def in_flight() -> list[RunningRequest]:
    """Return the requests that this process is serving now, the oldest first."""
    now = perf_counter()
    return sorted(
        (
            RunningRequest(event.request_id, event.method, event.path, _route(request), now - event.started)
            for event, request in RUNNING.copy().items()
        ),
        key=lambda running: running.age_seconds,
        reverse=True,
    )


def _route(request: Any) -> str | None:
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    return route if isinstance(route, str) else None


class Watchdog:
    """
    Warn once of each request that has run for *seconds*: `Request still running after 10.0 seconds`.

    The warning, on the logger ``obs_middleware``, has the request's id, method, path, route and `age_seconds`, and as
    ``stack_info`` the stack of the thread or task that serves it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._pid = 0
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def attend(self, event: RequestEvent, *, in_thread: bool) -> None:
        """Watch over *event*; costs a flag, the loop's name, and a comparison that says the thread is there."""
        event.watched = True
        if not in_thread:
            self._loops.add(asyncio.get_running_loop())
        if self._pid != os.getpid():
            # The first request of this process; a thread does not survive a fork.
            self._pid = os.getpid()
            threading.Thread(target=self._watch, name="obs_middleware watchdog", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(self.seconds / _TICKS)
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 -- one late request must not end the watch over the others
                report_once("Watchdog", error)

    def _look(self) -> None:
        late = perf_counter() - self.seconds
        for event, request in RUNNING.copy().items():
            if event.started <= late and event.watched and not event.done:
                event.watched = False
                self._warn(event, request)

    def _warn(self, event: RequestEvent, request: Any) -> None:
        # A separate event, so that the fields of this line are not on later lines of the request.
        shown = RequestEvent(event.started, event.request_id, event.method, event.path)
        shown.said = event.said
        shown.context["route"] = _route(request)
        shown.context["age_seconds"] = round(perf_counter() - event.started, 6)
        stack = "".join(traceback.format_list(self._stack(request)))
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

    def _stack(self, request: Any) -> traceback.StackSummary:
        """
        Return where *request* is: the thread that has it in hand, else the task that waits for it.

        Found by the request being a local variable somewhere in the stack, so that nothing has to be noted in every
        request, and a sync view is found in whatever thread it runs.
        """
        own = threading.get_ident()
        for thread, frame in sys._current_frames().items():  # noqa: SLF001 -- documented in the manual, underscore or not
            if thread != own:
                frames = list(traceback.walk_stack(frame))
                if any(_holds(one, request) for one, _ in frames):
                    return traceback.StackSummary.extract(reversed(frames))
        for loop in tuple(self._loops):
            for task in asyncio.all_tasks(loop):
                suspended = [(frame, frame.f_lineno) for frame in _suspended(task.get_coro())]
                if any(_holds(one, request) for one, _ in suspended):
                    return traceback.StackSummary.extract(iter(suspended))
        return traceback.StackSummary()


watchdog = functools.cache(Watchdog)
"""Return the watchdog of this patience in seconds: one for all middleware of the process."""


def _holds(frame: FrameType, request: Any) -> bool:
    return request is not None and any(value is request for value in frame.f_locals.copy().values())


def _suspended(awaited: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, from the outermost to the one that waits."""
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(awaited: Any, *names: str) -> Any:
    """Return the first of these attributes that there is: coroutines and generators name theirs differently."""
    return next((value for name in names if (value := getattr(awaited, name, None)) is not None), None)


os.register_at_fork(after_in_child=RUNNING.clear)
