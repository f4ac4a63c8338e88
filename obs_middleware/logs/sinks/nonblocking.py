"""
`NonBlockingHandler`: a handler whose own thread writes the lines.

Write. `obs_middleware.logs.handlers` is the path to import it from.
"""

from __future__ import annotations

import contextvars
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Literal

from obs_middleware.counters import register_sink
from obs_middleware.failures import report_once
from obs_middleware.logs.sinks.file import FileSink
from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.logs.sinks.sigterm import call_on_sigterm
from obs_middleware.logs.sinks.stream import FULL_SECONDS, Sink, StreamSink
from obs_middleware.logs.sinks.unlocked import UnlockedHandler
from obs_middleware.measure.event import current_event

__all__ = ["NonBlockingHandler"]

DRAIN_SECONDS: Final = 5.0
"""How long an exit waits for a sink that does not take its lines."""

REPORT_SECONDS: Final = 30.0
"""How long it takes at least from one line that reports dropped ones to the next."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_Line = tuple[bytes, bool]
"""What is written, with its line feed; and whether it is a request line."""


class NonBlockingHandler(UnlockedHandler):
    """
    Write lines from a thread of its own, so that a sink that takes none for a while makes no request wait.

    A record is formatted where it was logged, because the request's context is known only there, and put in a queue.
    One thread for each process, started with its first line, writes what is in the queue: whole lines, many at once to
    a file, at most PIPE_BUF bytes (4096 on Linux) to anything else, unless one line is longer. Up to that size lines of
    several processes cannot mix in one pipe. After a fork the child has an empty queue, and its parent writes what was
    in it.

    A caller pays for the formatting and for a place in the queue, a fraction of that. When the queue is full the newest
    line is dropped. How many were dropped is in a line of its own, a warning of the logger ``obs_middleware`` with a
    field ``dropped``, at most every 30 seconds and when the handler is closed; and in `obs_middleware.stats`.

    Nothing that the sink does is raised into the caller. The first failure of each kind is reported, on the logger
    ``obs_middleware`` and on stderr. While a disk is full, or a file cannot be opened, the thread tries again, at first
    after 0.1 and at last every 5 seconds, and the queue fills up. When the reader of a pipe has gone or a stream was
    closed, lines are dropped until one can be written again.

    At exit, `close` waits up to 5 seconds for the queue to be written. So does `flush`. What is logged after that is
    written by the caller itself. `kill -9` loses what is in the queue, and the end of the line being written.

    Args:
        stream: ``stdout``, ``stderr``, or a text or binary stream.
        file: Path of a file to append to instead, as UTF-8. It is found again when it was renamed or removed, and may
            be truncated. A half line at its end is ended first.
        capacity: The most lines that wait.
        overflow: ``drop`` the newest line when the queue is full, or ``block`` the caller until there is room.
        flush_on_sigterm: Handle SIGTERM: write what is in the queue, up to 5 seconds, and then do what would have been
            done without. Where nothing runs at exit after that signal, lines are lost otherwise: in a process that does
            not handle it, and under uvicorn, which in the end kills itself by it. The price is that of every handler:
            the signal has to wait until Python code runs in the main thread, as Ctrl-C has. It must be made in the main
            thread for that; elsewhere, and where the signal is ignored, nothing is changed.

    Raises:
        ValueError: There is no such *overflow*, or *capacity* is below 1.
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
            raise ValueError(f"capacity is {capacity!r}; expected a number of lines from 1 on.")
        self._sink: Sink = StreamSink(stream) if file is None else FileSink(file)
        super().__init__()
        self._capacity = capacity
        self._blocks = overflow == "block"
        self._figures = register_sink()
        self.after_fork()
        call_after_fork(self)
        if flush_on_sigterm:
            call_on_sigterm(self._hurry)

    def after_fork(self) -> None:
        """Start with an empty queue and new locks: a thread of the parent may hold the old ones for ever."""
        # Reentrant, for a signal handler or __del__ may log while its own thread is in here.
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._lines: deque[_Line] = deque()
        self._thread: threading.Thread | None = None
        self._is_idle = False
        self._is_closed = False
        self._deadline: float | None = None
        self._hurry_until = 0.0
        self._finished = 0
        self._gave_up_at: int | None = None
        self._unreported = 0
        self._report_from = 0.0
        self._told: set[type[BaseException]] = set()
        self._figures.clear()

    # In the caller

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and queue the line; never raises."""
        event = current_event.get()
        is_request = event is not None and event.is_line(record.msg)
        try:
            line = (f"{self.format(record)}\n".encode("utf-8", "replace"), is_request)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- the formatter may be anybody's, and structlog.DropEvent is no Exception
            with self._lock:
                self._count_dropped((b"", is_request))
            report_once("NonBlockingHandler.format", error)
            return
        with self._lock:
            if self._figures.depth >= self._capacity and not self._wait_for_room():
                self._count_dropped(line)
                return
            self._lines.append(line)
            self._figures.depth += 1
            if self._is_idle:
                self._is_idle = False
                self._work.notify_all()
            elif self._thread is None and not self._is_closed:
                self._start()
            writes_itself = self._thread is None
        if writes_itself:
            self._write_in_caller()
        elif self._hurry_until:
            self._wait_until_written(self._hurry_until - monotonic())

    def _start(self) -> None:
        thread = threading.Thread(target=self._work_on, name="obs_middleware sink", daemon=True)
        self._thread = thread
        try:
            # In an empty context: a thread may inherit that of the request which happens to start it.
            contextvars.Context().run(thread.start)
        except RuntimeError:  # no thread may be started any more: the interpreter is about to end
            self._thread = None

    def _wait_for_room(self) -> bool:
        """Return whether there is room, having waited for it if that was chosen; the lock is held by the caller."""
        # The thread itself logs when it reports a failure, and would wait for itself.
        if not self._blocks or self._is_writer():
            return False
        while self._figures.depth >= self._capacity and self._thread is not None:
            self._progress.wait(FULL_SECONDS)
        return True

    def _is_writer(self) -> bool:
        return threading.current_thread() is self._thread

    def _count_dropped(self, line: _Line) -> None:
        self._figures.dropped += 1
        self._figures.dropped_requests += line[1]
        self._unreported += 1

    def flush(self) -> None:
        """Wait until all lines so far are written, up to 5 seconds."""
        if not self._wait_until_written(DRAIN_SECONDS):
            self._gave_up_at = self._finished

    def _hurry(self) -> None:
        """Flush; for a while, callers wait for their lines: a server that ends its last requests still logs."""
        self._hurry_until = monotonic() + DRAIN_SECONDS
        self.flush()

    def _wait_until_written(self, seconds: float) -> bool:
        until = monotonic() + seconds
        with self._lock:
            last = self._finished + self._figures.depth  # what comes later is not waited for
            while self._finished < last and self._thread is not None and not self._is_writer():
                left = until - monotonic()
                if left <= 0:
                    return False
                self._progress.wait(left)
        return True

    def close(self) -> None:
        """
        Write what is in the queue, with a last report of dropped lines; give up after 5 seconds.

        What the sink has not taken by then is written if it takes it later and the process still lives.
        """
        with self._lock:
            thread = self._thread
            self._is_closed = True
            # At exit the logging module flushes first: a sink that took nothing then is not waited for again.
            seconds = 0.0 if self._gave_up_at == self._finished else DRAIN_SECONDS
            self._deadline = monotonic() + seconds
            self._work.notify_all()
        if thread is not None:
            thread.join(seconds)
        elif self._unreported:
            self._write_in_caller()
        super().close()

    def _write_in_caller(self) -> None:
        """Do the thread's work here, as far as there is any: its start has failed, or it has ended."""
        self.acquire()
        try:
            self._deadline = monotonic() + DRAIN_SECONDS
            self._work_on()
        finally:
            self.release()

    # In the thread

    def _work_on(self) -> None:
        """Write until the handler is closed and the queue is empty."""
        while True:
            try:
                if not self._write_once():
                    return
            except BaseException as error:  # noqa: BLE001 -- without this thread nothing would be written any more
                report_once("NonBlockingHandler", error)

    def _write_once(self) -> bool:
        """Wait for lines and write as many as go at once; return False when there is nothing more to do."""
        batch_bytes = self._batch_bytes()
        with self._lock:
            while not (self._lines or self._is_ending() or self._must_report()):
                self._is_idle = True
                self._work.wait(max(0.0, self._report_from - monotonic()) if self._unreported else None)
                self._is_idle = False
            lines = self._take(batch_bytes)
            dropped = 0
            if self._must_report():
                dropped, self._unreported = self._unreported, 0
                self._report_from = monotonic() + REPORT_SECONDS
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
        except (OSError, ValueError):  # closed; the write will tell
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
        is_last = self._is_closed and not self._lines
        return self._unreported > 0 and (is_last or monotonic() >= self._report_from)

    def _end(self) -> None:
        """Take leave; the lock is held, so whoever logs next knows that there is no thread."""
        if self._thread is None or self._is_writer():
            self._thread = None
            self._sink.close()
            self._progress.notify_all()

    def _account(self, lines: Sequence[_Line], written: int) -> None:
        self._figures.depth -= len(lines)
        self._figures.written += written
        self._finished += len(lines)
        for line in lines[written:]:
            self._count_dropped(line)
        self._progress.notify_all()

    def _report(self, dropped: int) -> None:
        record = logging.LogRecord(
            "obs_middleware", logging.WARNING, __file__, 0, "Dropped %d log lines", (dropped,), None, "report"
        )
        record.dropped = dropped
        delivered = 0
        try:
            # It stands beside the figures: what is counted are the lines that others gave.
            delivered = record.levelno < self.level or self._deliver([(f"{self.format(record)}\n".encode(), False)])
        finally:
            if not delivered and not self._is_closed:
                with self._lock:
                    self._unreported += dropped

    def _deliver(self, lines: Sequence[_Line]) -> int:
        """Write *lines*, with patience where it may help, and return how many were written."""
        data = memoryview(b"".join([line for line, _ in lines]))
        done = 0
        pause = _FIRST_PAUSE
        while done < len(data):
            try:
                if self._sink.renew():
                    # A line that was begun in the file before is written whole in the new one.
                    done = sum(map(len, _whole(lines, done)))
                if not self._is_writer() and not self._sink.wait(DRAIN_SECONDS):
                    break  # nobody else waits in the caller, so a write that may block must not
                done += self._sink.write(data[done:])
                pause = _FIRST_PAUSE
            except BlockingIOError:
                if not self._sink.wait(FULL_SECONDS) and self._is_past(self._deadline):
                    break
            except Exception as error:  # noqa: BLE001 -- a stream may be anybody's
                self._tell(error)
                if not self._sink.recover(error) or self._is_past(self._deadline):
                    break
                with self._lock:
                    self._work.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        return len(_whole(lines, done))

    @staticmethod
    def _is_past(deadline: float | None) -> bool:
        return deadline is not None and monotonic() >= deadline

    def _tell(self, error: BaseException) -> None:
        """Report *error*, the first time; not only to the log, which may be what has failed."""
        if type(error) in self._told:
            return
        self._told.add(type(error))
        report_once(f"writing the log to {self._sink.name}", error)
        try:
            sys.stderr.write(f"obs_middleware: cannot write the log to {self._sink.name}: {error!r}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001, S110 -- stderr may be what has failed; there is nowhere left to say it
            pass


def _whole(lines: Sequence[_Line], size: int) -> list[bytes]:
    """Return those of *lines* that end within the first *size* bytes."""
    whole = []
    for line, _ in lines:
        size -= len(line)
        if size < 0:
            break
        whole.append(line)
    return whole
