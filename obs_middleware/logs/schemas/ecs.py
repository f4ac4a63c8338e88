"""
Schema ``ecs``: Elastic Common Schema 9.4, in the form of the ecs-logging specification 1.0.

Write. Source: elastic.co/guide, "ECS field reference" and "ecs-logging". Fields that ECS does not have are under
``obs``.
"""

from __future__ import annotations

from typing import Final

from obs_middleware.logs.schemas.convert import address, coarse, domain, nanoseconds, no_address, port
from obs_middleware.logs.schemas.translation import REQUEST, Constants, Own, Schema, to, under

__all__ = ["ECS"]


def _event(action: str, category: str, *types: str) -> Constants:
    """Return the fields by which ECS sorts events; *types* are those that it allows for *category*."""
    return (
        (("event", "kind"), "event"),
        (("event", "category"), (category,)),
        (("event", "type"), types),
        (("event", "action"), action),
    )


ECS: Final = Schema(
    first={"@timestamp": None, "log.level": None, "message": None, "ecs.version": "9.4.0"},
    constants={
        REQUEST: _event("http-request", "web", "access"),
        "task": _event("task", "process", "end"),
        "command": _event("command", "process", "end"),
        "websocket": _event("websocket", "network", "connection", "end"),
    },
    own=(
        Own(("labels",), ("text", "null")),
        Own(("app",), ("number",)),
        Own(("obs", "extra"), ("tree",)),
    ),
    fields={
        "timestamp": to("@timestamp", store="date_nanos"),
        "level": under()("log.level"),
        "logger": to("log.logger"),
        "message": to("message", store="match_only_text"),
        "kind": to("obs.kind"),
        "event_id": to("event_id") + to("event.id"),
        "service": to("service.name") + to("event.dataset"),
        "version": to("service.version"),
        "environment": to("service.environment"),
        "trace_id": to("trace.id"),
        "span_id": to("span.id"),
        "parent_span_id": to("obs.parent_span_id"),
        "request_id": to("http.request.id"),
        "method": to("http.request.method"),
        "path": to("url.path", store="wildcard"),
        "task": to("obs.task"),
        "task_id": to("obs.task_id"),
        "parent_task_id": to("obs.parent_task_id"),
        "queue": to("obs.queue"),
        "attempt": to("obs.attempt"),
        "tasks": to("obs.tasks"),
        "command": to("obs.command"),
        "exit_code": to("process.exit_code"),
        "close_code": to("obs.close_code"),
        "route": to("http.route"),
        "view": to("obs.view"),
        "status": to("http.response.status_code"),
        "outcome": to("event.outcome", "string: `success`, `failure` or `unknown`", coarse) + to("obs.outcome"),
        "after_response": to("obs.after_response"),
        "age_seconds": to("obs.age_seconds"),
        "duration_seconds": to("event.duration", "integer, nanoseconds", nanoseconds),
        "first_byte_seconds": to("obs.first_byte_seconds"),
        "queue_seconds": to("obs.queue_seconds"),
        "request_bytes": to("http.request.body.bytes"),
        "response_bytes": to("http.response.body.bytes"),
        "db_queries": to("obs.db_queries"),
        "db_seconds": to("obs.db_seconds"),
        "db_repeats": to("obs.db_repeats"),
        "db_repeated_at": to("obs.db_repeated_at"),
        "http_calls": to("obs.http_calls"),
        "http_seconds": to("obs.http_seconds"),
        "blocked_seconds": to("obs.blocked_seconds"),
        "blocked_at": to("obs.blocked_at"),
        "slow_at": to("obs.slow_at"),
        "user_id": to("user.id"),
        "client_ip": to("client.ip", "string, an IP address", address, store="ip")
        + to("client.address", "string, if it is not an address", no_address),
        "user_agent": to("user_agent.original"),
        "host": to("url.domain", "string", domain) + to("url.port", "integer", port),
        "scheme": to("url.scheme"),
        "http_version": to("http.version"),
        "query": to("url.query"),
        "referrer": to("http.request.referrer"),
        "headers": to("obs.headers"),
        "slow": to("obs.slow"),
        "suppressed": to("obs.suppressed"),
        "sample_rate": to("obs.sample_rate"),
        "truncated": to("obs.truncated"),
        "truncated_fields": to("obs.truncated_fields"),
        "original_bytes": to("obs.original_bytes"),
        "format_error": to("obs.format_error"),
        "error_type": to("error.type"),
        "error_message": to("error.message", store="match_only_text"),
        "stack_trace": to("error.stack_trace", store="wildcard"),
        "stack_info": to("obs.stack_info", store="wildcard"),
    },
)
"""The table of ``ecs``."""
