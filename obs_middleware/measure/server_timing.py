"""
Write the response header ``Server-Timing``, which shows the times of a request in a browser's developer tools.

Measure. Source: W3C Server Timing.
"""

from __future__ import annotations

import re

from django.http.response import HttpResponseBase

from obs_middleware.measure.event import Event

__all__ = ["add_server_timing"]


def add_server_timing(event: Event, response: HttpResponseBase, seconds: float) -> None:
    """Add the times in milliseconds: total, database, `timed` blocks. Entries of the application stay in front."""
    metrics = [f"total;dur={seconds * 1000:.1f}"]
    if isinstance(event.queries, list):
        metrics.append(f'db;dur={sum(event.queries) * 1000:.1f};desc="{len(event.queries)} queries"')
    if event.said is not None:
        for name, tally in event.said.timings.copy().items():
            # A token by RFC 9110, section 5.6.2.
            token = re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "_"
            metrics.append(f"{token};dur={tally.seconds * 1000:.1f}")
    own = response.headers.get("Server-Timing")
    response.headers["Server-Timing"] = ", ".join([own, *metrics] if own else metrics)
