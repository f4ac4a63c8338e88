"""
Count the outgoing calls of a request, and measure how long they take.

Work. A call lasts from when it needs a connection until the headers of its response are there, or until it fails. Each
hop of a redirect and each retry is a call of its own.
"""

from __future__ import annotations

from time import perf_counter

from obs_middleware.measure.event import Event

__all__ = ["count"]


def count(event: Event, started: float) -> None:
    """Add the call that *event* began at ``perf_counter()`` *started* and that is over now. Never raises."""
    calls = event.calls
    if calls is not None and not event.done:
        calls.append(perf_counter() - started)
