"""
Everything known about one unit of work, and the one ContextVar that holds it.

Measure, a leaf. Attributes have the names of `obs_middleware.measure.vocabulary.FIELDS`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from obs_middleware.measure.seen import Seen
from obs_middleware.measure.tally import Tally, count_and_sum
from obs_middleware.measure.vocabulary import own_name
from obs_middleware.processes import call_after_fork

if TYPE_CHECKING:
    from obs_middleware.measure.statements import Statements

__all__ = [
    "EVENT_ATTRIBUTE",
    "Event",
    "Held",
    "Records",
    "Said",
    "current_event",
    "event_of",
    "failed_event",
    "is_of_scope",
]

EVENT_ATTRIBUTE: Final = "_obs_middleware_event"
"""The attribute of a request that holds its event, so that signals and log records find it without the ContextVar."""


class Said:
    """
    The fields that the application added to a request.

    Attributes:
        bound: The fields of `bind`, for every later line.
        annotations: The fields of `annotate`, for the request line only.
        starts: Name of a `timed` block -> ``time.perf_counter()`` of each block that is open.
        timings: Name of a `timed` block -> its durations in seconds.
    """

    __slots__ = ("annotations", "bound", "starts", "timings")

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}
        self.annotations: dict[str, Any] = {}
        self.starts: dict[str, list[float]] = {}
        self.timings: dict[str, Tally] = {}

    def add_to(self, line: dict[str, Any]) -> None:
        """Add the fields to *line*. Names that clash were renamed when they were bound, so nothing is overwritten."""
        # A copy first: another task of the request may still be measuring.
        for name, tally in self.timings.copy().items():
            line[own_name(f"{name}_seconds")] = round(tally.seconds, 6)
            line[own_name(f"{name}_count")] = tally.count
        line.update(self.bound)
        line.update(self.annotations)


class Held(Protocol):
    """A log record that waits in one handler until the line of its request is out."""

    def release(self, *, left_out: bool) -> None:
        """
        Write the record if the line did not tell the same in this handler.

        Args:
            left_out: The site's settings left the line out, and mean its request with it.
        """


class Records:
    """
    Django's own records of a request that failed or was refused, and where its line has been.

    Attributes:
        held: The records that wait for the line.
        reached: The handlers that the line has reached.
        is_error: Django said ERROR of the request.
    """

    __slots__ = ("held", "is_error", "reached")

    def __init__(self) -> None:
        self.held: list[Held] = []
        self.reached: list[logging.Handler] = []
        self.is_error = False


class Event:
    """
    Everything known about one request. Mutable: all tasks and threads of the request share one object.

    Attributes and the keys of `line_fields` have the names of `FIELDS`. It never holds the request or the response.
    `error` and `refusal` hold an exception only until the line is out. Other units of work have a subclass, which
    overrides the class attributes and methods at the end.

    Attributes:
        kind: The field of that name. None for a request, whose line has no such field.
        is_expected: The site has declared that the exception is no failure.
        title: The first word of the line.
        started: ``time.perf_counter()`` at entry, in seconds.
        trace: The fields of the request's trace, or None.
        trace_flags: The flags of the caller's ``traceparent``, for calls to other services.
        said: The fields that the application added, or None. `say` creates it.
        queries: Durations of the database queries in seconds. A list has one item per query, and costs a request less
            than a `Tally`, which other work has because it may run for days. None if they are not measured.
        statements: How often each statement of the database ran, or None before the first query.
        calls: The number and duration of the outgoing HTTP calls, or None if they are not measured.
        counts_calls: New events have `calls`. `obs_middleware.work.outgoing` sets it.
        line_fields: Further fields of the request line, or None. `line` uses them.
        rule: The `obs_middleware.measure.policy.Rule` of a decorated view, or None.
        message: Text of the request line. A record is the request line if its text *is* this object (identity).
        error: The exception that ended the request or became its 5xx.
        refusal: The exception that Django answered with a 4xx, for example a bad host name, or the text of a security
            record without an exception.
        records: Django's own records of the request, or None. `with_records` creates it.
        done: The line has been decided. Later changes to the event are not on it.
        previous: The unfinished event of an outer request in the same context, or None.
        observed: `obs_middleware.asgi.observed` writes the line, when the server has the last byte.
        shown: A handler has taken the line, and formats it with what is known here.
        seen: What the watching thread has seen of the unit, or None. The thread creates it.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_line",
        "calls",
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
        "records",
        "refusal",
        "request_id",
        "route",
        "rule",
        "said",
        "seen",
        "shown",
        "started",
        "statements",
        "status",
        "trace",
        "trace_flags",
    )

    kind: str | None = None
    title = "Request"
    is_expected = False
    counts_calls: ClassVar[bool] = False

    def __init__(self, started: float, request_id: str, method: str | None = None, path: str | None = None) -> None:
        self.started = started
        self.request_id = request_id
        self.method = method
        self.path = path
        self.trace: dict[str, Any] | None = None
        self.trace_flags = 0
        self.said: Said | None = None
        self.records: Records | None = None
        self.message: str | None = None
        self.done = self.observed = self.shown = False
        self.previous: Event | None = None
        self.error: BaseException | None = None
        self.refusal: BaseException | str | None = None
        self.status: int | None = None
        self.outcome = "ok"
        self.duration_seconds = 0.0
        self.route: str | None = None
        self.line_fields: dict[str, Any] | None = None
        self.queries: list[float] | Tally | None = None
        self.statements: Statements | None = None
        self.calls: Tally | None = Tally() if self.counts_calls else None
        self.rule: Any = None
        self.seen: Seen | None = None
        self._context: dict[str, Any] | None = None
        self._line: dict[str, Any] | None = None

    def say(self) -> Said:
        """Return `said`, created at the first call: most requests do not need its dicts."""
        if self.said is None:
            with _lock:  # two threads of one request may make the first call at once
                if self.said is None:
                    self.said = Said()
        return self.said

    def with_records(self) -> Records:
        """Return `records`, created at the first call: a request that succeeds has none."""
        if self.records is None:
            with _lock:
                if self.records is None:
                    self.records = Records()
        return self.records

    @property
    def is_left_out(self) -> bool:
        """Whether the line has been decided, and the site's settings leave it out."""
        return self.done and self.message is None

    @property
    def context(self) -> dict[str, Any]:
        """
        The fields of every line inside the request, without those of `bind`. Do not change the dict: lines share it.

        When the request is over, they say so: a task may outlive its request and log under its id.
        """
        context = self._context
        if context is None:
            names = {name: value for name, value in self.names().items() if value is not None}
            context = self._context = {"request_id": self.request_id, **names, **(self.trace or {})}
        return {**context, "after_response": True} if self.done and self.kind is None else context

    def set_trace(self, trace_id: str, span_id: str, parent_span_id: str | None, flags: int = 0) -> None:
        """Set the trace of the request, for every line from now on."""
        self.trace_flags = flags
        self.trace = {"trace_id": trace_id, "span_id": span_id}
        if parent_span_id is not None:
            self.trace["parent_span_id"] = parent_span_id
        self._context = None

    def set_target(self, method: str | None, path: str | None) -> None:
        """Set method and path, for every line from now on. None leaves the value as it is."""
        if method is not None:
            self.method = method
        if path is not None:
            self.path = path
        self._context = None

    def names(self) -> Mapping[str, Any]:
        """Return the fields that name the unit on all of its lines. Values of None are left out."""
        return {"method": self.method, "path": self.path}

    def note(self, name: str, value: Any) -> None:
        """Add a field to the request line."""
        if self.line_fields is None:
            self.line_fields = {}
        self.line_fields[name] = value

    def is_line(self, message: object) -> bool:
        """Return whether *message*, of a record or an event dict, is the same object as the request line's text."""
        return self.message is not None and message is self.message

    def line(self) -> dict[str, Any]:  # noqa: C901 -- once per request, so it makes few calls
        """
        Return the fields of the request line. The first formatter that asks completes them, once.

        The result is shared: copy it before you change it.
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
            if self.kind is not None:
                del line["method"], line["path"], line["route"], line["status"]
                line = {"kind": self.kind, **self.context, **line}
            elif self.trace is not None or self.method is None or self.path is None:
                del line["method"], line["path"]
                line = {name: value for name, value in self.context.items() if name != "after_response"} | line
            queries = self.queries
            if queries:
                line["db_queries"], seconds = count_and_sum(queries)
                line["db_seconds"] = round(seconds, 6)
                if self.statements is not None:
                    line |= self.statements.fields()
            elif queries is not None:
                line["db_queries"] = line["db_seconds"] = 0
            if self.calls is not None:
                line["http_calls"] = self.calls.count
                line["http_seconds"] = round(self.calls.seconds, 6)
            if self.line_fields is not None:
                line |= self.line_fields
            if self.seen is not None:
                line |= self.seen.fields(self.started + self.duration_seconds)
            if self.said is not None:
                self.said.add_to(line)
            self._line = line
        return line


current_event: Final[ContextVar[Event | None]] = ContextVar("obs_middleware.event", default=None)
"""
The event of the current request, or of another unit of work.

