"""
How the fields are named, typed and nested in the schemas of others: `SCHEMAS`, one table each.

Write. A table says for each of our fields where it goes and in which form; adding a schema is adding a table. What an
application bound goes under names that no table uses, so it can neither shadow a field nor collide with one.
"""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from obs_middleware.logs.line.clean import Cleaner, unused_key
from obs_middleware.logs.line.limits import MAX_ITEMS
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["SCHEMAS", "Own", "Schema", "To", "Translation", "schema_named"]

Event = Mapping[str, Any]
Convert = Callable[[Any, Event], Any]


class To(NamedTuple):
    """
    One place to which a field goes.

    Attributes:
        path: The keys from the root to the value; a dot inside a key is part of it. The last is ``*`` where the value
            is a mapping whose items go there one by one.
        form: The JSON type there, and the unit; empty where the value stays as it is.
        convert: Makes the value there of the field's value and the whole event; None for nothing to say.
        store: The type of the field in a document store that is told its types, where the form does not decide it.
    """

    path: tuple[str, ...]
    form: str = ""
    convert: Convert | None = None
    store: str = ""


class Own(NamedTuple):
    """
    Where the fields of the application go, by the JSON type of their values.

    Attributes:
        path: The keys from the root to the object that holds them.
        types: The types: ``text``, ``null``, ``number`` (booleans too), ``tree``.
        prefix: Stands before each name.
        most: How many there may be; None for any number. The rest goes where numbers go.
    """

    path: tuple[str, ...]
    types: tuple[str, ...] = ("text", "null", "number", "tree")
    prefix: str = ""
    most: int | None = None


class Schema(NamedTuple):
    """
    The table of a schema.

    Attributes:
        fields: Where each of `obs_middleware.measure.vocabulary.FIELDS` goes.
        own: Where the fields of the application go.
        first: The keys that stand first in the line, in this order; with a value, if it is the same on every line.
        request_line: What the request line has beside its fields, as path and value.
    """

    fields: Mapping[str, tuple[To, ...]]
    own: tuple[Own, ...]
    first: Mapping[str, str | None]
    request_line: tuple[tuple[tuple[str, ...], Any], ...] = ()


def _to(path: str, form: str = "", convert: Convert | None = None, *, store: str = "") -> tuple[To, ...]:
    """Return a place whose path has dots between its keys."""
    return (To(tuple(path.split(".")), form, convert, store),)


def _under(*parents: str) -> Callable[..., tuple[To, ...]]:
    """Return what makes places below *parents*, in whose names a dot is just a dot."""

    def to(name: str, form: str = "", convert: Convert | None = None) -> tuple[To, ...]:
        return (To((*parents, name), form, convert),)

    return to


# Conversions


_MOST_SECONDS: Final = 2**63 / 1_000_000_000
"""Whose nanoseconds still fit into 64 bits: 292 years."""


def _nanoseconds(seconds: float, _: Event) -> int:
    return round(_plausible(seconds) * 1_000_000_000)


def _latency(seconds: float, _: Event) -> str:
    return f"{_plausible(seconds):.6f}s"


def _plausible(seconds: float) -> float:
    if not 0 <= seconds < _MOST_SECONDS:
        raise ValueError(f"{seconds} seconds are not the duration of a request")
    return seconds


def _text(value: Any, _: Event) -> str:
    return str(value)


def _list(value: Any, _: Event) -> list[Any]:
    return [value]


def _same(value: Any, _: Event) -> Any:
    return value


_COARSE: Final = {"ok": "success", "error": "failure", "stream_error": "failure"}


def _coarse(outcome: str, _: Event) -> str:
    return _COARSE.get(outcome, "unknown")


def _error_type(outcome: str, event: Event) -> str | None:
    if _COARSE.get(outcome) != "failure":
        return None
    return str(event.get("error_type") or event.get("status") or "_OTHER")


@functools.lru_cache(maxsize=1_024)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _address(text: str, _: Event) -> str | None:
    return text if _is_address(text) else None


def _no_address(text: str, _: Event) -> str | None:
    return None if _is_address(text) else text


