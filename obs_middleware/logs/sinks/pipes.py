"""
`PipeLock`: keeps the lines of several processes apart in one pipe.

Write. It is needed where the system takes less than a line at once: macOS mixes writes of more than 512 bytes.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from obs_middleware.logs.line.limits import MAX_BYTES_PIPE
from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.platforms import LOCK_FILE, PIPE_BYTES, lock, unlock, user_id, wait_for

__all__ = ["PipeLock", "pipe_lock"]

_TRIES: Final = 10
_REST_SECONDS: Final = 5.0


class PipeLock:
    """
    A lock between the processes that write to one pipe. Use it in one thread at a time.

    A lock on the pipe itself would not separate forked workers, which share it. So it is a lock on a file in the
    temporary folder, named after the pipe, that each process opens for itself. If the file cannot be opened, or is
    another user's, nothing is locked, and lines may mix.

    Args:
        about: The status of the pipe.
    """

    def __init__(self, about: os.stat_result) -> None:
        import tempfile  # noqa: PLC0415 -- imports much, and Linux does not need it

        name = f"obs-middleware-{user_id()}-{about.st_dev}-{about.st_ino}.lock"
        self._path = os.path.join(tempfile.gettempdir(), name)  # noqa: PTH118 -- os.open() takes it
        self._file: int | None = None
        self._depth = 0
        call_after_fork(self._forget)

    def acquire(self) -> None:
        """Wait until no other process writes. A signal handler that logs may acquire it again."""
        self._depth += 1
        if self._depth == 1:
            try:
                self._lock_file()
            except OSError:
                pass
            except BaseException:  # a signal handler has raised it
                self.release()
                raise

    def release(self) -> None:
        """Let other processes write."""
        self._depth -= 1
        if self._depth == 0 and self._file is not None:
            unlock(self._file)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """
        Write *data* without lines of others in between, and return the number of bytes written.

        It is less than all if a reader takes no more of a line for five seconds.

        Raises:
            BlockingIOError: The pipe takes nothing now.
            OSError: Any other error of the pipe.
        """
        self.acquire()
        try:
            done = os.write(descriptor, data)
            while done < len(data) and wait_for(descriptor, _REST_SECONDS):
                try:
                    done += os.write(descriptor, data[done:])
                except BlockingIOError:  # room for less than what the system writes in one piece
                    continue
            return done
        finally:
            self.release()

    def _lock_file(self) -> None:
        for _ in range(_TRIES):
            if self._file is None:
                self._file = self._open()
            lock(self._file)
            if self._is_named():
                return
            self._close()  # another process has removed it in the meantime

    def _open(self) -> int:
        """
        Open the file.

        Raises:
            PermissionError: It is another user's, who could lock it for ever.
        """
        file = os.open(self._path, LOCK_FILE, 0o600)
        if os.fstat(file).st_uid != user_id():
            os.close(file)
            raise PermissionError(self._path)
        return file

    def _is_named(self) -> bool:
        return self._file is not None and os.fstat(self._file).st_nlink > 0

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _forget(self) -> None:
        """Drop the file of the parent, whose lock a child shares."""
        self._depth = 0
        self._close()

    def close(self) -> None:
        """Remove the file, unless another process has locked it. A process that has it open makes a new one."""
        if self._file is not None and self._depth == 0:
            if lock(self._file, wait=False) and self._is_named():
                try:
                    os.unlink(self._path)  # noqa: PTH108 -- as above
                except OSError:
                    pass
            self._close()


def pipe_lock(descriptor: int | None) -> PipeLock | None:
    """
    Return a lock for a pipe or FIFO; None for another output, or on a system that does not mix lines.

    Args:
        descriptor: The descriptor of the output; None if it has none.
    """
    if PIPE_BYTES >= MAX_BYTES_PIPE or descriptor is None:
        return None
    try:
        about = os.fstat(descriptor)
    except OSError:  # closed
        return None
    return PipeLock(about) if stat.S_ISFIFO(about.st_mode) else None
