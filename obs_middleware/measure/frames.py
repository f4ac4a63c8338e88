"""
The frames of all threads: `current_frames`.

Measure, a leaf. Python has the function, but Python 3.11 may stop for ever in it.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType
from typing import Final

from obs_middleware.processes import call_after_fork

__all__ = ["current_frames"]

_pauses: Final[list[int]] = []
"""Is not empty while `current_frames` keeps garbage from being collected."""


def current_frames() -> dict[int, FrameType]:
    """
    Return the innermost frame of each thread, by the ids of the threads.

    In Python 3.11, a garbage collection that begins in the middle can stop the whole process for ever: the function
    holds a lock of the interpreter, and the collection may need it, or let a thread run that needs it
    (python/cpython#106883). So none begins there. Python 3.12 collects garbage between two instructions only.
    """
    if sys.version_info >= (3, 12) or not gc.isenabled():
        return sys._current_frames()  # noqa: SLF001 -- documented, in spite of the underscore
    _pauses.append(1)
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001 -- as above
    finally:
        gc.enable()
        _pauses.pop()


def _collect_again() -> None:
    """Allow collections in a child process that another thread has forked in the middle of `current_frames`."""
    if _pauses:
        _pauses.clear()
        gc.enable()


call_after_fork(_collect_again)
