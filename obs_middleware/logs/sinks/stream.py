"""
`Sink`, the interface between a handler and its output, and `StreamSink`, a sink for an open stream.

Write. A sink is used by one thread at a time. It writes what it can and lets the errors of the system pass; waiting and
trying again is the handler's job.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from typing import Any, Final, Protocol

from obs_middleware.threads import original

__all__ = [
    "FULL_SECONDS",
    "MAY_PASS",
    "MOST_BYTES",
    "Sink",
    "StreamSink",
    "is_regular",
    "is_terminal",
    "most_bytes",
    "wait_for",
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

    It writes to the stream's file descriptor, past its buffer, or calls its ``write`` if it has no descriptor.

    Args:
        stream: A text or binary stream, or the name ``stdout`` or ``stderr``, which is looked up now.
    """

    trouble: OSError | None = None

    def __init__(self, stream: Any) -> None:
        self._stream = getattr(sys, stream) if isinstance(stream, str) else stream
        self._is_binary = isinstance(self._stream, (io.RawIOBase, io.BufferedIOBase))
        self.name = stream if isinstance(stream, str) else str(getattr(stream, "name", type(stream).__name__))

    def _descriptor(self) -> int | None:
        """
        Return the descriptor, or None for a stream that has none, or only pretends to have one.

        Ask each time: after a close, the same number may belong to another file.
        """
        try:
            descriptor = self._stream.fileno()
        except Exception:  # noqa: BLE001 -- a foreign stream may raise anything; if it is closed, its write() says so
            return None
        return descriptor if type(descriptor) is int and descriptor >= 0 else None

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
            return os.write(descriptor, data)
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
        """Do nothing: the stream belongs to the caller."""


def is_terminal(stream: Any) -> bool:
    """Return whether *stream* says that it is a terminal. A replaced ``sys.stdout`` may not even have the method."""
    try:
        return bool(stream.isatty())
    except Exception:  # noqa: BLE001 -- closed, missing or foreign
        return False


def is_regular(descriptor: int) -> bool:
    """Return whether *descriptor* is a regular file."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def most_bytes(descriptor: int) -> int:
    """
    Return the limit of one write to *descriptor* in bytes: 64 KiB for a regular file, PIPE_BUF for everything else.

    The system may split a longer write to a pipe, and lines of other processes would land in between.
    """
    return MOST_BYTES if is_regular(descriptor) else select.PIPE_BUF


def wait_for(descriptor: int, seconds: float) -> bool:
    """Wait until *descriptor* can be written to; return False after *seconds*."""
    poll = original("select", "poll")()  # gevent's would need an event loop in each thread
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
