"""
Counts instead of times: the same on a busy machine, so a test can hold them.

A meter is started before what is measured and stopped behind it, again and again; what it then says is the median, so
that what happens once in a while, such as a new second on the clock, does not blur it.
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
    """Something that counts what happens between `start` and `stop`."""

    def start(self) -> None:
        """Count from here."""

    def stop(self) -> None:
        """Count no more."""


class Calls:
    """
    Counts calls of Python and of C functions, thread hops and database queries.

    A function for ``sys.setprofile``, which a measurement of coverage does not disturb.
    """

    def __init__(self) -> None:
        self._calls: list[int] = []
        self._hops: list[int] = []
        self._queries: list[int] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take one event of the interpreter."""
        if event == "call":
            self._calls[-1] += 1
            if frame.f_code in _HOPS:
                self._hops[-1] += 1
            elif frame.f_code in _QUERIES:
                self._queries[-1] += 1
        elif event == "c_call":
            self._calls[-1] += 1

    def start(self) -> None:
        """Count from here, in this thread and in those that `follow_new_threads` knows."""
        global _active  # noqa: PLW0603 -- one profile function at a time is all that there is
        for counts in (self._calls, self._hops, self._queries):
            counts.append(0)
        _active = self
        sys.setprofile(self)

    def stop(self) -> None:
        """Count no more."""
        global _active  # noqa: PLW0603 -- as above
        sys.setprofile(None)
        _active = None

    def medians(self) -> dict[str, float]:
        """Return ``calls``, ``hops`` (work handed to another thread, in either direction) and ``queries``."""
        counts = {"calls": self._calls, "hops": self._hops, "queries": self._queries}
        return {name: statistics.median(values) for name, values in counts.items()}


_active: Calls | None = None


def follow_new_threads() -> None:
    """From now on count what threads call as well; those that run already are not followed."""
    threading.setprofile(_follow)


def _follow(frame: FrameType, event: str, arg: Any) -> None:
    if _active is not None:
        _active(frame, event, arg)


class Peak:
    """Counts the bytes that are allocated at most at one time; what came before and is freed is not set off."""

    def __init__(self) -> None:
        self._before = 0
        self._bytes: list[int] = []

    def start(self) -> None:
        """Count from here."""
        tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]

    def stop(self) -> None:
        """Count no more."""
        self._bytes.append(tracemalloc.get_traced_memory()[1] - self._before)
        tracemalloc.stop()

    def medians(self) -> dict[str, float]:
        """Return ``peak_bytes``."""
        return {"peak_bytes": statistics.median(self._bytes)}
