"""
Turn a line in the schema ``otel`` into a log record of OpenTelemetry's SDK.

Write. It runs in the thread that sends the lines, so that no request waits for it. The SDK calls its log records
unstable; `tests/logs/test_otlp.py` checks each part that is used here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current

from obs_middleware.measure.event import current_event

__all__ = ["log_record", "seal"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def seal(level: int, line: str) -> str:
    """
    Return *line* with what only its caller knows in front: the time now, the level, and the span.

    Args:
        level: The level of the record, as a number.
        line: A line in the schema ``otel``.
    """
    trace_id, span_id, flags = _span()
    return f"{time_ns()} {level} {trace_id:x} {span_id:x} {flags:x} {line}"


def _span() -> tuple[int, int, int]:
    """
    Return trace id, span id and flags for a record; zeros if there is no trace.

    OpenTelemetry's active span is more precise than the span of the request. It does not count if your code has begun
    another trace: all records of a request have the same trace id.
    """
    event = current_event.get()
    ours = None if event is None else event.trace
    if get_current():  # an empty context has no span
        active = trace.get_current_span().get_span_context()
        if active.is_valid and (ours is None or ours["trace_id"] == f"{active.trace_id:032x}"):
            return active.trace_id, active.span_id, int(active.trace_flags)
    if event is None or ours is None:
        return 0, 0, 0
    return int(ours["trace_id"], 16), int(ours["span_id"], 16), event.trace_flags & 0xFF


def log_record(sealed: bytes, resource: Mapping[str, Any]) -> tuple[LogRecord, str]:
    """
    Return the log record for a line that `seal` has returned, and the name of its logger.

    Args:
        sealed: The line.
        resource: The attributes of the service. They are left out of the record, unless a processor of the application
            has changed them on the line.
    """
    observed, level, *span, text = sealed.split(b" ", 5)
    line = json.loads(text)
    attributes: dict[str, Any] = line.get("attributes", {})
    described = line.get("resource", {}).get("attributes", {})
    attributes.update((name, value) for name, value in described.items() if resource.get(name) != value)
    severity = line.get("severity_number")
    observed_at = int(observed)
    record = LogRecord(
        timestamp=_nanoseconds(line.get("timestamp"), observed_at),
        observed_timestamp=observed_at,
        context=_context(line, (int(span[0], 16), int(span[1], 16), int(span[2], 16)), attributes),
        severity_text=line.get("severity_text"),
        severity_number=SeverityNumber(_severity_of(int(level)) if severity is None else severity),
        body=line.get("body", ""),
        attributes=attributes,
        event_name=line.get("event_name"),
    )
    return record, line.get("instrumentation_scope", {}).get("name", "")


def _nanoseconds(timestamp: Any, otherwise: int) -> int:
    """Return the time in nanoseconds since the epoch. A processor of the application may have changed its text."""
    try:
        return (datetime.fromisoformat(timestamp) - _EPOCH) // _MICROSECOND * 1_000
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _context(line: Mapping[str, Any], span: tuple[int, int, int], attributes: dict[str, Any]) -> Context:
    """Return a context with the span of the line. Ids that are none become attributes."""
    trace_id, span_id, flags = span
    given = line.get("trace_id")
    if given is not None and given != f"{trace_id:032x}":
        try:
            trace_id, span_id, flags = int(given, 16), int(line.get("span_id", "0"), 16), 0
        except ValueError:
            attributes.update({name: line[name] for name in ("trace_id", "span_id") if name in line})
    # A span context with an id of zeros or of too many digits is invalid, and OpenTelemetry then sends no ids.
    context = trace.SpanContext(trace_id, span_id, is_remote=False, trace_flags=trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(context), Context())


def _severity_of(level: int) -> int:
    """
    Return the severity, 1 to 24, of a level that has no name of its own.

    Source: OpenTelemetry, log data model, "Field: SeverityNumber".
    """
    return 1 if level < 10 else min(5 + (level - 10) // 10 * 4 + min((level - 10) % 10, 3), 24)
