"""
Sinks for a file that log rotation may rename, remove or truncate.

Write.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Final

from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.logs.sinks.inotify import Watch
from obs_middleware.logs.sinks.pipes import PipeLock, pipe_lock
from obs_middleware.logs.sinks.stream import MAY_PASS, MOST_BYTES, is_regular, most_bytes
from obs_middleware.platforms import APPEND, READ, lock, wait_for

__all__ = ["FileSink", "WatchedFileSink"]

_LOOK_SECONDS: Final = 1.0
_LOOK_SECONDS_UNWATCHED: Final = 0.01

_TRIES: Final = 20
_TRY_SECONDS: Final = 0.01


class FileSink:
    """
    A sink that appends to a file and opens it again after it was renamed or removed.

    The file may also be truncated, or be a named FIFO. If a killed process has left half a line at its end, the sink
    first completes it with a line feed. A lock on the file (``flock``) makes sure that only one process does this. It
    costs one ``stat`` per write.

    While the file under the name cannot be opened, for example because a folder is in its place, the sink goes on
    writing to the file that is open, if that still has another name. Each renewal tries to open the new file again.

    Attributes:
        name: The absolute path.
        file: The descriptor; None while the file is closed.
        pipe_lock: The lock of a FIFO, on a system that needs one.
        trouble: Why the file under the name is not the one that is written to; None if it is.

    Args:
        path: The path; a relative path is resolved when the sink is made.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.path.abspath(path)  # noqa: PTH100 -- Path.absolute() keeps `..`
        self.file: int | None = None
        self.pipe_lock: PipeLock | None = None
        self.trouble: OSError | None = None
        self._identity: tuple[int, int] | None = None
        self._is_new = True
        self._left_at: int | None = None
        try:
            self._open()
        except OSError as error:
            if error.errno != errno.ENXIO:  # a FIFO without a reader
                raise

    def _open(self) -> int:
        file, before = os.open(self.name, APPEND, 0o666), self.file
        # In this order: a child that is forked in between must not keep a number that may belong to another file.
        self.file, self._is_new = file, True
        if before is not None:
            os.close(before)
        opened = os.fstat(file)
        self._identity = opened.st_dev, opened.st_ino
        self.pipe_lock = pipe_lock(file)
        return file

    def batch_bytes(self) -> int:
        """Return 64 KiB for a regular file, PIPE_BUF for a FIFO."""
        return MOST_BYTES if self.file is None else most_bytes(self.file)

    def renew(self) -> bool:
        """
        Open the file again if its name leads to another one now; complete a half line at the end of a new file.

        If a full disk has cut a line and another process has written after it, the file counts as another one.
        """
        file = self._current()
        if self._left_at is not None and os.fstat(file).st_size != self._left_at:
            self._is_new = True
        self._left_at = None
        if not self._is_new:
            return False
        self._end_half_line(file)
        self._is_new = False
        return True

    def _current(self) -> int:
        """Return the descriptor to write to: of the file under the name, or else of the one that is open."""
        file = self.file
        if file is None or not self._is_the_one():
            try:
                file = self._open()
            except OSError as error:
                # Nobody would ever read what is written to a removed file.
                if file is None or not os.fstat(file).st_nlink:
                    raise
                self.trouble = error.with_traceback(None)  # which would keep the record alive
                return file
        self.trouble = None
        return file

    def _is_the_one(self) -> bool:
        try:
            named = os.stat(self.name)  # noqa: PTH116 -- half the cost of Path.stat()
        except OSError:  # missing, or behind a folder that is closed to us; opening it says why
            return False
        return (named.st_dev, named.st_ino) == self._identity

    def _end_half_line(self, file: int) -> None:
        if not is_regular(file):
            return
        try:
            # With another open(): processes that inherited one descriptor share its lock.
            reading = os.open(self.name, READ)
        except OSError:  # not readable, so the end cannot be checked
            return
        try:
            _lock_for_a_while(reading)
            if _ends_in_half_a_line(reading):
                os.write(file, b"\n")
        finally:
            os.close(reading)

    def write(self, data: bytes | memoryview) -> int:
        """Append to the file."""
        assert self.file is not None  # noqa: S101 -- renew() has opened the file
        return os.write(self.file, data) if self.pipe_lock is None else self.pipe_lock.write(self.file, data)

    def wait(self, seconds: float) -> bool:
        """Wait for the descriptor; a regular file is always ready."""
        return self.file is None or wait_for(self.file, seconds)

    def recover(self, error: BaseException) -> bool:
        """
        Return True for every error of the system: a disk may get room, and a folder may be created.

        The file is opened again, except after a full disk: half a line may be at its end, and its rest follows there.
        """
        if not isinstance(error, OSError):
            return False
        if error.errno not in MAY_PASS:
            self.close()
        elif self.file is not None and is_regular(self.file):
            self._left_at = os.lseek(self.file, 0, os.SEEK_CUR)  # the end of the last write
        return True

    def close(self) -> None:
        """Close the file."""
        if self.pipe_lock is not None:
            self.pipe_lock.close()
        if self.file is not None:
            file, self.file = self.file, None
            os.close(file)


