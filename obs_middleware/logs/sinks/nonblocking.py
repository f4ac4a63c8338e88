"""
`NonBlockingHandler`: a handler whose own thread writes the lines.

Write. `obs_middleware.logs.handlers` is the path to import it from.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Literal

from obs_middleware import threads
from obs_middleware.failures import report_once
from obs_middleware.logs.sinks.children import call_at_end_of_child, prepare_end
from obs_middleware.logs.sinks.file import FileSink
from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.logs.sinks.losses import Losses, is_request_line
from obs_middleware.logs.sinks.sigterm import call_on_sigterm
from obs_middleware.logs.sinks.stream import FULL_SECONDS, Sink, StreamSink
from obs_middleware.logs.sinks.unlocked import UnlockedHandler
from obs_middleware.processes import may_start_threads

__all__ = ["NonBlockingHandler"]

DRAIN_SECONDS: Final = 5.0
"""How long an exit waits for a sink that accepts no data."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_Line = tuple[bytes, bool]
"""The bytes of a line with its line feed, and whether it is a request line."""


class NonBlockingHandler(UnlockedHandler):
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
        stream: ``stdout``, ``stderr``, or a text or binary stream.
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
        if overflow not in {"drop", "block"}:
            raise ValueError(f"overflow is {overflow!r}; expected 'drop' or 'block'.")
        if capacity < 1:
            raise ValueError(f"capacity is {capacity!r}; expected a number of lines, at least 1.")
        self._sink: Sink = StreamSink(stream) if file is None else FileSink(file)
        super().__init__()
        self._capacity = capacity
        self._blocks = overflow == "block"
        self._losses = Losses(self, self._sink.name)
        self._figures = self._losses.figures
        self._reset()
        call_after_fork(self._reset)
        call_at_end_of_child(self._hurry)
        if flush_on_sigterm:
            call_on_sigterm(self._hurry)

    def _reset(self) -> None:
        """Start with an empty queue and new locks: a thread of the parent may hold the old ones for ever."""
        # Reentrant: a signal handler or __del__ may log while its own thread holds the lock.
        self._lock = threads.RLock()
        self._work = threads.Condition(self._lock)
        self._progress = threads.Condition(self._lock)
        self._lines: deque[_Line] = deque()
        self._has_thread = False
        self._writer: int | None = None
        self._is_idle = False
        self._is_closed = False
        self._deadline: float | None = None
        self._hurry_until = 0.0
        self._finished = 0
        self._gave_up_at: int | None = None

    # In the caller

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and queue the line. Only an interrupt of the process is raised."""
        is_request = is_request_line(record)
        try:
            line = (f"{self.format(record)}\n".encode("utf-8", "replace"), is_request)
        except BaseException as error:  # noqa: BLE001 -- a foreign formatter may raise anything, and structlog.DropEvent is a BaseException
            report_once("NonBlockingHandler.format", error)
            with self._lock:
                self._losses.count(is_request=is_request)
            return
        with self._lock:
            if self._figures.depth >= self._capacity and not self._wait_for_room():
                self._losses.count(is_request=is_request)
                return
            self._lines.append(line)
            self._figures.depth += 1
            if self._is_idle:
                self._is_idle = False
                self._work.notify_all()
            elif not self._has_thread and not self._is_closed:
                self._start()
            writes_itself = not self._has_thread
        if writes_itself:
            self._write_in_caller()
        elif self._hurry_until:
            self._wait_until_written(self._hurry_until - monotonic())

    def _start(self) -> None:
        if not may_start_threads():
            return
        prepare_end()
        self._has_thread = True
        try:
            threads.start(self._run, "obs_middleware sink")
        except RuntimeError:
            self._has_thread = False

    def _wait_for_room(self) -> bool:
        """Return whether the queue has room; wait for it with ``overflow="block"``. The caller holds the lock."""
        # The thread logs too, when it reports a failure, and must not wait for itself.
        if not self._blocks or self._is_writer():
            return False
        while self._figures.depth >= self._capacity and self._has_thread:
            self._progress.wait(FULL_SECONDS)
        return True

    def _is_writer(self) -> bool:
        return self._writer == threads.ident()

    def flush(self) -> None:
        """Wait up to 5 seconds until all lines so far are written."""
        if not self._wait_until_written(DRAIN_SECONDS):
            self._gave_up_at = self._finished

    def _hurry(self) -> None:
        """Flush; for a while, callers wait for their lines: a server that ends its last requests still logs."""
        self._hurry_until = monotonic() + DRAIN_SECONDS
        self.flush()

    def _wait_until_written(self, seconds: float) -> bool:
        until = monotonic() + seconds
        with self._lock:
            last = self._finished + self._figures.depth  # later lines are not waited for
            while self._finished < last and self._has_thread and not self._is_writer():
                left = until - monotonic()
                if left <= 0:
                    return False
                self._progress.wait(left)
        return True

    def close(self) -> None:
        """
        Write the queue and a last report of dropped lines; give up after 5 seconds.

        The thread still writes the rest later if the output accepts it and the process is alive.
        """
        with self._lock:
            self._is_closed = True
            # At exit the logging module calls flush() first. If that gave up, do not wait again.
            seconds = 0.0 if self._gave_up_at == self._finished else DRAIN_SECONDS
            self._deadline = monotonic() + seconds
            self._work.notify_all()
            had_thread = self._has_thread
            while self._has_thread and not self._is_writer() and not self._is_past(self._deadline):
                self._progress.wait(self._deadline - monotonic())
        if not had_thread and self._losses.unreported:
            self._write_in_caller()
        super().close()

    def _write_in_caller(self) -> None:
        """Do the work of the thread in the caller, because the thread could not be started or has ended."""
        self.acquire()
        try:
            self._deadline = monotonic() + DRAIN_SECONDS
            self._work_on()
        finally:
            self.release()

    # In the thread

    def _run(self) -> None:
        self._writer = threads.ident()
        self._work_on()

    def _work_on(self) -> None:
        """Write until the handler is closed and the queue is empty."""
        while True:
            try:
                if not self._write_once():
                    return
            except BaseException as error:  # noqa: BLE001 -- without this thread, no line would be written any more
                if self._is_writer() and isinstance(error, (KeyboardInterrupt, SystemExit)):
                    continue  # raised by a foreign stream: no reason for report_once() to end this thread
                report_once("NonBlockingHandler", error)

    def _write_once(self) -> bool:
        """Wait for lines and write one batch; return False when the handler is closed and the queue is empty."""
        batch_bytes = self._batch_bytes()
        with self._lock:
            while not (self._lines or self._is_ending() or self._must_report()):
                self._is_idle = True
                self._work.wait(self._losses.seconds_left())
                self._is_idle = False
            lines = self._take(batch_bytes)
            dropped = self._losses.take() if self._must_report() else 0
            if not lines and not dropped:
                self._end()
                return False
        if dropped:
            self._report(dropped)
        if lines:
            written = 0
            try:
                written = self._deliver(lines)
            finally:
                with self._lock:
                    self._account(lines, written)
        return True

    def _batch_bytes(self) -> int:
        try:
            return self._sink.batch_bytes()
        except Exception:  # noqa: BLE001 -- a closed or foreign stream; the write reports it
            return 0

    def _take(self, most_bytes: int) -> list[_Line]:
        lines: list[_Line] = []
        while self._lines:
            most_bytes -= len(self._lines[0][0])
            if lines and most_bytes < 0:
                break
            lines.append(self._lines.popleft())
        return lines

    def _is_ending(self) -> bool:
        return self._is_closed or not self._is_writer()

    def _must_report(self) -> bool:
        left = self._losses.seconds_left()
        return left is not None and (not left or (self._is_closed and not self._lines))

    def _end(self) -> None:
        """End the thread. The caller holds the lock, so the next emit() sees that there is no thread."""
        if not self._has_thread or self._is_writer():
            self._has_thread = False
            self._writer = None
            self._sink.close()
            self._progress.notify_all()

    def _account(self, lines: Sequence[_Line], written: int) -> None:
        self._figures.depth -= len(lines)
        self._figures.written += written
        self._finished += len(lines)
        for _, is_request in lines[written:]:
            self._losses.count(is_request=is_request)
        self._progress.notify_all()

    def _report(self, dropped: int) -> None:
        record = self._losses.record(dropped)
        delivered = 0
        try:
            # Not counted: the counts are of the lines that were given to the handler.
            delivered = record.levelno < self.level or self._deliver([(f"{self.format(record)}\n".encode(), False)])
        finally:
            if not delivered and not self._is_closed:
                with self._lock:
                    self._losses.unreported += dropped

    def _deliver(self, lines: Sequence[_Line]) -> int:
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
                if not self._is_writer() and not self._sink.wait(DRAIN_SECONDS):
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

    @staticmethod
    def _is_past(deadline: float | None) -> bool:
        return deadline is not None and monotonic() >= deadline


def _whole(lines: Sequence[_Line], size: int) -> list[bytes]:
    """Return the *lines* that end within the first *size* bytes."""
    whole = []
    for line, _ in lines:
        size -= len(line)
        if size < 0:
            break
        whole.append(line)
    return whole
