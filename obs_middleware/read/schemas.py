"""
Where each field of a request is found in a line, schema by schema: `PLACES`, and the SQL that reads it there.

Read. This table is the reader's own: it knows lines, not the code that writes them. A test holds that the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

__all__ = [
    "ALL_SCHEMAS",
    "OWN",
    "PLACES",
    "TIME",
    "TYPES",
    "Columns",
    "Place",
    "columns_of",
    "expression_of",
    "literal",
    "quoted",
    "type_of",
    "type_text",
]

Columns = dict[str, Any]
"""Key -> SQL type, or a mapping of the same kind for an object."""

ALL_SCHEMAS: Final = ("flat", "ecs", "otel", "datadog", "gcp")


class Place(NamedTuple):
    """
    The place of a field in the lines of a schema.

    Attributes:
        path: The keys from the root to the value; a dot inside a key is part of it.
        form: The form of the value, if it differs from `TYPES`: ``ns``, nanoseconds; ``latency``, text such as
            ``0.123456s``; ``upper``, text in upper case; ``url``, of which the path is wanted; ``trace``, a resource
            name whose last part is wanted.
    """

    path: tuple[str, ...]
    form: str = ""


def _at(*path: str, form: str = "") -> Place:
    return Place(path, form)


_LABELS: Final = "logging.googleapis.com/labels"

TYPES: Final[Mapping[str, str]] = {
    "timestamp": "TIMESTAMP",
    "level": "VARCHAR",
    "logger": "VARCHAR",
    "message": "VARCHAR",
    "service": "VARCHAR",
    "version": "VARCHAR",
    "environment": "VARCHAR",
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "request_id": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "route": "VARCHAR",
    "view": "VARCHAR",
    "status": "INTEGER",
    "outcome": "VARCHAR",
    "duration_seconds": "DOUBLE",
    "first_byte_seconds": "DOUBLE",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
    "db_queries": "BIGINT",
    "db_seconds": "DOUBLE",
    "user_id": "VARCHAR",
    "client_ip": "VARCHAR",
    "user_agent": "VARCHAR",
    "slow": "BOOLEAN",
    "suppressed": "BIGINT",
    "sample_rate": "DOUBLE",
    "truncated": "BOOLEAN",
    "error_type": "VARCHAR",
    "error_message": "VARCHAR",
}
"""The fields that the reader knows, in the units of the flat schema; any other name is one of the application's."""


def _attributes(**names: str) -> dict[str, Place]:
    return {field: _at("attributes", name) for field, name in names.items()}


def _obs(*names: str) -> dict[str, Place]:
    return {name: _at("obs", name) for name in names}


PLACES: Final[Mapping[str, Mapping[str, Place]]] = {
    "flat": {name: _at(name) for name in TYPES},
    "ecs": {
        "timestamp": _at("@timestamp"),
        "level": _at("log.level"),
        "logger": _at("log", "logger"),
        "message": _at("message"),
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
        **_obs("view", "outcome", "first_byte_seconds", "db_queries", "db_seconds"),
        **_obs("slow", "suppressed", "sample_rate", "truncated"),
    },
    "otel": {
        "timestamp": _at("timestamp"),
        "level": _at("severity_text", form="upper"),
        "logger": _at("instrumentation_scope", "name"),
        "message": _at("body"),
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
        ),
    },
    "datadog": {
        "timestamp": _at("timestamp"),
        "level": _at("status"),
        "logger": _at("logger", "name"),
        "message": _at("message"),
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
        "user_id": _at("usr", "id"),
        "client_ip": _at("network", "client", "ip"),
        "user_agent": _at("http", "useragent"),
        "error_type": _at("error", "kind"),
        "error_message": _at("error", "message"),
        **_obs("view", "outcome", "first_byte_seconds", "slow", "suppressed", "sample_rate", "truncated"),
    },
    "gcp": {
        "timestamp": _at("time"),
        "level": _at("severity", form="upper"),
        "logger": _at("logger"),
        "message": _at("message"),
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
        **_obs("outcome", "first_byte_seconds", "db_queries", "db_seconds"),
        **_obs("slow", "suppressed", "sample_rate", "truncated", "error_type", "error_message"),
    },
}
"""Schema -> field -> place."""

OWN: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "flat": (("*",),),
    "ecs": (("labels", "*"), ("app", "*"), ("obs", "extra", "*")),
    "otel": (("attributes", "app.*"),),
    "datadog": (("app", "*"),),
    "gcp": ((_LABELS, "*"), ("app", "*")),
}
"""Schema -> the place of an application's field; ``*`` is its name."""

