"""
Schema ``otel``: OpenTelemetry's log data model and its semantic conventions 1.44.

Write. Source: opentelemetry.io, "Logs Data Model" and "Semantic Conventions". The keys of the model are spelled as the
SDKs of OpenTelemetry write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from obs_middleware.logs.schemas.convert import OfText, domain, error_type, of_other_work, of_request, port
from obs_middleware.logs.schemas.translation import REQUEST, Event, Own, Schema, To, same, to, under

__all__ = ["OTEL"]

_ATTRIBUTE: Final = under("attributes")
_RESOURCE: Final = under("resource", "attributes")


def _list(value: Any, _: Event) -> list[Any]:
    return [value]


def _header_attributes(headers: Mapping[str, Any], _: Event) -> dict[str, Any]:
    return {f"http.request.header.{name}": [value] for name, value in headers.items()}


# Source: RFC 9110, section 9.1, and RFC 5789, as the semantic conventions list them.
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"})


@OfText
def _known_method(method: str) -> str:
    return method if method in _METHODS else "_OTHER"


@OfText
def _unknown_method(method: str) -> str | None:
    return None if method in _METHODS else method


# Source: OpenTelemetry, log data model, "Field: SeverityNumber" and its mapping of Python's levels.
_SEVERITY_NUMBERS: Final = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}


@OfText
def _severity_number(level: str) -> int | None:
    return _SEVERITY_NUMBERS.get(level)


@OfText
def _upper(level: str) -> str:
    return level.upper()


OTEL: Final = Schema(
    first={"timestamp": None, "severity_text": None, "severity_number": None, "body": None},
    constants={
        REQUEST: ((("event_name",), "http.server.request"),),
        **{kind: ((("event_name",), f"obs.{kind}"),) for kind in ("task", "command", "websocket")},
    },
    own=(Own(("attributes",), prefix="app."),),
    fields={
        "timestamp": to("timestamp"),
        "level": to("severity_text", "string, upper case", _upper)
        + to("severity_number", "integer, 1 to 24", _severity_number),
        "logger": to("instrumentation_scope.name"),
        "message": to("body"),
        "kind": _ATTRIBUTE("obs.kind"),
        "event_id": to("event_id") + _ATTRIBUTE("log.record.uid"),
        "service": _RESOURCE("service.name"),
        "version": _RESOURCE("service.version"),
        "environment": _RESOURCE("deployment.environment.name"),
        "trace_id": to("trace_id"),
        "span_id": to("span_id"),
        "parent_span_id": _ATTRIBUTE("obs.parent_span_id"),
        "request_id": _ATTRIBUTE("obs.request_id"),
        "method": _ATTRIBUTE("http.request.method", "string, `_OTHER` for an unknown one", _known_method)
        + _ATTRIBUTE("http.request.method_original", "string, if it is unknown", _unknown_method),
        "path": _ATTRIBUTE("url.path"),
        "task": _ATTRIBUTE("obs.task"),
        "task_id": _ATTRIBUTE("messaging.message.id"),
        "parent_task_id": _ATTRIBUTE("obs.parent_task_id"),
        "queue": _ATTRIBUTE("messaging.destination.name"),
        "attempt": _ATTRIBUTE("obs.attempt"),
        "tasks": _ATTRIBUTE("obs.tasks"),
        "command": _ATTRIBUTE("obs.command"),
        "exit_code": _ATTRIBUTE("process.exit.code"),
        "close_code": _ATTRIBUTE("obs.close_code"),
        "route": _ATTRIBUTE("http.route", "string, absent if no pattern matched", same),
        "view": _ATTRIBUTE("code.function.name"),
        "status": _ATTRIBUTE("http.response.status_code"),
        "outcome": _ATTRIBUTE("obs.outcome")
        + _ATTRIBUTE("error.type", "string, of failures: exception or status", error_type),
        "after_response": _ATTRIBUTE("obs.after_response"),
        "age_seconds": _ATTRIBUTE("obs.age_seconds"),
        "duration_seconds": _ATTRIBUTE("http.server.request.duration", "number, seconds, of a request", of_request)
        + _ATTRIBUTE("obs.duration_seconds", "number, of other work", of_other_work),
        "first_byte_seconds": _ATTRIBUTE("obs.first_byte_seconds"),
        "queue_seconds": _ATTRIBUTE("obs.queue_seconds"),
        "request_bytes": _ATTRIBUTE("http.request.body.size"),
        "response_bytes": _ATTRIBUTE("http.response.body.size"),
        "db_queries": _ATTRIBUTE("obs.db_queries"),
        "db_seconds": _ATTRIBUTE("obs.db_seconds"),
        "db_repeats": _ATTRIBUTE("obs.db_repeats"),
        "db_repeated_at": _ATTRIBUTE("obs.db_repeated_at"),
        "http_calls": _ATTRIBUTE("obs.http_calls"),
        "http_seconds": _ATTRIBUTE("obs.http_seconds"),
        "blocked_seconds": _ATTRIBUTE("obs.blocked_seconds"),
        "blocked_at": _ATTRIBUTE("obs.blocked_at"),
        "slow_at": _ATTRIBUTE("obs.slow_at"),
        "user_id": _ATTRIBUTE("user.id"),
        "client_ip": _ATTRIBUTE("client.address"),
        "user_agent": _ATTRIBUTE("user_agent.original"),
        "host": _ATTRIBUTE("server.address", "string", domain) + _ATTRIBUTE("server.port", "integer", port),
        "scheme": _ATTRIBUTE("url.scheme"),
        "http_version": _ATTRIBUTE("network.protocol.version"),
        "query": _ATTRIBUTE("url.query"),
        "referrer": _ATTRIBUTE("http.request.header.referer", "array of one string", _list),
        "headers": (To(("attributes", "*"), "`http.request.header.<name>`: array of one string", _header_attributes),),
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
)
"""The table of ``otel``."""
