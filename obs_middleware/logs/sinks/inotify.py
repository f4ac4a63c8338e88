"""
Notice with inotify, which has no module in Python, that a file was renamed or removed.

Write, a leaf. Looking up a name before each line costs twice as much as writing the line, above all because a file
system that was asked for the times of a file keeps finer ones at its next write. Asking a watch costs a sixth of that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import weakref
from typing import Final

from obs_middleware.threads import original

__all__ = ["Watch"]

# Source: linux/inotify.h. A removal changes the number of links, which is an attribute.
_IN_ATTRIB: Final = 0x4
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800

_MOST_EVENTS: Final = 65_536


class Watch:
    """
    Watches the name of one file.

    It must be used in the process that made it, by one thread at a time. A child process must make its own.

    Attributes:
        news: ``news(0, 1)`` is true if something may have happened since `clear`; one system call.

    Raises:
        OSError: The system is not Linux, or the limit fs.inotify.max_user_instances is reached.
    """

    def __init__(self) -> None:
        try:
            # Faster than poll() and ioctl(). gevent removes it, but nothing waits here.
            self._queue = original("select", "epoll")()
            libc = ctypes.CDLL(None, use_errno=True)
            self._add_watch, self._remove_watch = libc.inotify_add_watch, libc.inotify_rm_watch
            file: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            raise OSError("inotify is not available on this system.") from error
        if file < 0:
            raise _error()
        self._file = file
        self._close = weakref.finalize(self, os.close, file)
        self._close.atexit = False  # lines may be written until the very end of the process
        self._watched = -1
        self._queue.register(file, select.EPOLLIN)
        self.news = self._queue.poll

    def watch(self, path: str) -> None:
        """
        Watch the file at *path*, instead of the file before.

        Raises:
            OSError: The file does not exist, or the limit fs.inotify.max_user_watches is reached.
        """
        events = _IN_ATTRIB | _IN_DELETE_SELF | _IN_MOVE_SELF
        before, self._watched = self._watched, self._add_watch(self._file, os.fsencode(path), events)
        if self._watched < 0:
            raise _error()
        if before not in {-1, self._watched}:
            self._remove_watch(self._file, before)  # fails harmlessly for a removed file
        self.clear()

    def clear(self) -> None:
        """Forget all events so far. Call this first and look up the name afterwards, so that no event is missed."""
        with contextlib.suppress(BlockingIOError):
            while self.news(0, 1):
                os.read(self._file, _MOST_EVENTS)

    def close(self) -> None:
        """Stop watching."""
        self._queue.close()
        self._close()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
