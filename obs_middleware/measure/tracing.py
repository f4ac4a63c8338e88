"""
Find the place of a request in a distributed trace, and pass it on: ``traceparent`` and OpenTelemetry's active span.

Measure. OpenTelemetry is optional: without its API only the header counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from obs_middleware.measure.event import Event

__all__ = [
    "KNOWN_FLAGS",
    "Trace",
    "active_span",
    "opentelemetry_context",
    "parse_traceparent",
    "trace_of",
    "traceparent_of",
    "tracestate_of",
]

opentelemetry_context: Callable[[], Mapping[str, Any]] | None
try:
    from opentelemetry import trace as opentelemetry
    from opentelemetry.context import get_current as opentelemetry_context
except ImportError:
    # Not installed, or only a namespace of that name, which the package of its protocol buffers creates.
    opentelemetry_context = None

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII).fullmatch

_is_tracestate: Final = re.compile(r"[\x20-\x7e]{1,512}").fullmatch
"""The standard lets nobody rely on more than 512 characters, and other characters could break a header."""

KNOWN_FLAGS: Final = 0b11
"""Sampled and random. The standard says to send no flag that you do not know."""


class Trace(NamedTuple):
    """
    The place of a request in a distributed trace. All ids are lower-case hex.

    Attributes:
        trace_id: The trace, 32 digits.
        span_id: The span of this request, 16 digits.
        parent_span_id: The span of the caller, 16 digits, or None.
        flags: The trace flags of the standard. Bit 0 says that the caller records the trace.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    flags: int


def parse_traceparent(header: object) -> tuple[str, str, int] | None:
    """
    Return trace id, span id and flags of a ``traceparent`` header, or None if the standard says to ignore it.

    To ignore: a malformed header, upper-case digits, an id of zeros only, version ``ff``, and anything after the flags
    of version ``00``. A later version may have more after them.

    Source: W3C Trace Context, sections 3.2 and 4.
    """
    match = _TRACEPARENT(header) if isinstance(header, str) and len(header) <= 512 else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return trace_id, span_id, int(flags, 16)


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
    return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", parent_id, int(context.trace_flags))


def trace_of(traceparent: object) -> Trace | None:
    """
    Return the trace of a request, or None.

    OpenTelemetry's active span wins. Without one, the request becomes a child of the caller's span, with a new span id.
    """
    active = active_span()
    if active is not None:
        return active
    caller = parse_traceparent(traceparent)
    return None if caller is None else Trace(caller[0], os.urandom(8).hex(), caller[1], caller[2])


def traceparent_of(event: Event) -> str | None:
    """
    Return the header ``traceparent`` for work that *event* causes elsewhere, or None if it has no trace.

    OpenTelemetry's active span is the parent of that work. Without one, the parent is the span of the event, whose
    line has its id: the lines of both services then join. The flags are the caller's, so that nothing else is sampled.
    """
    active = active_span()
    if active is not None:
        return f"00-{active.trace_id}-{active.span_id}-{active.flags & KNOWN_FLAGS:02x}"
    trace = event.trace
    if trace is None:
        return None
    return f"00-{trace['trace_id']}-{trace['span_id']}-{event.trace_flags & KNOWN_FLAGS:02x}"


def tracestate_of(request: Any) -> str | None:
    """
    Return the header ``tracestate`` to send with `traceparent_of`, or None.

    Args:
        request: The request that causes the call, or None. It may be any object.
    """
    if active_span() is not None:
        return opentelemetry.get_current_span().get_span_context().trace_state.to_header() or None
    meta = getattr(request, "META", None)
    found = meta.get("HTTP_TRACESTATE") if type(meta) is dict else None
    return found if type(found) is str and _is_tracestate(found) else None
