"""
`Tally`: add up durations, however many there are.

Measure, a leaf.
"""

from __future__ import annotations

import threading
from typing import final

from obs_middleware.processes import call_after_fork

__all__ = ["Tally", "count_and_sum"]


@final
class Tally:
    """
    The number and the sum of durations. Several threads may append at once.

    Attributes:
        count: How many durations were appended.
        seconds: Their sum.
    """

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def append(self, seconds: float) -> None:
        """Add a duration."""
        with _lock:
            self.count += 1
            self.seconds += seconds


def count_and_sum(durations: list[float] | Tally) -> tuple[int, float]:
    """Return the number of *durations*, and their sum. Other threads may still append."""
    if isinstance(durations, Tally):
        return durations.count, durations.seconds
    durations = durations.copy()
    return len(durations), sum(durations)


_lock = threading.RLock()  # reentrant: a signal handler may measure while its own thread holds the lock


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 -- each process has its own lock
    _lock = threading.RLock()  # a thread that held the old one at the fork is not in this process


call_after_fork(_after_fork)
