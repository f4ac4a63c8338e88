"""
Schema ``gcp``: structured logging of Google Cloud Logging.

Write. Source: cloud.google.com/logging/docs, "LogEntry", "HttpRequest" and "Structured logging"; Error Reporting.
"""

from __future__ import annotations

import os
from typing import Any, Final

from obs_middleware.logs.schemas.convert import OfText, latency, of_other_work, url
from obs_middleware.logs.schemas.translation import Event, Own, Schema, same, to, under

__all__ = ["GCP"]

_LABEL: Final = under("logging.googleapis.com/labels")
_GOOGLE: Final = under()


def _text(value: Any, _: Event) -> str:
    return str(value)


# Source: Google Cloud Logging, LogSeverity. An unknown level becomes DEFAULT.
_GOOGLE_SEVERITIES: Final = frozenset({"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"})


@OfText
def _google_severity(level: str) -> str:
    severity = level.upper()
    return severity if severity in _GOOGLE_SEVERITIES else "DEFAULT"


def _google_trace(trace_id: str, _: Event) -> str:
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    return f"projects/{project}/traces/{trace_id}" if project else trace_id


@OfText
def _protocol(version: str) -> str:
    return f"HTTP/{version}"


GCP: Final = Schema(
    first={"time": None, "severity": None, "message": None},
    own=(
        Own(("logging.googleapis.com/labels",), ("text",), most=64),
        Own(("app",), ("null", "number", "tree")),
    ),
    fields={
        "timestamp": to("time"),
        "level": to("severity", "string, a LogSeverity", _google_severity),
        "logger": to("logger"),
        "message": to("message"),
        "kind": _LABEL("kind"),
        "event_id": to("event_id") + _GOOGLE("logging.googleapis.com/insertId"),
        "service": to("serviceContext.service"),
        "version": to("serviceContext.version"),
        "environment": _LABEL("environment"),
        "trace_id": _GOOGLE(
            "logging.googleapis.com/trace", "string, `projects/<project>/traces/<trace>`", _google_trace
        ),
        "span_id": _GOOGLE("logging.googleapis.com/spanId"),
        "parent_span_id": to("obs.parent_span_id"),
        "request_id": _LABEL("request_id"),
        "method": to("httpRequest.requestMethod"),
        "path": to("httpRequest.requestUrl", "string, with what is known of the URL", url),
        "task": _LABEL("task"),
        "task_id": _LABEL("task_id"),
        "parent_task_id": _LABEL("parent_task_id"),
        "queue": _LABEL("queue"),
        "attempt": to("obs.attempt"),
        "tasks": to("obs.tasks"),
        "command": _LABEL("command"),
        "exit_code": to("obs.exit_code"),
        "close_code": to("obs.close_code"),
        "route": _LABEL("route", "string, absent if no pattern matched", same),
        "view": _LABEL("view"),
        "status": to("httpRequest.status"),
        "outcome": to("obs.outcome"),
        "after_response": to("obs.after_response"),
        "age_seconds": to("obs.age_seconds"),
        "duration_seconds": to("httpRequest.latency", "string, of a request, seconds: `0.123456s`", latency)
        + to("obs.duration_seconds", "number, of other work", of_other_work),
        "first_byte_seconds": to("obs.first_byte_seconds"),
        "queue_seconds": to("obs.queue_seconds"),
        "request_bytes": to("httpRequest.requestSize", "string, an int64", _text),
        "response_bytes": to("httpRequest.responseSize", "string, an int64", _text),
        "db_queries": to("obs.db_queries"),
        "db_seconds": to("obs.db_seconds"),
        "db_repeats": to("obs.db_repeats"),
        "db_repeated_at": to("obs.db_repeated_at"),
        "http_calls": to("obs.http_calls"),
        "http_seconds": to("obs.http_seconds"),
        "blocked_seconds": to("obs.blocked_seconds"),
        "blocked_at": to("obs.blocked_at"),
        "slow_at": to("obs.slow_at"),
        "user_id": _LABEL("user_id"),
        "client_ip": to("httpRequest.remoteIp"),
        "user_agent": to("httpRequest.userAgent"),
        "host": to("httpRequest.requestUrl", "string, part of it", url),
        "scheme": to("httpRequest.requestUrl", "string, part of it", url),
        "http_version": to("httpRequest.protocol", "string, `HTTP/1.1`", _protocol),
        "query": to("httpRequest.requestUrl", "string, part of it", url),
        "referrer": to("httpRequest.referer"),
        "headers": to("obs.headers"),
        "slow": to("obs.slow"),
        "suppressed": to("obs.suppressed"),
        "sample_rate": to("obs.sample_rate"),
        "truncated": to("obs.truncated"),
        "truncated_fields": to("obs.truncated_fields"),
        "original_bytes": to("obs.original_bytes"),
        "format_error": to("obs.format_error"),
        "error_type": to("obs.error_type"),
        "error_message": to("obs.error_message"),
        "stack_trace": to("stack_trace"),
        "stack_info": to("obs.stack_info"),
    },
)
"""The table of ``gcp``."""
