"""
`Sink`, the interface between a handler and its output, and `StreamSink`, a sink for an open stream.

Write. A sink is used by one thread at a time. It writes what it can and lets the errors of the system pass; waiting and
trying again is the handler's job.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import Any, Final, Protocol

from obs_middleware.display.terminal import is_terminal
from obs_middleware.logs.sinks.pipes import pipe_lock
from obs_middleware.logs.sinks.standard import stream_named
from obs_middleware.platforms import CONSOLE_NEEDS_STREAM, PIPE_BYTES, wait_for

__all__ = [
    "FULL_SECONDS",
    "MAY_PASS",
    "MOST_BYTES",
    "Sink",
    "StreamSink",
    "descriptor_of",
    "is_regular",
    "most_bytes",
]

FULL_SECONDS: Final = 1.0
"""How long to wait for room in a full pipe before the next try."""

MOST_BYTES: Final = 65_536
"""Bytes of one write to a regular file."""

MAY_PASS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS, errno.ENOMEM})
"""Errors after which the same write may succeed later."""


class Sink(Protocol):
    """
    The output of a handler.

    Attributes:
        name: Its name in error messages.
        trouble: Why it writes to another place than it should; None if all is well.
    """

    name: str
    trouble: OSError | None

    def batch_bytes(self) -> int:
        """
        Return the limit of one write in bytes, so that lines of other processes cannot mix with ours.

        Raises:
            OSError: The descriptor is closed.
            ValueError: The stream is closed.
        """

    def renew(self) -> bool:
        """Open the output again if needed; return True if it is another one now, where a half line must be repeated."""

    def write(self, data: memoryview) -> int:
        """
        Write *data* or a part of it and return the number of bytes written; may block.

        Raises:
            BlockingIOError: Nothing can be written now; call `wait`.
            Exception: Any other error of the system or the stream.
        """

    def wait(self, seconds: float) -> bool:
        """Return True as soon as something can be written, or False after *seconds*."""

    def recover(self, error: BaseException) -> bool:
        """Prepare for another try after *error*; return False if another try is pointless."""

    def close(self) -> None:
        """Close everything that the sink has opened itself; the next write opens it again."""


class StreamSink:
    """
    A sink for an open stream, such as ``sys.stdout``.

    It writes to the stream's file descriptor, past its buffer, or calls its ``write`` if it has no descriptor, or is a
    console of Windows.

    Args:
        stream: A text or binary stream, or the name ``stdout``, ``stderr`` or ``auto``, which is looked up now.
    """

    trouble: OSError | None = None

    def __init__(self, stream: Any) -> None:
        name = stream_named(stream) if isinstance(stream, str) else None  # type: ignore[arg-type]  # any other fails below
        self._stream = stream if name is None else getattr(sys, name)
        self._is_binary = isinstance(self._stream, (io.RawIOBase, io.BufferedIOBase))
        self.name = name or str(getattr(stream, "name", type(stream).__name__))
        self._is_console = CONSOLE_NEEDS_STREAM and is_terminal(self._stream)
        self._pipe_lock = pipe_lock(self._descriptor())

    def _descriptor(self) -> int | None:
        return None if self._is_console else descriptor_of(self._stream)

    def batch_bytes(self) -> int:
        """Return 64 KiB for a regular file or a stream without a descriptor, PIPE_BUF for everything else."""
        descriptor = self._descriptor()
        return MOST_BYTES if descriptor is None else most_bytes(descriptor)

    def renew(self) -> bool:
        """Return False: a stream is never replaced."""
        return False

    def write(self, data: memoryview) -> int:
        """Write to the descriptor, or with the stream's own ``write`` and ``flush``."""
        descriptor = self._descriptor()
        if descriptor is not None:
            return os.write(descriptor, data) if self._pipe_lock is None else self._pipe_lock.write(descriptor, data)
        written: int | None = self._stream.write(data if self._is_binary else str(data, "utf-8"))
        if written is None and self._is_binary:
            raise BlockingIOError(errno.EAGAIN, "the stream takes nothing now")
        flush = getattr(self._stream, "flush", None)  # print() does not need one either
        if flush is not None:
            flush()
        return written if written is not None and self._is_binary else len(data)

    def wait(self, seconds: float) -> bool:
        """Wait for the descriptor; a stream without one is always ready."""
        descriptor = self._descriptor()
        return descriptor is None or wait_for(descriptor, seconds)

    def recover(self, error: BaseException) -> bool:
        """Return True for a full disk, False for a missing reader or a closed stream."""
        return isinstance(error, OSError) and error.errno in MAY_PASS

    def close(self) -> None:
        """Close the lock of a pipe. The stream belongs to the caller."""
        if self._pipe_lock is not None:
            self._pipe_lock.close()


def descriptor_of(stream: Any) -> int | None:
    """
    Return the descriptor of *stream*, or None if it has none, or only pretends to have one.

    Ask each time: after a close, the same number may belong to another file.
    """
    try:
        descriptor = stream.fileno()
    except Exception:  # noqa: BLE001 -- a foreign stream may raise anything; if it is closed, its write() says so
        return None
    return descriptor if type(descriptor) is int and descriptor >= 0 else None


def is_regular(descriptor: int) -> bool:
    """Return whether *descriptor* is a regular file."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def most_bytes(descriptor: int) -> int:
    """
    Return the limit of one write to *descriptor* in bytes: 64 KiB for a regular file, PIPE_BUF for everything else.

    The system may split a longer write to a pipe, and lines of other processes would land in between.
    """
    return MOST_BYTES if is_regular(descriptor) else PIPE_BYTES
