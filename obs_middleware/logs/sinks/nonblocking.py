"""
`NonBlockingHandler`: a handler whose own thread writes the lines.

Write. `obs_middleware.logs.handlers` is the path to import it from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final, Literal

from obs_middleware.logs.sinks import queued
from obs_middleware.logs.sinks.file import FileSink
from obs_middleware.logs.sinks.queued import Line, QueuedHandler, check_options
from obs_middleware.logs.sinks.stream import FULL_SECONDS, Sink, StreamSink

__all__ = ["NonBlockingHandler"]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class NonBlockingHandler(QueuedHandler):
    """
    Write lines from a separate thread, so that no request waits for a slow or blocked output.

    The caller formats the record, because only there the request's context is known, and puts the line in a queue. One
    thread per process, started with the first line, writes the queue. It writes whole lines: many at once to a file, at
    most PIPE_BUF bytes (4096 on Linux) to anything else, unless a single line is longer. Writes of that size from
    several processes cannot mix in a pipe. After a fork, the child starts with an empty queue; its parent writes the
    queued lines.

    If the queue is full, the newest line is dropped. A warning of the logger ``obs_middleware`` with the field
    ``dropped`` reports the number, at most every 30 seconds and when the handler is closed. `obs_middleware.stats`
    counts them too.

    An error of the output is never raised into the caller. It is reported once on the logger ``obs_middleware``, and on
    stderr at once and then at most every 30 seconds. While a disk is full or a file cannot be opened, the thread tries
    again, after 0.1 seconds at first and every 5 seconds at last. While a pipe has no reader or a stream is closed,
    lines are dropped.

    `flush` waits up to 5 seconds until the queue is written, and so does `close` at exit. After that, a caller writes
    its line itself. `kill -9` loses the queue and the end of the line that is being written.

    Args:
        stream: ``stdout``, ``stderr``, ``auto`` as in the formatters, or a text or binary stream.
        file: Path of a file to append to instead, in UTF-8. It is opened again after it was renamed or removed, and it
            may be truncated. A half line at its end is completed with a line feed first.
        capacity: The limit of queued lines.
        overflow: ``drop`` the newest line when the queue is full, or ``block`` the caller until there is room.
        flush_on_sigterm: On SIGTERM, write the queue for up to 5 seconds, and then do what would have happened without
            this option. You need it if nothing runs at exit after the signal: in a process that does not handle
            SIGTERM, and under uvicorn, which raises the signal again at its end. Like any handler of Python, it runs
            only when the main thread runs Python code. Create the handler in the main thread; in other threads, and if
            the signal is ignored, the option does nothing.

    Raises:
        ValueError: *overflow* is unknown, or *capacity* is below 1.
        OSError: *file* cannot be opened.
    """

    def __init__(
        self,
        *,
        stream: Any = "stdout",
        file: str | os.PathLike[str] | None = None,
        capacity: int = 10_000,
        overflow: Literal["drop", "block"] = "drop",
        flush_on_sigterm: bool = False,
    ) -> None:
        check_options(capacity, overflow)
        self._sink: Sink = StreamSink(stream) if file is None else FileSink(file)
        super().__init__(self._sink.name, capacity=capacity, overflow=overflow, flush_on_sigterm=flush_on_sigterm)

    def _batch_bytes(self) -> int:
        try:
            return self._sink.batch_bytes()
        except Exception:  # noqa: BLE001 -- a closed or foreign stream; the write reports it
            return 0

    def _deliver(self, lines: Sequence[Line]) -> int:
        """Write *lines*, trying again if that may help, and return the number of lines written."""
        data = memoryview(b"".join([line for line, _ in lines]))
        done = 0
        pause = _FIRST_PAUSE
        while done < len(data):
            try:
                if self._sink.renew():
                    # The first part of a line is in the old file: write the whole line to the new one.
                    done = sum(map(len, _whole(lines, done)))
                if self._sink.trouble is not None:
                    self._losses.warn(self._sink.trouble)
                if not self._is_writer() and not self._sink.wait(queued.DRAIN_SECONDS):
                    break  # in the caller: never start a write that may block
                done += self._sink.write(data[done:])
                pause = _FIRST_PAUSE
            except BlockingIOError:
                if not self._sink.wait(FULL_SECONDS) and self._is_past(self._deadline):
                    break
            except Exception as error:  # noqa: BLE001 -- a foreign stream may raise anything
                self._losses.tell(error)
                if not self._sink.recover(error) or self._is_past(self._deadline):
                    break
                with self._lock:
                    self._work.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        return len(_whole(lines, done))

    def _close_output(self) -> None:
        self._sink.close()


def _whole(lines: Sequence[Line], size: int) -> list[bytes]:
    """Return the *lines* that end within the first *size* bytes."""
    whole = []
    for line, _ in lines:
        size -= len(line)
        if size < 0:
            break
        whole.append(line)
    return whole