@functools.lru_cache(maxsize=1_024)
def _host_and_port(host: str) -> tuple[str, int | None]:
    name, colon, digits = host.rpartition(":")
    if colon and digits.isdigit() and digits.isascii() and len(digits) <= 5 and (":" not in name or name[:1] == "["):
        return name, int(digits)
    return host, None


def _domain(host: str, _: Event) -> str:
    return _host_and_port(host)[0]


def _port(host: str, _: Event) -> int | None:
    return _host_and_port(host)[1]


def _url(_: Any, event: Event) -> str:
    """Return as much of the URL as is known: host and scheme only together."""
    scheme, host, path, query = (_known_text(event, name) for name in ("scheme", "host", "path", "query"))
    origin = f"{scheme}://{host}" if scheme and host else ""
    return f"{origin}{path}?{query}" if query else f"{origin}{path}"


def _full_url(_: Any, event: Event) -> str | None:
    return _url(_, event) if "host" in event and "scheme" in event else None


def _known_text(event: Event, name: str) -> str:
    value = event.get(name)
    return value if type(value) is str else ""


_PLAIN: Final = Cleaner()


def _parameters(query: str, _: Event) -> dict[str, Any]:
    """Return the pairs of a query string, whose secrets are hidden already; a name that comes twice has a list."""
    pairs: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True)[:MAX_ITEMS]:
        if name in pairs:
            pairs[name] = [*(pairs[name] if type(pairs[name]) is list else [pairs[name]]), value]
        else:
            pairs[name] = value
    cleaned: dict[str, Any] = _PLAIN.clean(pairs)  # %00 is a NUL now
    return cleaned


def _header_attributes(headers: Mapping[str, Any], _: Event) -> dict[str, Any]:
    return {f"http.request.header.{name}": [value] for name, value in headers.items()}


# Source: RFC 9110, section 9.1, and RFC 5789, as the semantic conventions list them.
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"})


def _known_method(method: str, _: Event) -> str:
    return method if method in _METHODS else "_OTHER"


def _unknown_method(method: str, _: Event) -> str | None:
    return None if method in _METHODS else method


# Source: OpenTelemetry, log data model, "Field: SeverityNumber" and its mapping of Python's levels.
_SEVERITY_NUMBERS: Final = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}


def _severity_number(level: str, _: Event) -> int | None:
    return _SEVERITY_NUMBERS.get(level)


def _upper(level: str, _: Event) -> str:
    return level.upper()


# Source: Google Cloud Logging, LogSeverity; what it does not know is DEFAULT.
_GOOGLE_SEVERITIES: Final = frozenset({"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"})


def _google_severity(level: str, _: Event) -> str:
    severity = level.upper()
    return severity if severity in _GOOGLE_SEVERITIES else "DEFAULT"


def _google_trace(trace_id: str, _: Event) -> str:
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    return f"projects/{project}/traces/{trace_id}" if project else trace_id


def _protocol(version: str, _: Event) -> str:
    return f"HTTP/{version}"


def _decimal(span_id: str, _: Event) -> str:
    return str(int(span_id[:16], 16))


# Tables

_ATTRIBUTE: Final = _under("attributes")
_RESOURCE: Final = _under("resource", "attributes")
_LABEL: Final = _under("logging.googleapis.com/labels")
_GOOGLE: Final = _under()

