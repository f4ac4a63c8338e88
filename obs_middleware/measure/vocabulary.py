"""
The keys of the flat schema: each name that a line may have, with its type and meaning.

Measure, a leaf of pure data. The schemas in `obs_middleware.logs.schemas` translate these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["CONTEXT", "FIELDS", "Field", "own_name"]


class Field(NamedTuple):
    """
    One documented key of the flat schema.

    Attributes:
        type: The JSON type, as the field reference prints it.
        when: Which lines have the key.
        meaning: The value, and its unit.
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
        "kind": Field(
            "string", "line of a unit that is no request", "`task`, `command` or `websocket`; absent for a request."
        ),
        "event_id": Field("string", "every line", "Unique id of this line, for shippers to drop duplicates."),
        "service": Field("string", "every line, if configured", "`service=` of `logging_config()`."),
        "version": Field("string", "every line, if configured", "`version=` of `logging_config()`."),
        "environment": Field("string", "every line, if configured", "`environment=` of `logging_config()`."),
        "trace_id": Field("string", "with a trace", "The W3C trace, 32 hex digits."),
        "span_id": Field("string", "with a trace", "The span of this request, 16 hex digits."),
        "parent_span_id": Field("string", "with a trace", "The span of the caller, 16 hex digits."),
        "request_id": Field(
            "string",
            "inside a request, and the work that it caused",
            "The id of the request, the caller's own if it was usable.",
        ),
        "method": Field("string", "inside a request", "The HTTP method."),
        "path": Field("string", "inside a request", "The path, without the query string."),
        "task": Field("string", "inside a task", "The name of the task, as its queue has it."),
        "task_id": Field("string", "inside a task", "The id of the task; its retries have the same one."),
        "parent_task_id": Field("string", "task line, if known", "The id of the task that enqueued this one."),
        "queue": Field("string", "task line, if known", "The name of the queue."),
        "attempt": Field("integer", "task line", "1 for the first try, 2 for the first retry."),
        "tasks": Field("array", "line of a unit that enqueued tasks", "Their ids, the first of them if they are many."),
        "command": Field("string", "inside a command", "The name of the management command."),
        "exit_code": Field("integer", "command line", "The exit code of the command."),
        "close_code": Field("integer", "websocket line, if known", "The code with which the connection was closed."),
        "route": Field(
            "string or null", "request line", 'The URL pattern that matched; null when none did; `""` for the root.'
        ),
        "view": Field(
            "string", "request line, if resolved", "Name of the URL pattern, otherwise the dotted path of the view."
        ),
        "status": Field(
            "integer", "request line", "The status as sent; 499 when the client left before there was a response."
        ),
        "outcome": Field("string", "line of a unit", "`ok`, `error` or another word of [Outcomes](#outcomes)."),
        "after_response": Field(
            "boolean", "lines of a request that is over", "true: the line was written after the request line."
        ),
        "age_seconds": Field("number", "warnings of the watchdog", "Seconds since the request began, six decimals."),
        "duration_seconds": Field(
            "number", "line of a unit", "Seconds until the end of the work, or the last byte, six decimals."
        ),
        "first_byte_seconds": Field("number", "request line of a stream", "Seconds until the response began."),
        "queue_seconds": Field("number", "line of a unit, when known", "Seconds that the work waited before it began."),
        "request_bytes": Field(
            "integer", "request line, when known", "Size of the request's body, as its headers declare it."
        ),
        "response_bytes": Field(
            "integer", "request line, when known", "Size of the response's body as it left Django."
        ),
        "db_queries": Field(
            "integer", "line of a unit, when measured", "Database queries of all aliases; 0 if there were none."
        ),
        "db_seconds": Field("number", "line of a unit, when measured", "Seconds they took together, six decimals."),
        "db_repeats": Field(
            "integer", "line of a unit with repeated queries", "How often the statement that ran most often ran."
        ),
        "db_repeated_at": Field(
            "string", "line of a unit, from `REPEATED_QUERIES`", "Your code that ran it: file, line and function."
        ),
        "http_calls": Field("integer", "line of a unit, by `OUTGOING`", "Outgoing HTTP calls; 0 if there were none."),
        "http_seconds": Field("number", "line of a unit, by `OUTGOING`", "Seconds they took together, six decimals."),
        "blocked_seconds": Field(
            "number", "line of a unit, by `BLOCKED_SECONDS`", "The longest time that it held the event loop in one go."
        ),
        "blocked_at": Field("string", "with `blocked_seconds`", "Your code that held it: file, line and function."),
        "slow_at": Field(
            "string", "slow request lines, when caught", "Your code that ran when it became slow, in the same form."
        ),
        "user_id": Field(
            "string", "request line, when known", "The user, if already known: the primary key, or what `USER` says."
        ),
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
            "number", "sampled request lines", "The share that was kept: this line counts for 1 / rate requests."
        ),
        "truncated": Field("boolean", "shortened lines", "true: something was cut, so that the line fits."),
        "truncated_fields": Field("array", "shortened lines", "The names of the fields that were cut or dropped."),
        "original_bytes": Field(
            "integer", "shortened lines", "Size of the line before it was cut, in bytes; a lower bound."
        ),
        "format_error": Field(
            "string", "lines that could not be written whole", "Class of the exception that left only these fields."
        ),
        "error_type": Field("string", "exceptions", "Class of the exception, with its module unless it is a builtin."),
        "error_message": Field(
            "string", "exceptions; security records", "Text of the exception, or of the security record without one."
        ),
        "stack_trace": Field(
            "string", "exceptions; on the line of a unit that failed", "The traceback, no local variables."
        ),
        "stack_info": Field("string", "calls with `stack_info=True`; the watchdog", "Where the call was made."),
    }
)
"""Every key that this package may write. The field reference is tested against it."""

CONTEXT: Final = frozenset(
    {"request_id", "trace_id", "span_id", "parent_span_id", "method", "path", "task", "task_id", "command"}
)
"""
The fields of every line inside a unit of work: a request, a task or a command. Outside, the package has no value for
them, so an application may use the names: a worker that logs the id of the request that caused its work is found by
that id.
"""

_RESERVED: Final = frozenset(FIELDS) | {"event", "exc_info"}


def own_name(name: str) -> str:
    """Return the name of an application's field: *name*, or ``app_<name>`` if the package uses that name."""
    return f"app_{name}" if name in _RESERVED else name
