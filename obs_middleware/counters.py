"""
How many requests and other units of work there were, and what happened to their lines.

A leaf that every wing uses. The counts are those of this process, since it started or was forked.
"""

from __future__ import annotations

import threading
import weakref
from typing import Final, TypedDict

from obs_middleware.processes import call_after_fork

__all__ = ["COUNTS", "KINDS", "LOCK", "SinkFigures", "Stats", "register_sink", "stats"]

_NAMES: Final = ("written", "excluded", "suppressed", "sampled_out", "failed")


class Stats(TypedDict):
    """
    The counts that `stats` returns.

    ``requests``, ``tasks``, ``commands`` and ``websockets`` are the numbers of units of work that are over. Together
    they are the sum of ``written``, ``excluded``, ``suppressed``, ``sampled_out``, ``failed`` and ``dropped``. The
    ``sink_`` counts are of all lines.
    """

    requests: int
    tasks: int
    commands: int
    websockets: int
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
    The counts of one sink, kept by the sink itself. Every line that it got is in one of the first three.

    Attributes:
        depth: Lines that wait to be written.
        written: Lines that were written.
        dropped: Lines that were dropped.
        dropped_units: Lines of units of work, as requests, among those dropped.
    """

    __slots__ = ("depth", "dropped", "dropped_units", "written")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Set all counts to 0."""
        self.depth = self.written = self.dropped = self.dropped_units = 0

    def add(self, other: SinkFigures) -> None:
        """Add the counts of *other*."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


COUNTS: Final = dict.fromkeys(_NAMES, 0)
"""
Number of units of work by the fate of their line.

To count one: ``with counters.LOCK: COUNTS[fate] += 1``. Without the lock, two threads may lose a count.
"""

KINDS: Final = {"task": 0, "command": 0, "websocket": 0}
"""Number of units of work that are no request, by kind. They are in `COUNTS` too, whose rest are requests."""

LOCK = threading.RLock()
"""Guards `COUNTS` and `KINDS`. Replaced after a fork. Reentrant, because a signal handler may serve a request."""

_gone: Final = SinkFigures()
"""The counts of all sinks that exist no more."""

_sinks: list[tuple[weakref.ref[object], SinkFigures]] = []


def register_sink(owner: object) -> SinkFigures:
    """
    Return new counts that `stats` includes, for a sink that may drop lines.

    When *owner* exists no more, the counts are added to a total: lines of a handler that was replaced still count, and
    a process that configures logging again and again keeps one total.
    """
    figures = SinkFigures()
    with LOCK:
        for entry in _sinks.copy():
            if entry[0]() is None:
                _sinks.remove(entry)
                _gone.add(entry[1])
        _sinks.append((weakref.ref(owner), figures))
    return figures


def stats() -> Stats:
    """
    Return the counts of this process.

    ``requests``, ``tasks``, ``commands`` and ``websockets`` are the numbers of units of work that are over. Together
    they are the sum of six counts: ``written``, passed to the logging module and not dropped later; ``excluded`` by
    ``EXCLUDE``; ``suppressed`` by ``QUIET``; ``sampled_out`` by ``SAMPLE_RATE``; ``failed``, a filter or handler raised
    and the line is lost; ``dropped`` by a handler of this package, which had no room for it or could not write it.

    The other three count all lines that such a handler got: ``sink_depth`` wait to be written,
    ``sink_written`` were written, ``sink_dropped`` were dropped. Without such a handler they are 0. With several, each
    counts its copy of a line.
    """
    sinks = SinkFigures()
    with LOCK:
        counts = COUNTS.copy()
        kinds = KINDS.copy()
        for figures in (_gone, *(figures for _, figures in _sinks)):
            sinks.add(figures)
    requests = sum(counts.values()) - sum(kinds.values())
    # A line may be dropped a moment before its unit is counted, and twice by two sinks.
    dropped = min(sinks.dropped_units, counts["written"])
    counts["written"] -= dropped
    return {
        "requests": requests,
        "tasks": kinds["task"],
        "commands": kinds["command"],
        "websockets": kinds["websocket"],
        "written": counts["written"],
        "excluded": counts["excluded"],
        "suppressed": counts["suppressed"],
        "sampled_out": counts["sampled_out"],
        "failed": counts["failed"],
        "dropped": dropped,
        "sink_depth": sinks.depth,
        "sink_written": sinks.written,
        "sink_dropped": sinks.dropped,
    }


def _reset() -> None:
    global LOCK  # noqa: PLW0603 -- a thread that holds the lock at the fork is not in the child
    LOCK = threading.RLock()
    COUNTS.update(dict.fromkeys(COUNTS, 0))
    KINDS.update(dict.fromkeys(KINDS, 0))
    for figures in (_gone, *(figures for _, figures in _sinks)):
        figures.clear()


call_after_fork(_reset)