class WatchedFileSink(FileSink):
    """
    A `FileSink` that is notified by the kernel when the file is renamed or removed, instead of a ``stat`` per write.

    It still looks up the name once a second, for changes without a notification: a renamed parent folder, a link that
    leads elsewhere, a renaming by another machine on a network file system. Without inotify it looks up the name every
    hundredth of a second, so that a busy process does not look it up for each line.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._watch: Watch | None = None
        self._may_watch = True
        self._looked = 0.0
        super().__init__(path)
        call_after_fork(self._reset)

    def is_current(self, now: float) -> bool:
        """
        Return whether the next write may go to the open file; if not, call `follow` first.

        Args:
            now: The current time in seconds, of the same clock as for `follow`.
        """
        age = now - self._looked
        if self._watch is None:
            return 0 <= age < _LOOK_SECONDS_UNWATCHED
        return 0 <= age < _LOOK_SECONDS and not self._watch.news(0, 1)

    def follow(self, now: float) -> None:
        """Look up the name, open the file that it leads to, and watch it."""
        if self._watch is not None:
            self._watch.clear()
        is_another = self.renew()
        # If the file cannot be watched, try again only with the next file.
        while is_another or (self._watch is None and self._may_watch):
            self._may_watch = self._watch_name()
            is_another = self._may_watch and self.renew()  # it may have been renamed before the watch began
        self._looked = now

    def _watch_name(self) -> bool:
        try:
            self._watch = self._watch or Watch()
            self._watch.watch(self.name)
        except OSError:
            self._unwatch()
            return False
        return True

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _reset(self) -> None:
        """Drop the watch of the parent: the process that reads its events first takes them from the other."""
        self._unwatch()
        self._may_watch = True

    def recover(self, error: BaseException) -> bool:
        """Do the same as a `FileSink`, but complete a half line, because its rest is not written later."""
        self._is_new = True
        self._looked = 0.0
        return super().recover(error)

    def close(self) -> None:
        """Close the file and the watch."""
        self._unwatch()
        super().close()


def _lock_for_a_while(file: int) -> None:
    """Wait for the lock on *file*, a fifth of a second at most; then go on without it."""
    for _ in range(_TRIES):
        if lock(file, wait=False):
            return
        time.sleep(_TRY_SECONDS)


def _ends_in_half_a_line(file: int) -> bool:
    """Return whether *file* ends without a line feed and stays so; another process may be writing to it."""
    before = None
    for _ in range(_TRIES):
        size = os.fstat(file).st_size
        if size == 0:
            return False
        os.lseek(file, size - 1, os.SEEK_SET)
        if os.read(file, 1) == b"\n":
            return False
        if size == before:
            return True
        before = size
        time.sleep(_TRY_SECONDS)
    return False
