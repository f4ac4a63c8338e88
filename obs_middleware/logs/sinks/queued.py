"""
`QueuedHandler`: the base of the handlers whose own thread delivers the lines.

Write. The caller formats a line and puts it into a queue. `obs_middleware.logs.sinks.nonblocking` writes the queue to a
file or stream, `obs_middleware.logs.otlp` sends it to OpenTelemetry.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final, Literal

from obs_middleware import threads
from obs_middleware.failures import report_once
from obs_middleware.logs.sinks.children import call_at_end_of_child, prepare_end
from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.logs.sinks.losses import Losses, is_unit_line
from obs_middleware.logs.sinks.sigterm import call_on_sigterm
from obs_middleware.logs.sinks.stream import FULL_SECONDS
from obs_middleware.logs.sinks.unlocked import UnlockedHandler
from obs_middleware.processes import may_start_threads

__all__ = ["DRAIN_SECONDS", "Line", "QueuedHandler", "check_options"]

DRAIN_SECONDS: Final = 5.0
"""How long an exit waits for an output that accepts no data."""

Line = tuple[bytes, bool]
"""The bytes of a line with its line feed, and whether it is a request line."""


def check_options(capacity: int, overflow: str) -> None:
    """Raise ValueError for wrong options. Call it before you open the output."""
    if overflow not in {"drop", "block"}:
        raise ValueError(f"overflow is {overflow!r}; expected 'drop' or 'block'.")
    if capacity < 1:
        raise ValueError(f"capacity is {capacity!r}; expected a number of lines, at least 1.")


class QueuedHandler(UnlockedHandler):
    """
    A handler with a queue and one thread per process, started with the first line.

    After a fork, the child starts with an empty queue; its parent delivers the queued lines. A subclass has `_deliver`.
    Nothing is raised into a caller but an interrupt of the process.

    Args:
        output: The name of the output in messages.
        capacity: The limit of queued lines.
        overflow: ``drop`` the newest line when the queue is full, or ``block`` the caller until there is room.
        flush_on_sigterm: On SIGTERM, deliver the queue, and then do what would have happened without this option.
    """

    pause_seconds = 0.0
    """How long the thread waits for more lines after the first, to deliver them together."""

    def __init__(
        self, output: str, *, capacity: int, overflow: Literal["drop", "block"], flush_on_sigterm: bool
    ) -> None:
        super().__init__()
        self._capacity = capacity
        self._blocks = overflow == "block"
        self._losses = Losses(self, output)
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
        self._lines: deque[Line] = deque()
        self._has_thread = False
        self._writer: int | None = None
        self._is_idle = False
        self._is_closed = False
        self._deadline: float | None = None
        self._hurry_until = 0.0
        self._finished = 0
        self._gave_up_at: int | None = None
        self._waiting = 0

    # In the caller

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and queue the line. Only an interrupt of the process is raised."""
        is_unit = is_unit_line(record)
        try:
            line = (f"{self.format(record)}\n".encode("utf-8", "replace"), is_unit)
        except BaseException as error:  # noqa: BLE001 -- a foreign formatter may raise anything, and structlog.DropEvent is a BaseException
            report_once(f"{type(self).__name__}.format", error)
            with self._lock:
                self._losses.count(is_unit=is_unit)
            return
        with self._lock:
            if self._figures.depth >= self._capacity and not self._wait_for_room():
                self._losses.count(is_unit=is_unit)
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
            self._waiting += 1
            self._work.notify_all()  # the thread may be waiting for more lines
            try:
                while self._finished < last and self._has_thread and not self._is_writer():
                    left = until - monotonic()
                    if left <= 0:
                        return False
                    self._progress.wait(left)
            finally:
                self._waiting -= 1
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
                report_once(type(self).__name__, error)

    def _write_once(self) -> bool:
        """Wait for lines and write one batch; return False when the handler is closed and the queue is empty."""
        batch_bytes = self._batch_bytes()
        with self._lock:
            while not (self._lines or self._is_ending() or self._must_report()):
                self._is_idle = True
                self._work.wait(self._losses.seconds_left())
                self._is_idle = False
            if self._lines:
                self._wait_for_more()
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

    def _wait_for_more(self) -> None:
        """Wait `pause_seconds` for more lines, unless somebody waits for those that there are."""
        until = monotonic() + self.pause_seconds
        while not self._waiting and not self._is_ending() and (left := until - monotonic()) > 0:
            self._work.wait(left)

    def _take(self, most_bytes: int) -> list[Line]:
        lines: list[Line] = []
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
            self._close_output()
            self._progress.notify_all()

    def _account(self, lines: Sequence[Line], written: int) -> None:
        self._figures.depth -= len(lines)
        self._figures.written += written
        self._finished += len(lines)
        for _, is_unit in lines[written:]:
            self._losses.count(is_unit=is_unit)
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

    # What a subclass does

    def _deliver(self, lines: Sequence[Line]) -> int:
        """Deliver *lines*, and return how many, from the first on, the output has taken. It may raise any Exception."""
        raise NotImplementedError

    def _batch_bytes(self) -> int:
        """Return how many bytes `_deliver` takes at once; a longer line is delivered alone."""
        raise NotImplementedError

    def _close_output(self) -> None:
        """Close the output, at the end of the thread. It is opened again for a later line."""
        raise NotImplementedError

    @staticmethod
    def _is_past(deadline: float | None) -> bool:
        return deadline is not None and monotonic() >= deadline
