"""
What the reader knows of each schema: `SCHEMAS`, one row per schema.

Read. The reader knows lines, not the code that writes them, so this table is its own. A test compares it with the table
of the wing `logs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = [
    "ALL_SCHEMAS",
    "LISTS",
    "SCHEMAS",
    "TIME_CHARACTERS",
    "TYPES",
    "Place",
    "Schema",
    "field_of",
    "opening_of",
    "type_of",
]


class Place(NamedTuple):
    """
    The place of a field in the lines of a schema.

    Attributes:
        path: The keys from the root to the value. A dot inside a key is part of the key.
        form: The form of the value, if it differs from `TYPES`: ``ns``, nanoseconds; ``latency``, text like
            ``0.123456s``; ``upper``, text in upper case; ``url``, a URL that contains the path; ``trace``, a resource
            name that ends with the id.
    """

    path: tuple[str, ...]
    form: str = ""


class Schema(NamedTuple):
    """
    What the reader knows of a schema.

    Attributes:
        places: Field -> place. A field without a place is not in lines of this schema.
        own: The places of an application's field; ``*`` is its name.
        second: Field -> another place that it may have instead.
        marks: A sample with one of these keys may have lines of this schema. A schema too many costs little time, a
            schema too few a second reading.
        opening: The beginning of a line as the package writes it: the text before the time, and the text after it.
    """

    places: Mapping[str, Place]
    own: tuple[tuple[str, ...], ...]
    marks: tuple[bytes, ...]
    opening: tuple[str, str]
    second: Mapping[str, Place] = MappingProxyType({})


def _at(*path: str, form: str = "") -> Place:
    return Place(path, form)


_LABELS: Final = "logging.googleapis.com/labels"

TYPES: Final[Mapping[str, str]] = {
    "timestamp": "TIMESTAMP",
    "level": "VARCHAR",
    "logger": "VARCHAR",
    "message": "VARCHAR",
    "kind": "VARCHAR",
    "event_id": "VARCHAR",
    "service": "VARCHAR",
    "version": "VARCHAR",
    "environment": "VARCHAR",
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "parent_span_id": "VARCHAR",
    "request_id": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "task": "VARCHAR",
    "task_id": "VARCHAR",
    "parent_task_id": "VARCHAR",
    "queue": "VARCHAR",
    "attempt": "BIGINT",
    "tasks": "VARCHAR",
    "command": "VARCHAR",
    "exit_code": "BIGINT",
    "close_code": "BIGINT",
    "route": "VARCHAR",
    "view": "VARCHAR",
    "status": "INTEGER",
    "outcome": "VARCHAR",
    "duration_seconds": "DOUBLE",
    "first_byte_seconds": "DOUBLE",
    "queue_seconds": "DOUBLE",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
    "db_queries": "BIGINT",
    "db_seconds": "DOUBLE",
    "db_repeats": "BIGINT",
    "db_repeated_at": "VARCHAR",
    "http_calls": "BIGINT",
    "http_seconds": "DOUBLE",
    "blocked_seconds": "DOUBLE",
    "blocked_at": "VARCHAR",
    "slow_at": "VARCHAR",
    "user_id": "VARCHAR",
    "client_ip": "VARCHAR",
    "user_agent": "VARCHAR",
    "slow": "BOOLEAN",
    "suppressed": "BIGINT",
    "sample_rate": "DOUBLE",
    "truncated": "BOOLEAN",
    "error_type": "VARCHAR",
    "error_message": "VARCHAR",
    "stack_trace": "VARCHAR",
}
"""The fields that the reader knows, with their SQL types in the units of the flat schema. Any other name is the
application's. The `LISTS` are texts of JSON."""

LISTS: Final = frozenset({"tasks"})
"""The fields that are lists of texts."""

_TASK: Final = ("task", "task_id", "parent_task_id", "queue", "attempt", "tasks", "command", "close_code")
_CALLS: Final = ("http_calls", "http_seconds", "queue_seconds")
_REPEATS: Final = ("db_repeats", "db_repeated_at")
_REASONS: Final = ("blocked_seconds", "blocked_at", "slow_at")


def _attributes(**names: str) -> dict[str, Place]:
    return {field: _at("attributes", name) for field, name in names.items()}


