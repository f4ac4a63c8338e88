"""
Everything known of one request, and the one ContextVar that holds it.

Measure, the lowest leaf: imports nothing of this package. Field names are spelt here and nowhere else; other modules
set attributes of the same names.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, NamedTuple

__all__ = [
    "FIELDS",
    "Field",
    "RequestEvent",
    "Said",
    "current_event",
    "event_of",
    "is_event_id",
    "new_event_id",
    "own_name",
]


class Field(NamedTuple):
    """
    One documented key of the flat schema.

    Attributes:
        type: The JSON type, as the field reference prints it.
        when: On which lines the key is found.
        meaning: What the value says, with its unit.
    """

    type: str
    when: str
    meaning: str


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "timestamp": Field("string", "every line", "When the line was written: RFC 3339, UTC, six digits, `Z`."),
        "level": Field(
            "string", "every line", "`debug`, `info`, `warning`, `error` or `critical`; another level by its name."
        ),
        "logger": Field("string", "every line", "Name of the logger; `root` for the request line."),
        "message": Field("string", "every line", "The text; `Request took 0.1234 seconds` for the request line."),
        "event_id": Field("string", "every line", "Unique id of this line, for shippers to drop duplicates."),
        "service": Field("string", "every line, if configured", "`service=` of `logging_config()`."),
        "version": Field("string", "every line, if configured", "`version=` of `logging_config()`."),
        "environment": Field("string", "every line, if configured", "`environment=` of `logging_config()`."),
        "trace_id": Field("string", "with a trace", "The W3C trace, 32 hex digits."),
        "span_id": Field("string", "with a trace", "The span of this request, 16 hex digits."),
        "parent_span_id": Field("string", "with a trace", "The span of the caller, 16 hex digits."),
        "request_id": Field("string", "inside a request", "The id of the request, the caller's own if it was usable."),
        "method": Field("string", "inside a request", "The HTTP method."),
        "path": Field("string", "inside a request", "The path, without the query string."),
        "route": Field(
            "string or null", "request line", 'The URL pattern that matched; null when none did; `""` for the root.'
        ),
        "view": Field(
            "string", "request line, if resolved", "Name of the URL pattern, else the dotted path of the view."
        ),
        "status": Field(
            "integer", "request line", "The status as sent; 499 when the client left before there was a response."
        ),
        "outcome": Field("string", "request line", "`ok`, `error`, `cancelled`, `aborted`, `stream_error` or `lost`."),
        "age_seconds": Field("number", "warnings of the watchdog", "Seconds since the request began, six decimals."),
        "duration_seconds": Field("number", "request line", "Seconds until the last byte was produced, six decimals."),
        "first_byte_seconds": Field("number", "request line of a stream", "Seconds until the response began."),
        "request_bytes": Field(
            "integer", "request line, when known", "Size of the request's body, as its headers declare it."
        ),
        "response_bytes": Field(
            "integer", "request line, when known", "Size of the response's body as it left Django."
        ),
        "db_queries": Field("integer", "request line, when measured", "Database queries of all aliases; 0 is a fact."),
        "db_seconds": Field("number", "request line, when measured", "Seconds they took together, six decimals."),
        "user_id": Field("string", "request line, when known", "Primary key of the user, if it was known anyway."),
        "client_ip": Field("string", "request line, when valid", "Address of the client, by `TRUSTED_PROXIES`."),
        "user_agent": Field("string", "request line, by `FIELDS`", "The header `User-Agent`."),
        "host": Field("string", "request line, by `FIELDS`", "The header `Host` as it came, not validated."),
        "scheme": Field("string", "request line, by `FIELDS`", "`http` or `https`, as Django sees it."),
        "http_version": Field("string", "request line, by `FIELDS`", "`1.0`, `1.1`, `2` or `3`."),
        "query": Field("string", "request line, by `FIELDS`", "The query string, secrets redacted."),
        "referrer": Field("string", "request line, by `FIELDS`", "The header `Referer`, secrets redacted."),
        "headers": Field("object", "request line, by `HEADERS`", "The chosen request headers by lower-case name."),
        "slow": Field("boolean", "slow request lines", "true: the request took `SLOW_SECONDS` or more."),
        "suppressed": Field("integer", "quiet request lines", "Lines of the same kind held back since the last one."),
        "sample_rate": Field(
            "number", "sampled request lines", "The share that was kept: this line stands for 1 / rate."
        ),
        "truncated": Field("boolean", "shortened lines", "true: something was cut, so that the line fits."),
        "truncated_fields": Field("array", "shortened lines", "The names of the fields that were cut or dropped."),
        "original_bytes": Field("integer", "shortened lines", "Size of the line before, in bytes; at least that."),
        "format_error": Field(
            "string", "lines that could not be written whole", "Class of the exception that left only these fields."
        ),
        "error_type": Field("string", "exceptions", "Class of the exception, with its module unless it is a builtin."),
        "error_message": Field(
            "string", "exceptions; security records", "Text of the exception, or of the security record without one."
        ),
        "stack_trace": Field(
            "string", "exceptions; on the request line of a 5xx", "The traceback, no local variables."
        ),
        "stack_info": Field("string", "calls with `stack_info=True`; the watchdog", "Where the call was made."),
    }
)
"""Every key that this package may write. The field reference is tested against it."""

_RESERVED: Final = frozenset(FIELDS) | {"event", "exc_info"}

EVENT_ATTRIBUTE: Final = "_obs_middleware_event"
"""Where a request object carries its event, so that signals and log records find it without the ContextVar."""


def own_name(name: str) -> str:
    """Return *name* as an application's field may be called: a reserved name becomes ``app_<name>``."""
    return f"app_{name}" if name in _RESERVED else name


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
        "facts",
        "message",
        "method",
        "observed",
        "outcome",
        "path",
        "previous",
        "queries",
        "refusal",
        "request_id",
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
        self.facts: dict[str, Any] | None = None
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
        """Put a fact on the request line."""
        if self.facts is None:
            self.facts = {}
        self.facts[name] = value

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
            line = self.facts
            if line is None or "request_id" not in line:
                # Nobody has read the facts; the policy may have said something.
                line = {**self.context, "route": None, **(line or {})}
                if self.queries is not None:
                    line["db_queries"] = line["db_seconds"] = 0
            line["status"] = self.status
            line["outcome"] = self.outcome
            line["duration_seconds"] = (self.duration_seconds * 1_000_000 + 0.5) // 1 / 1_000_000
            if self.queries:
                queries = self.queries.copy()
                line["db_queries"] = len(queries)
                line["db_seconds"] = round(sum(queries), 6)
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


current_event: Final[ContextVar[RequestEvent | None]] = ContextVar("obs_middleware.measure.event", default=None)
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


_counter = itertools.count(1)
_token = os.urandom(8).hex()


_lock = threading.RLock()  # a signal handler may say something while its own thread is in here


def _after_fork() -> None:
    global _counter, _token, _lock  # noqa: PLW0603 -- the process's identity is process-wide by nature
    _counter = itertools.count(1)
    _token = os.urandom(8).hex()
    _lock = threading.RLock()  # the thread that may have held it is not in this process


os.register_at_fork(after_in_child=_after_fork)


is_event_id: Final = re.compile("[0-9a-f]{16}-[0-9a-f]{1,16}").fullmatch
"""Match a string that `new_event_id` may have made."""


def new_event_id() -> str:
    """Return an id that no other line has: a random token of the process, renewed after a fork, and a counter."""
    return f"{_token}-{next(_counter)}"
