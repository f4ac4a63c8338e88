"""
Handlers: write the lines to a file or stream. This is the path to import them from.

Write.
"""

from __future__ import annotations

import logging
import os
from time import time

from django.core.exceptions import ImproperlyConfigured
from django.utils.log import AdminEmailHandler

from obs_middleware.logs.sinks.counting import CountingHandler
from obs_middleware.logs.sinks.file import WatchedFileSink
from obs_middleware.logs.sinks.line_stream import LineStreamHandler
from obs_middleware.logs.sinks.losses import is_unit_line
from obs_middleware.logs.sinks.nonblocking import NonBlockingHandler
from obs_middleware.logs.sinks.stream import FULL_SECONDS

__all__ = ["LineFileHandler", "LineStreamHandler", "NonBlockingHandler", "mail_admins"]


class LineFileHandler(CountingHandler):
    """
    Append each line to a file with one write, and open the file again after log rotation.

    It does the same as `logging.handlers.WatchedFileHandler` at a lower cost: the lock is held while a line is written,
    not while it is formatted, and nothing is buffered. On Linux, the kernel reports a renaming or removal, so the very
    next line is in the new file; a shipper may never look again at the end of a renamed one. Changes that the kernel
    does not report, for example a link that leads elsewhere, are found within a second. On other systems, the name is
    looked up every hundredth of a second while lines are written.

    The file may also be truncated, or be a named FIFO. If a killed process has left half a line at its end, the handler
    first completes it with a line feed.

    A line that cannot be written is dropped, and `obs_middleware.stats` counts it. The failure is reported once on the
    logger ``obs_middleware``, and on stderr at once and then at most every 30 seconds. A warning with the field
    ``dropped`` follows when lines can be written again. While a new file cannot be opened after log rotation, lines go
    on to the old one. A line that cannot be formatted counts as dropped too, and is passed to `handleError`, as in
    every handler.

    Args:
        filename: Path of the file; a relative path is resolved when the handler is made.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        self._sink = WatchedFileSink(filename)
        super().__init__()
        self._count_for(self._sink.name)

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and append the line."""
        error: OSError | None = None
        try:
            formatter = self.formatter
            text = self.format(record) if formatter is None else formatter.format(record)
            line = f"{text}\n".encode("utf-8", "replace")
            sink = self._sink
            with self.lock:
                try:
                    if not sink.is_current(record.created):
                        sink.follow(record.created)
                    try:
                        # It is open now.
                        written = os.write(sink.file, line) if sink.pipe_lock is None else 0  # type: ignore[arg-type]
                    except BlockingIOError:  # a FIFO whose reader is slow
                        written = 0
                    if written < len(line):
                        self._write_rest(line[written:])
                    self._figures.written += 1
                except OSError as failure:
                    sink.recover(failure)
                    self._losses.count(is_unit=is_unit_line(record))
                    error = failure
            if error is not None:
                self._losses.tell(error)
                error = None  # its traceback refers to this frame
            elif sink.trouble is not None:
                self._losses.warn(sink.trouble)
            elif self._losses.unreported:
                self._report()
        except RecursionError:  # as in every handler: bpo-36272
            raise
        except Exception:  # noqa: BLE001 -- as in every handler
            self._lose(record)
            self.handleError(record)

    def _write_rest(self, line: bytes) -> None:
        """Write the rest of a line, however long that takes. The caller holds the lock."""
        while line:
            try:
                line = line[self._sink.write(line) :]
            except BlockingIOError:
                self._sink.wait(FULL_SECONDS)

    def _write(self, line: str) -> None:
        try:
            self._sink.follow(time())
            self._write_rest(line.encode("utf-8", "replace"))
        except OSError as error:
            self._sink.recover(error)
            raise

    def close(self) -> None:
        """Close the file, after a last report of dropped lines; a later line opens it again."""
        super().close()
        with self.lock:
            self._sink.close()


def mail_admins() -> logging.Handler:
    """
    Return Django's ``AdminEmailHandler``, or a handler that does nothing in a process without Django settings.

    With it, you can try the dict of `logging_config` with `logging.config.dictConfig` anywhere.
    """
    try:
        return AdminEmailHandler()
    except ImproperlyConfigured:
        return logging.NullHandler()
