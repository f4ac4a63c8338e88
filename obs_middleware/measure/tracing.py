"""
Find the place of a request in a distributed trace, by the header ``traceparent`` or OpenTelemetry's active span.

Measure. OpenTelemetry is optional: without its API only the header counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["Trace", "active_span", "opentelemetry_context", "parse_traceparent", "trace_of"]

opentelemetry_context: Callable[[], Mapping[str, Any]] | None
try:
    from opentelemetry import trace as opentelemetry
    from opentelemetry.context import get_current as opentelemetry_context
except ImportError:
    # Not installed, or only a namespace of that name, which the package of its protocol buffers creates.
    opentelemetry_context = None

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII).fullmatch


class Trace(NamedTuple):
    """
    The place of a request in a distributed trace. All ids are lower-case hex.

    Attributes:
        trace_id: The trace, 32 digits.
        span_id: The span of this request, 16 digits.
        parent_span_id: The span of the caller, 16 digits, or None.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None


def parse_traceparent(header: object) -> tuple[str, str] | None:
    """
    Return trace id and span id of a ``traceparent`` header, or None if the standard says to ignore it.

    To ignore: a malformed header, upper-case digits, an id of zeros only, version ``ff``, and anything after the flags
    of version ``00``. A later version may have more after them.

    Source: W3C Trace Context, sections 3.2 and 4.
    """
    match = _TRACEPARENT(header) if isinstance(header, str) and len(header) <= 512 else None
    if match is None:
        return None
    version, trace_id, span_id, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return trace_id, span_id


def active_span() -> Trace | None:
    """Return OpenTelemetry's active span, or None. None also if its API is not installed."""
    # An empty context has no span. Looking for one would cost three times as much as this check.
    if opentelemetry_context is None or not opentelemetry_context():
        return None
    span: Any = opentelemetry.get_current_span()
    context = span.get_span_context()
    if not context.is_valid:
        return None
    parent = getattr(span, "parent", None)
    parent_id = f"{parent.span_id:016x}" if parent is not None and parent.is_valid else None
    return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", parent_id)


def trace_of(traceparent: object) -> Trace | None:
    """
    Return the trace of a request, or None.

    OpenTelemetry's active span wins. Without one, the request becomes a child of the caller's span, with a new span id.
    """
    active = active_span()
    if active is not None:
        return active
    caller = parse_traceparent(traceparent)
    return None if caller is None else Trace(caller[0], os.urandom(8).hex(), caller[1])
