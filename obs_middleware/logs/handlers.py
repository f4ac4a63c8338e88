"""
Handlers: where the lines go.

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
    Append each line to a file, with one write, to the file that its name leads to.

    What `logging.handlers.WatchedFileHandler` does, for less: the lock is held while the line is written and not while
    it is formatted, and nothing is buffered. Linux tells of a renaming or a removal, so the very next line is in the
    new file: a shipper may never look again at the end of one that was renamed. What Linux does not tell, such as a
    link that leads elsewhere, is found within a second; other systems are asked before each line.

    The file may also be truncated, and be a FIFO with a name. A half line at its end, as a killed process leaves it, is
    ended before the first line. A line that cannot be written is dealt with as in every handler (`handleError`).

    Args:
        filename: Path of the file; a relative one stays what it meant when the handler was made.

    Raises:
        OSError: The file cannot be opened.
    """

    lock: Any  # of the base class, where its type says that there may be none

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
        """Write what the first write did not take, as long as that may take; the lock is held by the caller."""
        while line:
            try:
                line = line[self._sink.write(line) :]
            except BlockingIOError:
                self._sink.wait(FULL_SECONDS)

    def close(self) -> None:
        """Close the file; a line that comes later opens it again."""
        with self.lock:
            self._sink.close()
        super().close()


def mail_admins() -> logging.Handler:
    """
    Return Django's ``AdminEmailHandler``, or a handler that does nothing in a process without Django settings.

    So that the dict of `logging_config` can be tried with `logging.config.dictConfig` anywhere.
    """
    try:
        return AdminEmailHandler()
    except ImproperlyConfigured:
        return logging.NullHandler()
