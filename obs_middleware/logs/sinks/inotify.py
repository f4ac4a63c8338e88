"""
What happens to a file's name, told by the kernel: inotify, which Python has no module for.

Write. To look up a name before each line costs twice as much as to write the line, above all because a file system that
was asked for the times of a file keeps finer ones at its next write. A watch is asked for a sixth of that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import weakref
from typing import Final

__all__ = ["Watch"]

# Source: linux/inotify.h. The number of links to a file, which tells of a removal, is one of its attributes.
_IN_ATTRIB: Final = 0x4
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800

_MOST_EVENTS: Final = 65_536


class Watch:
    """
    Tells whether anything may have happened to the name of a file.

    It belongs to the process that made it, a child must make its own; and to one thread at a time.

    Attributes:
        news: ``news(0, 1)`` is true if anything has happened since `clear`; one system call.

    Raises:
        OSError: There is none to be had: another system than Linux, or too many (fs.inotify.max_user_instances).
    """

    def __init__(self) -> None:
        try:
            # Asks quicker than poll(), and than an ioctl(). gevent takes it away.
            self._queue = select.epoll()
            libc = ctypes.CDLL(None, use_errno=True)
            self._add_watch, self._remove_watch = libc.inotify_add_watch, libc.inotify_rm_watch
            file: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            raise OSError("There is no inotify here.") from error
        if file < 0:
            raise _error()
        self._file = file
        self._close = weakref.finalize(self, os.close, file)
        self._close.atexit = False  # lines are written until the very end
        self._watched = -1
        self._queue.register(file, select.EPOLLIN)
        self.news = self._queue.poll

    def watch(self, path: str) -> None:
        """
        Watch the file that *path* leads to, and the one before no more.

        Raises:
            OSError: There is no such file, or too many are watched (fs.inotify.max_user_watches).
        """
        events = _IN_ATTRIB | _IN_DELETE_SELF | _IN_MOVE_SELF
        before, self._watched = self._watched, self._add_watch(self._file, os.fsencode(path), events)
        if self._watched < 0:
            raise _error()
        if before not in {-1, self._watched}:
            self._remove_watch(self._file, before)  # fails for one that was removed, and so is watched no more
        self.clear()

    def clear(self) -> None:
        """Forget what has happened so far; what that was is left for the caller to find out, after this."""
        with contextlib.suppress(BlockingIOError):
            while self.news(0, 1):
                os.read(self._file, _MOST_EVENTS)

    def close(self) -> None:
        """Watch nothing any more."""
        self._queue.close()
        self._close()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