SCHEMAS: Final[Mapping[str, Schema | None]] = {
    # Our own names: nothing is translated.
    "flat": None,
    # Source: Elastic Common Schema 9.4 and the ecs-logging specification 1.0. What has no home there is under `obs`.
    "ecs": Schema(
        first={"@timestamp": None, "log.level": None, "message": None, "ecs.version": "9.4.0"},
        request_line=(
            (("event", "kind"), "event"),
            (("event", "category"), ("web",)),
            (("event", "type"), ("access",)),
            (("event", "action"), "http-request"),
        ),
        own=(
            Own(("labels",), ("text", "null")),
            Own(("app",), ("number",)),
            Own(("obs", "extra"), ("tree",)),
        ),
        fields={
            "timestamp": _to("@timestamp", store="date_nanos"),
            "level": _under()("log.level"),
            "logger": _to("log.logger"),
            "message": _to("message", store="match_only_text"),
            "event_id": _to("event_id") + _to("event.id"),
            "service": _to("service.name") + _to("event.dataset"),
            "version": _to("service.version"),
            "environment": _to("service.environment"),
            "trace_id": _to("trace.id"),
            "span_id": _to("span.id"),
            "parent_span_id": _to("obs.parent_span_id"),
            "request_id": _to("http.request.id"),
            "method": _to("http.request.method"),
            "path": _to("url.path", store="wildcard"),
            "route": _to("http.route"),
            "view": _to("obs.view"),
            "status": _to("http.response.status_code"),
            "outcome": _to("event.outcome", "string: `success`, `failure` or `unknown`", _coarse) + _to("obs.outcome"),
            "age_seconds": _to("obs.age_seconds"),
            "duration_seconds": _to("event.duration", "integer, nanoseconds", _nanoseconds),
            "first_byte_seconds": _to("obs.first_byte_seconds"),
            "request_bytes": _to("http.request.body.bytes"),
            "response_bytes": _to("http.response.body.bytes"),
            "db_queries": _to("obs.db_queries"),
            "db_seconds": _to("obs.db_seconds"),
            "user_id": _to("user.id"),
            "client_ip": _to("client.ip", "string, an IP address", _address, store="ip")
            + _to("client.address", "string, if it is none", _no_address),
            "user_agent": _to("user_agent.original"),
            "host": _to("url.domain", "string", _domain) + _to("url.port", "integer", _port),
            "scheme": _to("url.scheme"),
            "http_version": _to("http.version"),
            "query": _to("url.query"),
            "referrer": _to("http.request.referrer"),
            "headers": _to("obs.headers"),
            "slow": _to("obs.slow"),
            "suppressed": _to("obs.suppressed"),
            "sample_rate": _to("obs.sample_rate"),
            "truncated": _to("obs.truncated"),
            "truncated_fields": _to("obs.truncated_fields"),
            "original_bytes": _to("obs.original_bytes"),
            "format_error": _to("obs.format_error"),
            "error_type": _to("error.type"),
            "error_message": _to("error.message", store="match_only_text"),
            "stack_trace": _to("error.stack_trace", store="wildcard"),
            "stack_info": _to("obs.stack_info", store="wildcard"),
        },
    ),
    # Source: OpenTelemetry, log data model and semantic conventions 1.44; names of the model as its SDKs write them.
    "otel": Schema(
        first={"timestamp": None, "severity_text": None, "severity_number": None, "body": None},
        request_line=((("event_name",), "http.server.request"),),
        own=(Own(("attributes",), prefix="app."),),
        fields={
            "timestamp": _to("timestamp"),
            "level": _to("severity_text", "string, upper case", _upper)
            + _to("severity_number", "integer, 1 to 24", _severity_number),
            "logger": _to("instrumentation_scope.name"),
            "message": _to("body"),
            "event_id": _to("event_id") + _ATTRIBUTE("log.record.uid"),
            "service": _RESOURCE("service.name"),
            "version": _RESOURCE("service.version"),
            "environment": _RESOURCE("deployment.environment.name"),
            "trace_id": _to("trace_id"),
            "span_id": _to("span_id"),
            "parent_span_id": _ATTRIBUTE("obs.parent_span_id"),
            "request_id": _ATTRIBUTE("obs.request_id"),
            "method": _ATTRIBUTE("http.request.method", "string, `_OTHER` for an unknown one", _known_method)
            + _ATTRIBUTE("http.request.method_original", "string, if it is unknown", _unknown_method),
            "path": _ATTRIBUTE("url.path"),
            "route": _ATTRIBUTE("http.route", "string, absent when there is none", _same),
            "view": _ATTRIBUTE("code.function.name"),
            "status": _ATTRIBUTE("http.response.status_code"),
            "outcome": _ATTRIBUTE("obs.outcome")
            + _ATTRIBUTE("error.type", "string, of failures: exception or status", _error_type),
            "age_seconds": _ATTRIBUTE("obs.age_seconds"),
            "duration_seconds": _ATTRIBUTE("http.server.request.duration", "number, seconds"),
            "first_byte_seconds": _ATTRIBUTE("obs.first_byte_seconds"),
            "request_bytes": _ATTRIBUTE("http.request.body.size"),
            "response_bytes": _ATTRIBUTE("http.response.body.size"),
            "db_queries": _ATTRIBUTE("obs.db_queries"),
            "db_seconds": _ATTRIBUTE("obs.db_seconds"),
            "user_id": _ATTRIBUTE("user.id"),
            "client_ip": _ATTRIBUTE("client.address"),
            "user_agent": _ATTRIBUTE("user_agent.original"),
            "host": _ATTRIBUTE("server.address", "string", _domain) + _ATTRIBUTE("server.port", "integer", _port),
            "scheme": _ATTRIBUTE("url.scheme"),
            "http_version": _ATTRIBUTE("network.protocol.version"),
            "query": _ATTRIBUTE("url.query"),
            "referrer": _ATTRIBUTE("http.request.header.referer", "array of one string", _list),
            "headers": (
                To(("attributes", "*"), "`http.request.header.<name>`: array of one string", _header_attributes),
            ),
            "slow": _ATTRIBUTE("obs.slow"),
            "suppressed": _ATTRIBUTE("obs.suppressed"),
            "sample_rate": _ATTRIBUTE("obs.sample_rate"),
            "truncated": _ATTRIBUTE("obs.truncated"),
            "truncated_fields": _ATTRIBUTE("obs.truncated_fields"),
            "original_bytes": _ATTRIBUTE("obs.original_bytes"),
            "format_error": _ATTRIBUTE("obs.format_error"),
            "error_type": _ATTRIBUTE("exception.type"),
            "error_message": _ATTRIBUTE("exception.message"),
            "stack_trace": _ATTRIBUTE("exception.stacktrace"),
            "stack_info": _ATTRIBUTE("code.stacktrace"),
        },
    ),
    # Source: Datadog, reserved and standard attributes. `status` is the level there.
    "datadog": Schema(
        first={"timestamp": None, "status": None, "message": None},
        request_line=((("evt", "name"), "http-request"),),
        own=(Own(("app",)),),
        fields={
            "timestamp": _to("timestamp"),
            "level": _to("status"),
            "logger": _to("logger.name"),
            "message": _to("message"),
            "event_id": _to("event_id"),
            "service": _to("service"),
            "version": _to("version"),
            "environment": _to("env"),
            "trace_id": _to("dd.trace_id") + _to("trace_id"),
            "span_id": _to("dd.span_id", "string, decimal", _decimal) + _to("span_id"),
            "parent_span_id": _to("obs.parent_span_id"),
            "request_id": _to("http.request_id"),
            "method": _to("http.method"),
            "path": _to("http.url_details.path"),
            "route": _to("http.route"),
            "view": _to("obs.view"),
            "status": _to("http.status_code"),
            "outcome": _to("evt.outcome", "string: `success`, `failure` or `unknown`", _coarse) + _to("obs.outcome"),
            "age_seconds": _to("obs.age_seconds"),
            "duration_seconds": _to("duration", "integer, nanoseconds", _nanoseconds),
            "first_byte_seconds": _to("obs.first_byte_seconds"),
            "request_bytes": _to("network.bytes_read"),
            "response_bytes": _to("network.bytes_written"),
            "db_queries": _to("db.queries"),
            "db_seconds": _to("db.seconds"),
            "user_id": _to("usr.id"),
            "client_ip": _to("network.client.ip"),
            "user_agent": _to("http.useragent"),
            "host": _to("http.url_details.host", "string", _domain)
            + _to("http.url_details.port", "integer", _port)
            + _to("http.url", "string, if the scheme is known", _full_url),
            "scheme": _to("http.url_details.scheme"),
            "http_version": _to("http.version"),
            "query": _to("http.url_details.queryString", "object", _parameters),
            "referrer": _to("http.referer"),
            "headers": _to("http.headers"),
            "slow": _to("obs.slow"),
            "suppressed": _to("obs.suppressed"),
            "sample_rate": _to("obs.sample_rate"),
            "truncated": _to("obs.truncated"),
            "truncated_fields": _to("obs.truncated_fields"),
            "original_bytes": _to("obs.original_bytes"),
            "format_error": _to("obs.format_error"),
            "error_type": _to("error.kind"),
            "error_message": _to("error.message"),
            "stack_trace": _to("error.stack"),
            "stack_info": _to("obs.stack_info"),
        },
    ),
    # Source: Google Cloud Logging, structured logging: LogEntry, HttpRequest, Error Reporting.
    "gcp": Schema(
        first={"time": None, "severity": None, "message": None},
        own=(
            Own(("logging.googleapis.com/labels",), ("text",), most=64),
            Own(("app",), ("null", "number", "tree")),
        ),
        fields={
            "timestamp": _to("time"),
            "level": _to("severity", "string, a LogSeverity", _google_severity),
            "logger": _to("logger"),
            "message": _to("message"),
            "event_id": _to("event_id") + _GOOGLE("logging.googleapis.com/insertId"),
            "service": _to("serviceContext.service"),
            "version": _to("serviceContext.version"),
            "environment": _LABEL("environment"),
            "trace_id": _GOOGLE(
                "logging.googleapis.com/trace", "string, `projects/<project>/traces/<trace>`", _google_trace
            ),
            "span_id": _GOOGLE("logging.googleapis.com/spanId"),
            "parent_span_id": _to("obs.parent_span_id"),
            "request_id": _LABEL("request_id"),
            "method": _to("httpRequest.requestMethod"),
            "path": _to("httpRequest.requestUrl", "string, with what is known of the URL", _url),
            "route": _LABEL("route", "string, absent when there is none", _same),
            "view": _LABEL("view"),
            "status": _to("httpRequest.status"),
            "outcome": _to("obs.outcome"),
            "age_seconds": _to("obs.age_seconds"),
            "duration_seconds": _to("httpRequest.latency", "string, seconds: `0.123456s`", _latency),
            "first_byte_seconds": _to("obs.first_byte_seconds"),
            "request_bytes": _to("httpRequest.requestSize", "string, an int64", _text),
            "response_bytes": _to("httpRequest.responseSize", "string, an int64", _text),
            "db_queries": _to("obs.db_queries"),
            "db_seconds": _to("obs.db_seconds"),
            "user_id": _LABEL("user_id"),
            "client_ip": _to("httpRequest.remoteIp"),
            "user_agent": _to("httpRequest.userAgent"),
            "host": _to("httpRequest.requestUrl", "string, part of it", _url),
            "scheme": _to("httpRequest.requestUrl", "string, part of it", _url),
            "http_version": _to("httpRequest.protocol", "string, `HTTP/1.1`", _protocol),
            "query": _to("httpRequest.requestUrl", "string, part of it", _url),
            "referrer": _to("httpRequest.referer"),
            "headers": _to("obs.headers"),
            "slow": _to("obs.slow"),
            "suppressed": _to("obs.suppressed"),
            "sample_rate": _to("obs.sample_rate"),
            "truncated": _to("obs.truncated"),
            "truncated_fields": _to("obs.truncated_fields"),
            "original_bytes": _to("obs.original_bytes"),
            "format_error": _to("obs.format_error"),
            "error_type": _to("obs.error_type"),
            "error_message": _to("obs.error_message"),
            "stack_trace": _to("stack_trace"),
            "stack_info": _to("obs.stack_info"),
        },
    ),
}
"""Every schema by its name; None for the flat one, in which nothing is translated."""