Visible in awaited code, sync views under ASGI, tasks started inside the request, ``asyncio.to_thread`` and
``async_to_sync``. Visible in threads that the application starts itself, and in ``loop.run_in_executor``, only with
`obs_middleware.carry` or the setting ``THREADS``.
"""

failed_event: Final[ContextVar[Event | None]] = ContextVar("obs_middleware.failed_event", default=None)
"""
The event of a request that has left the middleware with an exception, and with it `current_event`.

The access line of its server comes after that.
"""


def event_of(request: object) -> Event | None:
    """Return the event of *request*, which may be any object, or None."""
    event = getattr(request, EVENT_ATTRIBUTE, None)
    # By exact type: a Mock has every attribute.
    return event if type(event) is Event else None


def is_of_scope(request: object, event: Event) -> bool:
    """Return whether `obs_middleware.asgi.observed` opened *event* for *request*, which may be any object."""
    scope = getattr(request, "scope", None)
    return type(scope) is dict and scope.get(EVENT_ATTRIBUTE) is event


_lock = threading.RLock()  # reentrant: a signal handler may call bind() while its own thread holds the lock


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 -- each process has its own lock
    _lock = threading.RLock()  # a thread that held the old one at the fork is not in this process
    # A pool that forks inside a request serves others later. All that a command forks belongs to it.
    event = current_event.get()
    if event is not None and event.kind != "command":
        current_event.set(None)


call_after_fork(_after_fork)
