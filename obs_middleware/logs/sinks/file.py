"""
Sinks for a file that log rotation may rename, remove or truncate.

Write.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import Final

from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.logs.sinks.inotify import Watch
from obs_middleware.logs.sinks.stream import MAY_PASS, MOST_BYTES, is_regular, most_bytes, wait_for

__all__ = ["FileSink", "WatchedFileSink"]

_LOOK_SECONDS: Final = 1.0

_TRIES: Final = 20
_TRY_SECONDS: Final = 0.01


class FileSink:
    """
    A file that is appended to, and found again when it was renamed or removed.

    It may be truncated as well, and may be a FIFO with a name. A last line without its end, as a killed process leaves
    it, is ended before the first line is appended; a lock on the file (``flock``) sees to it that only one of several
    processes does so. Costs a ``stat`` for each write.

    Attributes:
        name: The path.
        file: The descriptor; None as long as none is open.

    Args:
        path: Where; a relative one stays what it meant when the sink was made.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.path.abspath(path)  # noqa: PTH100 -- Path would not make it any clearer
        self.file: int | None = None
        self._identity: tuple[int, int] | None = None
        self._is_new = True
        self._left_at: int | None = None
        try:
            self._open()
        except OSError as error:
            if error.errno != errno.ENXIO:  # a FIFO that nobody reads yet
                raise

    def _open(self) -> int:
        # O_NONBLOCK does nothing to a regular file; a FIFO would let nobody in until there is a reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        file, before = os.open(self.name, flags, 0o666), self.file
        # In this order, so that a fork in between leaves the child no number that may be another file's by then.
        self.file, self._is_new = file, True
        if before is not None:
            os.close(before)
        opened = os.fstat(file)
        self._identity = opened.st_dev, opened.st_ino
        return file

    def batch_bytes(self) -> int:
        """Return 64 KiB for a regular file, PIPE_BUF for a FIFO."""
        return MOST_BYTES if self.file is None else most_bytes(self.file)

    def renew(self) -> bool:
        """
        Open the file again if its name does not lead to it any more; end the half line at the end of a new one.

        Where a full disk has cut a line, and others have written behind that since, it counts as another file.
        """
        file = self.file
        if file is None or not self._is_the_one():
            file = self._open()
        if self._left_at is not None and os.fstat(file).st_size != self._left_at:
            self._is_new = True
        self._left_at = None
        if not self._is_new:
            return False
        self._end_half_line(file)
        self._is_new = False
        return True

    def _is_the_one(self) -> bool:
        try:
            named = os.stat(self.name)  # noqa: PTH116 -- half the cost of Path's
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == self._identity

    def _end_half_line(self, file: int) -> None:
        if not is_regular(file):
            return
        try:
            # By an open() of its own: a lock on what was inherited from a parent would not shut out its siblings.
            reading = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:  # may be written but not read: then nobody can tell
            return
        try:
            _lock(reading)
            if _ends_in_half_a_line(reading):
                os.write(file, b"\n")
        finally:
            os.close(reading)

    def write(self, data: bytes | memoryview) -> int:
        """Append."""
        assert self.file is not None  # noqa: S101 -- renew() has opened it
        return os.write(self.file, data)

    def wait(self, seconds: float) -> bool:
        """Ask the descriptor, which is always ready for a regular file."""
        return self.file is None or wait_for(self.file, seconds)

    def recover(self, error: BaseException) -> bool:
        """
        Return True for whatever the system says: disks are cleared and folders made.

        The file is opened again, but for a full disk: half a line may be at its end, and goes on there.
        """
        if not isinstance(error, OSError):
            return False
        if error.errno not in MAY_PASS:
            self.close()
        elif self.file is not None and is_regular(self.file):
            self._left_at = os.lseek(self.file, 0, os.SEEK_CUR)  # behind what was written last
        return True

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            file, self.file = self.file, None
            os.close(file)


class WatchedFileSink(FileSink):
    """
    A `FileSink` that the kernel tells of a renaming or a removal: its name need not be looked up for each write.

    It is looked up all the same once a second, for what the kernel does not tell: that a folder above the file was
    renamed, that a link leads elsewhere, that another machine renames in a file system of the network. Where there is
    no inotify, it is looked up for each write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._watch: Watch | None = None
        self._may_watch = True
        self._looked = 0.0
        super().__init__(path)
        call_after_fork(self)

    def is_current(self, now: float) -> bool:
        """
        Return whether the next write may go to the file as it is; if not, call `follow` first.

        Args:
            now: Seconds of the clock that `follow` is given, too. If it stands still, no second passes.
        """
        return self._watch is not None and 0 <= now - self._looked < _LOOK_SECONDS and not self._watch.news(0, 1)

    def follow(self, now: float) -> None:
        """Look up the name, open the file that it leads to, and have it watched."""
        if self._watch is not None:
            self._watch.clear()
        is_another = self.renew()
        # Where there is no watch to be had, it is not tried again before there is another file.
        while is_another or (self._watch is None and self._may_watch):
            self._may_watch = self._watch_name()
            is_another = self._may_watch and self.renew()  # it may have been renamed before it was watched
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

    def after_fork(self) -> None:
        """Drop the watch of the parent: whoever reads its events first takes them from the other process."""
        self._unwatch()
        self._may_watch = True

    def recover(self, error: BaseException) -> bool:
        """Do what a `FileSink` does, but that nobody writes the rest of a line: half a one is ended."""
        self._is_new = True
        self._looked = 0.0
        return super().recover(error)

    def close(self) -> None:
        """Close the file, and the watch."""
        self._unwatch()
        super().close()


def _lock(file: int) -> None:
    """Wait for the lock on *file* for a moment; where there is none to be had, the check goes without."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_SECONDS)
        except OSError:  # a file system without locks
            return
        else:
            return


def _ends_in_half_a_line(file: int) -> bool:
    """Return whether the last byte is no line feed, and stays so: another process may be writing just now."""
    before = None
    for _ in range(_TRIES):
        size = os.fstat(file).st_size
        if size == 0 or os.pread(file, 1, size - 1) == b"\n":
            return False
        if size == before:
            return True
        before = size
        time.sleep(_TRY_SECONDS)
    return False
