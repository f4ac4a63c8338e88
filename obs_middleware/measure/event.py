"""
All that is known of one request, and the one ContextVar that holds it.

Measure, a leaf. Attributes have the names of `obs_middleware.measure.vocabulary.FIELDS`.
"""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from typing import Any, Final

from obs_middleware.measure.vocabulary import own_name

__all__ = ["RequestEvent", "Said", "current_event", "event_of"]

EVENT_ATTRIBUTE: Final = "_obs_middleware_event"
"""Where a request object carries its event, so that signals and log records find it without the ContextVar."""


class Said:
    """
    What the application has said of a request.

    Attributes:
        bound: What `bind` added: on every later line.
        annotations: What `annotate` added: on the request line only.
        timings: Name of a `timed` block -> its durations in seconds, one item a block.
    """

    __slots__ = ("annotations", "bound", "timings")

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}
        self.annotations: dict[str, Any] = {}
        self.timings: dict[str, list[float]] = {}


class RequestEvent:
    """
    All that is known of one request; mutable, one object for every task and thread of the request.

    Attributes and the keys of `facts` carry the names of `FIELDS`. It never holds the request or the response; `error`
    and `refusal` hold an exception only until the line is out.

    Attributes:
        started: ``time.perf_counter()`` at entry, in seconds.
        trace: The fields of the trace that the request belongs to, or None.
        said: What the application said; None as long as that is nothing. `say` makes it.
        queries: Durations in seconds of the database queries, one item a query; None if they are not measured.
        facts: The request line in the making, field by field; `line` completes it.
        rule: What a decorator said beside the view (`obs_middleware.measure.policy.Rule`), or None.
        message: Text of the request line; a record whose text *is* this object (identity) is the request line.
        error: The exception that ended the request or became its 5xx.
        refusal: What was logged of a refusal: the exception that Django answered with a 4xx, such as a bad host name,
            or the text of a security record without one.
        done: The line has been decided; nothing written to the event after that shows.
        previous: The unfinished event of an outer request in the same context, if any.
        observed: `obs_middleware.asgi.observed` writes the line, when the server has the last byte.
        watched: The watchdog is to speak of this request if it runs too long; False again when it has.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_line",
        "done",
        "duration_seconds",
        "error",
        "line_fields",
        "message",
        "method",
        "observed",
        "outcome",
        "path",
        "previous",
        "queries",
        "refusal",
        "request_id",
        "route",
        "rule",
        "said",
        "started",
        "status",
        "trace",
        "watched",
    )

    def __init__(self, started: float, request_id: str, method: str | None, path: str | None) -> None:
        self.started = started
        self.request_id = request_id
        self.method = method
        self.path = path
        self.trace: dict[str, Any] | None = None
        self.said: Said | None = None
        self.message: str | None = None
        self.done = self.observed = self.watched = False
        self.previous: RequestEvent | None = None
        self.error: BaseException | None = None
        self.refusal: BaseException | str | None = None
        self.status: int | None = None
        self.outcome = "ok"
        self.duration_seconds = 0.0
        self.route: str | None = None
        self.line_fields: dict[str, Any] | None = None
        self.queries: list[float] | None = None
        self.rule: Any = None
        self._context: dict[str, Any] | None = None
        self._line: dict[str, Any] | None = None

    def say(self) -> Said:
        """Return `said`, made at the first call: most requests are spared three dicts."""
        if self.said is None:
            with _lock:  # two threads of one request may be the first at once
                if self.said is None:
                    self.said = Said()
        return self.said

    @property
    def context(self) -> dict[str, Any]:
        """The fields of every line inside the request, without those bound; shared with the lines to come."""
        if self._context is None:
            named = {"request_id": self.request_id, "method": self.method, "path": self.path}
            self._context = {name: value for name, value in named.items() if value is not None} | (self.trace or {})
        return self._context

    def set_trace(self, trace_id: str, span_id: str, parent_span_id: str | None) -> None:
        """Say which trace the request belongs to; on every line from now on."""
        self.trace = {"trace_id": trace_id, "span_id": span_id}
        if parent_span_id is not None:
            self.trace["parent_span_id"] = parent_span_id
        self._context = None

    def set_target(self, method: str | None, path: str | None) -> None:
        """Say what was asked for; None for what is not known, which then stays as it was on the lines."""
        if method is not None:
            self.method = method
        if path is not None:
            self.path = path
        self._context = None

    def note(self, name: str, value: Any) -> None:
        """Put a field on the request line."""
        if self.line_fields is None:
            self.line_fields = {}
        self.line_fields[name] = value

    def is_line(self, message: object) -> bool:
        """Return whether *message*, of a record or an event dict, is the text of the request line: that very object."""
        return self.message is not None and message is self.message

    def line(self) -> dict[str, Any]:
        """
        Return the fields of the request line, completed once, when the first formatter asks.

        The result is shared: copy before changing.
        """
        line = self._line
        if line is None:
            line = {
                "request_id": self.request_id,
                "method": self.method,
                "path": self.path,
                "route": self.route,
                "status": self.status,
                "outcome": self.outcome,
                "duration_seconds": (self.duration_seconds * 1_000_000 + 0.5) // 1 / 1_000_000,
            }
            if self.trace is not None or self.method is None or self.path is None:
                del line["method"], line["path"]
                line = self.context | line
            queries = self.queries
            if queries:
                queries = queries.copy()  # another thread of the request may still be measuring
                line["db_queries"] = len(queries)
                line["db_seconds"] = round(sum(queries), 6)
            elif queries is not None:
                line["db_queries"] = line["db_seconds"] = 0
            if self.line_fields is not None:
                line |= self.line_fields
            if self.said is not None:
                # A copy first: another task of the request may still be measuring.
                for name, durations in self.said.timings.copy().items():
                    line[own_name(f"{name}_seconds")] = round(sum(durations), 6)
                    line[own_name(f"{name}_count")] = len(durations)
                # Names that clash were renamed when they were bound, so nothing above can be overwritten here.
                line.update(self.said.bound)
                line.update(self.said.annotations)
            self._line = line
        return line


current_event: Final[ContextVar[RequestEvent | None]] = ContextVar("obs_middleware.event", default=None)
"""
The event of the request being served here.

Seen in awaited code, sync views under ASGI, tasks started inside the request, ``asyncio.to_thread`` and
``async_to_sync``; not in threads started by hand or ``loop.run_in_executor``.
"""


def event_of(request: object) -> RequestEvent | None:
    """Return the event that *request* carries, or None; any object may be asked."""
    event = getattr(request, EVENT_ATTRIBUTE, None)
    # By type, not by truth: a Mock answers every attribute.
    return event if type(event) is RequestEvent else None


_lock = threading.RLock()  # a signal handler may say something while its own thread is in here


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 -- a lock is of one process
    _lock = threading.RLock()  # the thread that may have held it is not in this process


os.register_at_fork(after_in_child=_after_fork)
