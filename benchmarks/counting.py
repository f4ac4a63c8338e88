"""
Counts instead of times: the same on a busy machine, so a test can hold them.

Calls of Python and of C functions, thread hops and database queries come from one profile function; what a request
keeps in memory comes from the allocator.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Final

from asgiref.current_thread_executor import CurrentThreadExecutor
from django.db.backends.utils import CursorWrapper

__all__ = ["Calls", "follow_new_threads"]

_HOPS: Final = frozenset({ThreadPoolExecutor.submit.__code__, CurrentThreadExecutor.submit.__code__})
_QUERIES: Final = frozenset({CursorWrapper.execute.__code__, CursorWrapper.executemany.__code__})


class Calls:
    """
    Counts between `start` and `stop`; a function for ``sys.setprofile``, which a coverage measurement does not disturb.

    Attributes:
        total: Calls of Python and of C functions.
        hops: Work handed to another thread, in either direction.
        queries: Database queries.
    """

    def __init__(self) -> None:
        self.total = self.hops = self.queries = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take one event of the interpreter."""
        if event == "call":
            self.total += 1
            if frame.f_code in _HOPS:
                self.hops += 1
            elif frame.f_code in _QUERIES:
                self.queries += 1
        elif event == "c_call":
            self.total += 1

    def start(self) -> None:
        """Count from here, in this thread and in those that `follow_new_threads` knows."""
        global _active  # noqa: PLW0603 -- one profile function at a time is all that there is
        _active = self
        sys.setprofile(self)

    def stop(self) -> None:
        """Count no more."""
        global _active  # noqa: PLW0603 -- as above
        sys.setprofile(None)
        _active = None


_active: Calls | None = None


def follow_new_threads() -> None:
    """From now on count what threads call as well; those that run already are not followed."""
    threading.setprofile(_follow)


def _follow(frame: FrameType, event: str, arg: Any) -> None:
    if _active is not None:
        _active(frame, event, arg)
