"""
Meters that count instead of timing. Counts are the same on a busy machine, so a test can limit them.

A meter is started and stopped around each piece of work, and then reports the median. Events that happen only now and
then, such as a new second on the clock, do not change the median.
"""

from __future__ import annotations

import statistics
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Final, Protocol

from asgiref.current_thread_executor import CurrentThreadExecutor
from django.db.backends.utils import CursorWrapper

__all__ = ["Calls", "Meter", "Peak", "follow_new_threads"]

_HOPS: Final = frozenset({ThreadPoolExecutor.submit.__code__, CurrentThreadExecutor.submit.__code__})
_QUERIES: Final = frozenset({CursorWrapper.execute.__code__, CursorWrapper.executemany.__code__})


class Meter(Protocol):
    """Counts events between `start` and `stop`."""

    def start(self) -> None:
        """Start to count."""

    def stop(self) -> None:
        """Stop counting."""


class Calls:
    """
    Count calls of Python and C functions, thread hops and database queries.

    An instance is a function for ``sys.setprofile``, so it works while coverage is measured.
    """

    def __init__(self) -> None:
        self._calls: list[int] = []
        self._hops: list[int] = []
        self._queries: list[int] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Count one event of the interpreter."""
        if event == "call":
            self._calls[-1] += 1
            if frame.f_code in _HOPS:
                self._hops[-1] += 1
            elif frame.f_code in _QUERIES:
                self._queries[-1] += 1
        elif event == "c_call":
            self._calls[-1] += 1

    def start(self) -> None:
        """Start to count, in this thread and in the threads that `follow_new_threads` follows."""
        global _active  # noqa: PLW0603 -- a process has only one profile function at a time
        for counts in (self._calls, self._hops, self._queries):
            counts.append(0)
        _active = self
        sys.setprofile(self)

    def stop(self) -> None:
        """Stop counting."""
        global _active  # noqa: PLW0603 -- as above
        sys.setprofile(None)
        _active = None

    def medians(self) -> dict[str, float]:
        """Return the medians of ``calls``, ``queries`` and ``hops``: work passed to or from another thread."""
        counts = {"calls": self._calls, "hops": self._hops, "queries": self._queries}
        return {name: statistics.median(values) for name, values in counts.items()}


_active: Calls | None = None


def follow_new_threads() -> None:
    """Also count the calls of threads that start from now on."""
    threading.setprofile(_follow)


def _follow(frame: FrameType, event: str, arg: Any) -> None:
    if _active is not None:
        _active(frame, event, arg)


class Peak:
    """Measure the largest number of bytes allocated at one time, in addition to those allocated before."""

    def __init__(self) -> None:
        self._before = 0
        self._bytes: list[int] = []

    def start(self) -> None:
        """Start to measure."""
        tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]

    def stop(self) -> None:
        """Stop measuring."""
        self._bytes.append(tracemalloc.get_traced_memory()[1] - self._before)
        tracemalloc.stop()

    def medians(self) -> dict[str, float]:
        """Return the median as ``peak_bytes``."""
        return {"peak_bytes": statistics.median(self._bytes)}