_FORMS: Final[Mapping[str, str]] = {
    "": "try_cast({} AS {type})",
    "ns": "try_cast({} AS BIGINT) / 1e9",
    "latency": "try_cast(rtrim({}, 's') AS DOUBLE)",
    "upper": "lower({})",
    "url": r"regexp_extract({}, '^(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?]*)?([^?]*)', 1)",
    "trace": "regexp_extract({}, '[^/]*$')",
}
# A time without an offset counts as UTC; a cast to TIMESTAMP would silently drop an offset. A time from another age is
# damaged, and Python's dates have a smaller range than DuckDB's.
TIME: Final = (
    "CASE WHEN NOT {0} BETWEEN '1970' AND '2200' OR contains({0}, '(BC)') THEN NULL"
    " WHEN ends_with({0}, 'Z') THEN try_cast({0} AS TIMESTAMP)"
    " ELSE try_cast(replace({0}, ',', '.') AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"
)
"""What makes a time, in UTC, of text."""


def type_of(field: str) -> str:
    """Return the SQL type of *field*; a field of the application is text."""
    return TYPES.get(field, "VARCHAR")


def quoted(name: str) -> str:
    """Return *name* as an identifier of SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _places(field: str, schemas: Iterable[str]) -> list[Place]:
    """Return the different places of *field* in *schemas*."""
    if field in TYPES:
        found = [PLACES[schema][field] for schema in schemas if field in PLACES[schema]]
    else:
        found = [Place(tuple(key.replace("*", field) for key in path)) for schema in schemas for path in OWN[schema]]
    return list(dict.fromkeys(found))


def columns_of(fields: Iterable[str], schemas: Iterable[str]) -> Columns:
    """
    Return what must be read of a line to know *fields*: key -> SQL type, or a mapping of the same kind for an object.

    A value that has another type than its place says is null there, and the rest of its line still counts.
    """
    columns: Columns = {}
    for field in fields:
        for place in _places(field, schemas):
            _add(columns, place.path, _leaf(field, place.form))
    return columns


def _add(columns: Columns, path: tuple[str, ...], leaf: str) -> None:
    key, *rest = path
    known = columns.get(key)
    if rest and known is None:
        known = columns[key] = {}
    if rest and isinstance(known, dict):
        _add(known, tuple(rest), leaf)
    elif rest or isinstance(known, dict):
        columns[key] = "JSON"  # text in one schema, an object in another: `service`, `logger`
    elif known is None:
        columns[key] = leaf
    elif known not in {leaf, "JSON"}:
        columns[key] = "VARCHAR"  # `status` is a number in one schema, the level in another


def _leaf(field: str, form: str) -> str:
    if form == "ns":
        return "BIGINT"
    return "VARCHAR" if form or type_of(field) == "TIMESTAMP" else type_of(field)


def expression_of(field: str, schemas: Iterable[str], columns: Columns, prefix: str = "") -> str:
    """
    Return the SQL expression for *field*, from whichever schema has it.

    Args:
        field: One of `TYPES`, or an application's.
        schemas: Those in which it is looked for.
        columns: What `columns_of` returned for these schemas and, at least, this field.
        prefix: The prefix of the names of columns, with a dot at its end.
    """
    forms = []
    for path, form in _places(field, schemas):
        raw = _value(path, columns, prefix)
        template = TIME if type_of(field) == "TIMESTAMP" else _FORMS[form]
        form_sql = template.format(raw, type=type_of(field))
        if form == "ns" and "outcome" in columns.get("obs", ()):
            # Many programs have a `duration`, in units of their own; ours says beside it how the request ended.
            form_sql = f"CASE WHEN {_value(('obs', 'outcome'), columns, prefix)} IS NOT NULL THEN {form_sql} END"
        forms.append(form_sql)
    return forms[0] if len(forms) == 1 else f"coalesce({', '.join(forms)})" if forms else f"NULL::{type_of(field)}"


def _value(path: tuple[str, ...], columns: Columns, prefix: str) -> str:
    here: Columns | str = columns
    for depth, key in enumerate(path):
        here = here[key] if isinstance(here, dict) else here
        if here == "JSON":
            below = "".join(f".{quoted(one)}" for one in path[depth + 1 :])
            node = prefix + _dotted(path[: depth + 1])
            text = f"json_extract_string({node}, {literal(f'${below}')})"
            return text if below else f"CASE WHEN json_type({node}) NOT IN ('OBJECT', 'ARRAY') THEN {text} END"
    return prefix + _dotted(path)


def _dotted(path: Iterable[str]) -> str:
    return ".".join(quoted(key) for key in path)


def literal(text: str) -> str:
    """Return *text* as a literal of SQL, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"


def type_text(node: Columns | str) -> str:
    """Return the SQL type of *node*, a value of what `columns_of` returned."""
    if isinstance(node, str):
        return node
    return "STRUCT(" + ", ".join(f"{quoted(key)} {type_text(inner)}" for key, inner in node.items()) + ")"
