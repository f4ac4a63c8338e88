"""
How many requests there were, and what became of their lines.

Measure. The counts are those of this process, since it started or was forked. For every request that is over exactly
one of the other counts went up too.
"""

from __future__ import annotations

import os
import threading
from typing import Final, TypedDict

__all__ = ["COUNTS", "LOCK", "SinkFigures", "Stats", "register_sink", "stats"]

_NAMES: Final = ("written", "excluded", "suppressed", "sampled_out", "failed")


class Stats(TypedDict):
    """
    The counts that `stats` returns.

    ``requests`` is the number of requests that are over: the sum of ``written``, ``excluded``, ``suppressed``,
    ``sampled_out``, ``failed`` and ``dropped``. The ``sink_`` counts are of lines of every kind.
    """

    requests: int
    written: int
    excluded: int
    suppressed: int
    sampled_out: int
    failed: int
    dropped: int
    sink_depth: int
    sink_written: int
    sink_dropped: int


class SinkFigures:
    """
    The counts that one sink reports. Every line that it was given is in one of the first three.

    Attributes:
        depth: Lines that wait to be written.
        written: Lines that were written.
        dropped: Lines that were given up.
        dropped_requests: Those of the dropped that were request lines.
    """

    __slots__ = ("depth", "dropped", "dropped_requests", "written")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.depth = self.written = self.dropped = self.dropped_requests = 0


COUNTS: Final = dict.fromkeys(_NAMES, 0)
"""
What became of a line -> how many such requests.

To count one: ``with counters.LOCK: COUNTS[fate] += 1``. Without the lock, two threads may lose a count.
"""

LOCK = threading.RLock()
"""Guards `COUNTS`; another one after a fork. Reentrant, because a signal handler may serve a request."""

_sinks: list[SinkFigures] = []


def register_sink() -> SinkFigures:
    """
    Return new figures that `stats` adds to its own, for a sink that keeps lines back before it writes them.

    They are kept for good, so that a sink that is replaced does not take its counts along.
    """
    figures = SinkFigures()
    _sinks.append(figures)
    return figures


def stats() -> Stats:
    """
    Return the counts of this process.

    ``requests`` counts those that are over, and is the sum of six: ``written``, handed to the logging module and not
    dropped later; ``excluded`` by ``EXCLUDE``; ``suppressed`` by ``QUIET``; ``sampled_out`` by ``SAMPLE_RATE``;
    ``failed``, a filter or handler raised and the line is lost; ``dropped`` by a `NonBlockingHandler`.

    The other three are lines of every kind that were given to such a handler: ``sink_depth``, those that wait to be
    written; ``sink_written``; ``sink_dropped``. Without one they are 0. With more than one, each has its own copy of a
    line, and all are counted.
    """
    with LOCK:
        counts = COUNTS.copy()
    requests = sum(counts.values())
    # A line may be dropped a moment before its request is counted, and twice by two sinks.
    dropped = min(sum(sink.dropped_requests for sink in _sinks), counts["written"])
    counts["written"] -= dropped
    return {
        "requests": requests,
        "written": counts["written"],
        "excluded": counts["excluded"],
        "suppressed": counts["suppressed"],
        "sampled_out": counts["sampled_out"],
        "failed": counts["failed"],
        "dropped": dropped,
        "sink_depth": sum(sink.depth for sink in _sinks),
        "sink_written": sum(sink.written for sink in _sinks),
        "sink_dropped": sum(sink.dropped for sink in _sinks),
    }


def _reset() -> None:
    global LOCK  # noqa: PLW0603 -- the thread that may hold it is not in the child
    LOCK = threading.RLock()
    COUNTS.update(dict.fromkeys(_NAMES, 0))
    for sink in _sinks:
        sink.clear()


os.register_at_fork(after_in_child=_reset)