def _obs(*names: str) -> dict[str, Place]:
    return {name: _at("obs", name) for name in names}


SCHEMAS: Final[Mapping[str, Schema]] = {
    "flat": Schema(
        places={name: _at(name) for name in TYPES},
        own=(("*",),),
        marks=(b'"level":', b'"duration_seconds":'),  # other formatters write the second key too
        opening=('{"timestamp":"', '","level":"'),
    ),
    "ecs": Schema(
        places={
            "timestamp": _at("@timestamp"),
            "level": _at("log.level"),
            "logger": _at("log", "logger"),
            "message": _at("message"),
            "event_id": _at("event_id"),
            "service": _at("service", "name"),
            "version": _at("service", "version"),
            "environment": _at("service", "environment"),
            "trace_id": _at("trace", "id"),
            "span_id": _at("span", "id"),
            "request_id": _at("http", "request", "id"),
            "method": _at("http", "request", "method"),
            "path": _at("url", "path"),
            "route": _at("http", "route"),
            "status": _at("http", "response", "status_code"),
            "duration_seconds": _at("event", "duration", form="ns"),
            "request_bytes": _at("http", "request", "body", "bytes"),
            "response_bytes": _at("http", "response", "body", "bytes"),
            "user_id": _at("user", "id"),
            "client_ip": _at("client", "ip"),
            "user_agent": _at("user_agent", "original"),
            "error_type": _at("error", "type"),
            "error_message": _at("error", "message"),
            "stack_trace": _at("error", "stack_trace"),
            "exit_code": _at("process", "exit_code"),
            **_obs("view", "outcome", "first_byte_seconds", "db_queries", "db_seconds"),
            **_obs("slow", "suppressed", "sample_rate", "truncated"),
            **_obs("kind", "parent_span_id", *_TASK, *_CALLS, *_REPEATS, *_REASONS),
        },
        own=(("labels", "*"), ("app", "*"), ("obs", "extra", "*")),
        marks=(b'"@timestamp":',),
        opening=('{"@timestamp":"', '","log.level":"'),
    ),
    "otel": Schema(
        places={
            "timestamp": _at("timestamp"),
            "level": _at("severity_text", form="upper"),
            "logger": _at("instrumentation_scope", "name"),
            "message": _at("body"),
            "event_id": _at("event_id"),
            "service": _at("resource", "attributes", "service.name"),
            "version": _at("resource", "attributes", "service.version"),
            "environment": _at("resource", "attributes", "deployment.environment.name"),
            "trace_id": _at("trace_id"),
            "span_id": _at("span_id"),
            **_attributes(
                request_id="obs.request_id",
                method="http.request.method",
                path="url.path",
                route="http.route",
                view="code.function.name",
                status="http.response.status_code",
                outcome="obs.outcome",
                duration_seconds="http.server.request.duration",
                first_byte_seconds="obs.first_byte_seconds",
                request_bytes="http.request.body.size",
                response_bytes="http.response.body.size",
                db_queries="obs.db_queries",
                db_seconds="obs.db_seconds",
                user_id="user.id",
                client_ip="client.address",
                user_agent="user_agent.original",
                slow="obs.slow",
                suppressed="obs.suppressed",
                sample_rate="obs.sample_rate",
                truncated="obs.truncated",
                error_type="exception.type",
                error_message="exception.message",
                stack_trace="exception.stacktrace",
                task_id="messaging.message.id",
                queue="messaging.destination.name",
                exit_code="process.exit.code",
                **{
                    name: f"obs.{name}"
                    for name in ("kind", "parent_span_id", *_TASK, *_CALLS, *_REPEATS, *_REASONS)
                    if name not in {"task_id", "queue"}
                },
            ),
        },
        second={"duration_seconds": _at("attributes", "obs.duration_seconds")},
        own=(("attributes", "app.*"),),
        marks=(b'"severity_text":',),
        opening=('{"timestamp":"', '","severity_text":"'),
    ),
    "datadog": Schema(
        places={
            "timestamp": _at("timestamp"),
            "level": _at("status"),
            "logger": _at("logger", "name"),
            "message": _at("message"),
            "event_id": _at("event_id"),
            "service": _at("service"),
            "version": _at("version"),
            "environment": _at("env"),
            "trace_id": _at("trace_id"),
            "span_id": _at("span_id"),
            "request_id": _at("http", "request_id"),
            "method": _at("http", "method"),
            "path": _at("http", "url_details", "path"),
            "route": _at("http", "route"),
            "status": _at("http", "status_code"),
            "duration_seconds": _at("duration", form="ns"),
            "request_bytes": _at("network", "bytes_read"),
            "response_bytes": _at("network", "bytes_written"),
            "db_queries": _at("db", "queries"),
            "db_seconds": _at("db", "seconds"),
            "db_repeats": _at("db", "repeats"),
            "db_repeated_at": _at("db", "repeated_at"),
            "user_id": _at("usr", "id"),
            "client_ip": _at("network", "client", "ip"),
            "user_agent": _at("http", "useragent"),
            "error_type": _at("error", "kind"),
            "error_message": _at("error", "message"),
            "stack_trace": _at("error", "stack"),
            **_obs("view", "outcome", "first_byte_seconds", "slow", "suppressed", "sample_rate", "truncated"),
            **_obs("kind", "parent_span_id", "exit_code", *_TASK, *_CALLS, *_REASONS),
        },
        own=(("app", "*"),),
        marks=(b'"status":"',),
        opening=('{"timestamp":"', '","status":"'),
    ),
    "gcp": Schema(
        places={
            "timestamp": _at("time"),
            "level": _at("severity", form="upper"),
            "logger": _at("logger"),
            "message": _at("message"),
            "event_id": _at("event_id"),
            "service": _at("serviceContext", "service"),
            "version": _at("serviceContext", "version"),
            "environment": _at(_LABELS, "environment"),
            "trace_id": _at("logging.googleapis.com/trace", form="trace"),
            "span_id": _at("logging.googleapis.com/spanId"),
            "request_id": _at(_LABELS, "request_id"),
            "method": _at("httpRequest", "requestMethod"),
            "path": _at("httpRequest", "requestUrl", form="url"),
            "route": _at(_LABELS, "route"),
            "view": _at(_LABELS, "view"),
            "status": _at("httpRequest", "status"),
            "duration_seconds": _at("httpRequest", "latency", form="latency"),
            "request_bytes": _at("httpRequest", "requestSize"),
            "response_bytes": _at("httpRequest", "responseSize"),
            "user_id": _at(_LABELS, "user_id"),
            "client_ip": _at("httpRequest", "remoteIp"),
            "user_agent": _at("httpRequest", "userAgent"),
            "stack_trace": _at("stack_trace"),
            **_obs("outcome", "first_byte_seconds", "db_queries", "db_seconds"),
            **_obs("slow", "suppressed", "sample_rate", "truncated", "error_type", "error_message"),
            **_obs("parent_span_id", "exit_code", *_TASK, *_CALLS, *_REPEATS, *_REASONS),
            **{name: _at(_LABELS, name) for name in ("kind", "task", "task_id", "parent_task_id", "queue", "command")},
        },
        second={"duration_seconds": _at("obs", "duration_seconds")},
        own=((_LABELS, "*"), ("app", "*")),
        marks=(b'"severity":"',),
        opening=('{"time":"', '","severity":"'),
    ),
}
"""Schema -> row. To add a schema to the reader, add a row."""

ALL_SCHEMAS: Final = tuple(SCHEMAS)


TIME_CHARACTERS: Final = len("2026-11-02T10:00:00.000000Z")
"""The length of a time as the package writes it."""


def opening_of(name: str) -> bytes:
    """Return a pattern for the beginning of a line in the schema *name*, as the package writes it."""
    before, behind = (re.escape(text.encode()) for text in SCHEMAS[name].opening)
    return b"%s.{%d}%s" % (before, TIME_CHARACTERS, behind)


_IN_ANY_CASE: Final = {field.lower(): field for field in TYPES}


def field_of(name: str) -> str:
    """Return the field that *name* means: one of `TYPES` in any letter case, or a field of the application."""
    return _IN_ANY_CASE.get(name.lower(), name)


def type_of(field: str) -> str:
    """Return the SQL type of *field*; a field of the application is text."""
    return TYPES.get(field, "VARCHAR")
