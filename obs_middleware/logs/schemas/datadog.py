"""
Schema ``datadog``: Datadog's reserved and standard attributes, in which ``status`` is the level.

Write. Source: docs.datadoghq.com, "Attributes and Aliasing".
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.limits import MAX_ITEMS
from obs_middleware.logs.line.values import clean_text
from obs_middleware.logs.schemas.convert import coarse, domain, full_url, nanoseconds, port
from obs_middleware.logs.schemas.translation import REQUEST, Event, Own, Schema, to

__all__ = ["DATADOG"]

_PLAIN: Final = Cleaner()


def _parameters(query: str, _: Event) -> dict[str, Any]:
    """Return the pairs of a query string that is redacted already; a repeated name gets a list."""
    pairs: dict[str, Any] = {}
    for name, value in parse_qsl(clean_text(query), keep_blank_values=True)[:MAX_ITEMS]:
        if name in pairs:
            pairs[name] = [*(pairs[name] if type(pairs[name]) is list else [pairs[name]]), value]
        else:
            pairs[name] = value
    cleaned: dict[str, Any] = _PLAIN.clean(pairs)  # parse_qsl has turned %00 into NUL
    return cleaned


def _decimal(span_id: str, _: Event) -> str:
    return str(int(span_id[:16], 16))


DATADOG: Final = Schema(
    first={"timestamp": None, "status": None, "message": None},
    constants={
        REQUEST: ((("evt", "name"), "http-request"),),
        **{kind: ((("evt", "name"), kind),) for kind in ("task", "command", "websocket")},
    },
    own=(Own(("app",)),),
    fields={
        "timestamp": to("timestamp"),
        "level": to("status"),
        "logger": to("logger.name"),
        "message": to("message"),
        "kind": to("obs.kind"),
        "event_id": to("event_id"),
        "service": to("service"),
        "version": to("version"),
        "environment": to("env"),
        "trace_id": to("dd.trace_id") + to("trace_id"),
        "span_id": to("dd.span_id", "string, decimal", _decimal) + to("span_id"),
        "parent_span_id": to("obs.parent_span_id"),
        "request_id": to("http.request_id"),
        "method": to("http.method"),
        "path": to("http.url_details.path"),
        "task": to("obs.task"),
        "task_id": to("obs.task_id"),
        "parent_task_id": to("obs.parent_task_id"),
        "queue": to("obs.queue"),
        "attempt": to("obs.attempt"),
        "tasks": to("obs.tasks"),
        "command": to("obs.command"),
        "exit_code": to("obs.exit_code"),
        "close_code": to("obs.close_code"),
        "route": to("http.route"),
        "view": to("obs.view"),
        "status": to("http.status_code"),
        "outcome": to("evt.outcome", "string: `success`, `failure` or `unknown`", coarse) + to("obs.outcome"),
        "after_response": to("obs.after_response"),
        "age_seconds": to("obs.age_seconds"),
        "duration_seconds": to("duration", "integer, nanoseconds", nanoseconds),
        "first_byte_seconds": to("obs.first_byte_seconds"),
        "queue_seconds": to("obs.queue_seconds"),
        "request_bytes": to("network.bytes_read"),
        "response_bytes": to("network.bytes_written"),
        "db_queries": to("db.queries"),
        "db_seconds": to("db.seconds"),
        "db_repeats": to("db.repeats"),
        "db_repeated_at": to("db.repeated_at"),
        "http_calls": to("obs.http_calls"),
        "http_seconds": to("obs.http_seconds"),
        "blocked_seconds": to("obs.blocked_seconds"),
        "blocked_at": to("obs.blocked_at"),
        "slow_at": to("obs.slow_at"),
        "user_id": to("usr.id"),
        "client_ip": to("network.client.ip"),
        "user_agent": to("http.useragent"),
        "host": to("http.url_details.host", "string", domain)
        + to("http.url_details.port", "integer", port)
        + to("http.url", "string, if the scheme is known", full_url),
        "scheme": to("http.url_details.scheme"),
        "http_version": to("http.version"),
        "query": to("http.url_details.queryString", "object", _parameters),
        "referrer": to("http.referer"),
        "headers": to("http.headers"),
        "slow": to("obs.slow"),
        "suppressed": to("obs.suppressed"),
        "sample_rate": to("obs.sample_rate"),
        "truncated": to("obs.truncated"),
        "truncated_fields": to("obs.truncated_fields"),
        "original_bytes": to("obs.original_bytes"),
        "format_error": to("obs.format_error"),
        "error_type": to("error.kind"),
        "error_message": to("error.message"),
        "stack_trace": to("error.stack"),
        "stack_info": to("obs.stack_info"),
    },
)
"""The table of ``datadog``."""
