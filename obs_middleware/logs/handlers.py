"""
Handlers: write the lines to a file or stream. This is the path to import them from.

Write.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.log import AdminEmailHandler

from obs_middleware.logs.sinks.file import WatchedFileSink
from obs_middleware.logs.sinks.nonblocking import NonBlockingHandler
from obs_middleware.logs.sinks.stream import FULL_SECONDS
from obs_middleware.logs.sinks.unlocked import UnlockedHandler

__all__ = ["LineFileHandler", "NonBlockingHandler", "mail_admins"]


class LineFileHandler(UnlockedHandler):
    """
    Append each line to a file with one write, and open the file again after log rotation.

    It does the same as `logging.handlers.WatchedFileHandler` at a lower cost: the lock is held while a line is written,
    not while it is formatted, and nothing is buffered. On Linux, the kernel reports a renaming or removal, so the very
    next line is in the new file; a shipper may never look again at the end of a renamed one. Changes that the kernel
    does not report, for example a link that leads elsewhere, are found within a second. On other systems, the name is
    looked up before each line.

    The file may also be truncated, or be a named FIFO. If a killed process has left half a line at its end, the handler
    first completes it with a line feed. A line that cannot be written is passed to `handleError`, as in every handler.

    Args:
        filename: Path of the file; a relative path is resolved when the handler is made.

    Raises:
        OSError: The file cannot be opened.
    """

    lock: Any  # not None, unlike in the type of the base class

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        self._sink = WatchedFileSink(filename)
        super().__init__()

    def emit(self, record: logging.LogRecord) -> None:
        """Format *record* and append the line."""
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
                        written = os.write(sink.file, line)  # type: ignore[arg-type]  # it is open now
                    except BlockingIOError:  # a FIFO whose reader is slow
                        written = 0
                    if written < len(line):
                        self._write_rest(line[written:])
                except OSError as error:
                    sink.recover(error)
                    raise
        except RecursionError:  # as in every handler: bpo-36272
            raise
        except Exception:  # noqa: BLE001 -- as in every handler
            self.handleError(record)

    def _write_rest(self, line: bytes) -> None:
        """Write the rest of a line, however long that takes. The caller holds the lock."""
        while line:
            try:
                line = line[self._sink.write(line) :]
            except BlockingIOError:
                self._sink.wait(FULL_SECONDS)

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self.lock:
            self._sink.close()
        super().close()


def mail_admins() -> logging.Handler:
    """
    Return Django's ``AdminEmailHandler``, or a handler that does nothing in a process without Django settings.

    With it, you can try the dict of `logging_config` with `logging.config.dictConfig` anywhere.
    """
    try:
        return AdminEmailHandler()
    except ImproperlyConfigured:
        return logging.NullHandler()
