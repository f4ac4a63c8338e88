"""
`LineStreamHandler`: a handler that writes each line to a stream.

Write. `obs_middleware.logs.handlers` is the path to import it from.
"""

from __future__ import annotations

import logging
from typing import Any

from obs_middleware.logs.sinks.counting import CountingHandler
from obs_middleware.logs.sinks.pipes import pipe_lock
from obs_middleware.logs.sinks.stream import descriptor_of

__all__ = ["LineStreamHandler"]


class LineStreamHandler(CountingHandler, logging.StreamHandler[Any]):
    """
    Write each line to a stream, such as ``sys.stdout``, and flush it.

    It does the same as `logging.StreamHandler`, but holds no lock while a line is formatted, and
    `obs_middleware.stats` counts the lines. A line that cannot be written is dropped and reported like those of a
    `LineFileHandler`. When a disk was full, up to 8 KiB of lines that count as dropped may still be in the buffer of
    the stream, and be written later.

    Args:
        stream: A text stream; None for ``sys.stderr``.
    """

    def __init__(self, stream: Any = None) -> None:
        super().__init__(stream)
        self._pipe_lock = pipe_lock(descriptor_of(self.stream))
        self._count_for(str(getattr(self.stream, "name", type(self.stream).__name__)))

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and write the line."""
        error: Exception | None = None
        try:
            formatter = self.formatter
            line = f"{self.format(record) if formatter is None else formatter.format(record)}\n"
            with self.lock:
                try:
                    self._write(line)
                    self._figures.written += 1
                except RecursionError:
                    raise
                except Exception as failure:  # noqa: BLE001 -- the stream may be of a foreign class
                    error = failure
            if error is not None:
                self._lose(record)
                self._losses.tell(error)
                error = None  # its traceback refers to this frame
            elif self._losses.unreported:
                self._report()
        except RecursionError:  # as in every handler: bpo-36272
            raise
        except Exception:  # noqa: BLE001 -- as in every handler
            self._lose(record)
            self.handleError(record)

    def _write(self, line: str) -> None:
        stream, pipe_lock = self.stream, self._pipe_lock
        if pipe_lock is not None:
            pipe_lock.acquire()
        try:
            stream.write(line)
            flush = getattr(stream, "flush", None)
            if flush is not None:
                flush()
        finally:
            if pipe_lock is not None:
                pipe_lock.release()

    def close(self) -> None:
        """Write a last report of dropped lines."""
        super().close()
        if self._pipe_lock is not None:
            with self.lock:
                self._pipe_lock.close()