def schema_named(name: str) -> Schema | None:
    """
    Return the table of the schema *name*; None for the flat one.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in SCHEMAS:
        raise ValueError(f"schema is {name!r}; expected one of {', '.join(SCHEMAS)}.")
    return SCHEMAS[name]


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "string or null": (str, type(None)),
    "integer": (int,),
    "number": (float, int),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

_TYPES_OF_OWN: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "null": (type(None),),
    "number": (int, float, bool),
    "tree": (list, dict),
}


class _Step(NamedTuple):
    """
    What is done with a field: it goes to *key* of the object *number* as it is, and to *others* in another form.

    Attributes:
        kind: The usual type of its values.
        kinds: All types that they may have.
        number: Of the object that it goes to as it is; None if it goes to none.
        key: There.
        others: Object, key and conversion of the places it goes to otherwise.
    """

    kind: type
    kinds: tuple[type, ...]
    number: int | None
    key: str
    others: tuple[tuple[int, str, Convert], ...]


class Translation:
    """
    A schema made ready: a structlog processor that takes an event with clean values and returns it translated.

    A field of the package whose value is not of its type, which only a processor could bring about, is treated as one
    of the application's, ``app_<name>``: the types of a schema hold, and no value is lost.
    """

    def __init__(self, schema: Schema) -> None:
        # Objects of the line are numbered, so that a line looks nothing up by path: 0 is the line itself.
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self._parents: list[tuple[int, str]] = [(0, "")]
        self._first = dict(schema.first)
        self._awaited = tuple(key for key, value in schema.first.items() if value is None)
        self._request_line = tuple((self._number(path[:-1]), path[-1], value) for path, value in schema.request_line)
        self._steps = {name: self._step(name, places) for name, places in schema.fields.items()}
        self._own = {
            kind: (self._number(own.path), own.prefix, own.most)
            for own in schema.own
            for name in own.types
            for kind in _TYPES_OF_OWN[name]
        }
        self._absent: tuple[None, ...] = (None,) * (len(self._parents) - 1)

    def _number(self, path: tuple[str, ...]) -> int:
        """Return the number of the object at *path*, which gets one, and those above it, if it has none yet."""
        number = self._numbers.get(path)
        if number is None:
            parent = self._number(path[:-1])
            number = self._numbers[path] = len(self._parents)
            self._parents.append((parent, path[-1]))
        return number

    def _step(self, name: str, places: tuple[To, ...]) -> _Step:
        types = _TYPES[FIELDS[name].type]
        numbered = [(self._number(to.path[:-1]), to.path[-1], to.convert) for to in places]
        number, key = next(((number, key) for number, key, convert in numbered if convert is None), (None, ""))
        others = tuple(
            (other, there, convert or _same) for other, there, convert in numbered if (other, there) != (number, key)
        )
        return _Step(types[0], types, number, key, others)

    def __call__(self, _: Any, __: str, event: Event) -> dict[str, Any]:  # noqa: C901, PLR0912 -- done for each field of each line, so calls nothing
        """Return *event* in the schema."""
        line: dict[str, Any] = self._first.copy()
        objects: list[dict[str, Any] | None] = [line, *self._absent]
        steps = self._steps
        own: list[tuple[str, Any]] = []
        for name, value in event.items():
            known = steps.get(name)
            if known is None:
                own.append((name, value))
                continue
            kind, kinds, number, key, others = known
            if type(value) is not kind and type(value) not in kinds:
                own.append((f"app_{name}", value))
                continue
            if number is not None:
                (objects[number] or self._open(objects, number))[key] = value
            for number, key, convert in others:
                try:
                    there = convert(value, event)
                except Exception:  # noqa: BLE001 -- of the right type, and still not what it should be
                    own.append((f"app_{name}", value))
                    continue
                if there is None:
                    continue
                holder = objects[number] or self._open(objects, number)
                if key == "*":
                    holder.update(there)
                else:
                    holder[key] = there
        if "outcome" in event:
            for number, key, value in self._request_line:
                (objects[number] or self._open(objects, number))[key] = value
        for key in self._awaited:
            if line[key] is None:
                del line[key]
        for name, value in own:
            self._place(objects, name, value)
        return line

    def _open(self, objects: list[dict[str, Any] | None], number: int) -> dict[str, Any]:
        """Return the object *number*, made together with those above it if it is not there."""
        found = objects[number]
        if found is None:
            found = objects[number] = {}
            parent, key = self._parents[number]
            (objects[parent] or self._open(objects, parent))[key] = found
        return found

    def _place(self, objects: list[dict[str, Any] | None], name: str, value: Any) -> None:
        """Put a field of the application into its object."""
        number, prefix, most = self._own[type(value)]
        holder = objects[number] or self._open(objects, number)
        if most is not None and len(holder) >= most:
            number, prefix, most = self._own[int]
            holder = objects[number] or self._open(objects, number)
        key = prefix + name
        holder[unused_key(key, holder) if key in holder else key] = value
