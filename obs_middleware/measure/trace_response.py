"""
Write the response header ``traceresponse``, which tells the caller the trace and the span of its request.

Measure. Source: W3C Trace Context Level 2, a draft.
"""

from __future__ import annotations

from typing import Final

from django.http.response import HttpResponseBase

from obs_middleware.measure.event import Event
from obs_middleware.measure.tracing import KNOWN_FLAGS

__all__ = ["TRACE_RESPONSE", "add_trace_response", "traceresponse_of"]

TRACE_RESPONSE: Final = "traceresponse"


def traceresponse_of(event: Event) -> str | None:
    """Return the value of the header, with the span of *event*, whose id is on the line. None if it has no trace."""
    trace = event.trace
    return None if trace is None else f"00-{trace['trace_id']}-{trace['span_id']}-{event.trace_flags & KNOWN_FLAGS:02x}"


def add_trace_response(event: Event, response: HttpResponseBase, _: float) -> None:
    """Add the header, if *event* has a trace and the application has not set one itself."""
    value = traceresponse_of(event)
    if value is not None and TRACE_RESPONSE not in response.headers:
        response.headers[TRACE_RESPONSE] = value
