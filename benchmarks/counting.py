"""
Counts instead of times: the same on a busy machine, so a test can hold them.

Calls of Python and of C functions, thread hops and database queries come from one profile function; what a request
keeps in memory comes from the allocator.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Final

from asgiref.current_thread_executor import CurrentThreadExecutor
from django.db.backends.utils import CursorWrapper

__all__ = ["Calls"]

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
        if event == "call":
            self.total += 1
            if frame.f_code in _HOPS:
                self.hops += 1
            elif frame.f_code in _QUERIES:
                self.queries += 1
        elif event == "c_call":
            self.total += 1

    def start(self) -> None:
        """Count from here, in this thread."""
        sys.setprofile(self)

    def stop(self) -> None:
        """Count no more."""
        sys.setprofile(None)
