"""
`CountingHandler`: the common base of the handlers that write each line in its call.

Write. It counts the lines, and reports those that the output does not take.
"""

from __future__ import annotations

import logging
from typing import Any

from obs_middleware.logs.sinks.losses import Losses, is_unit_line
from obs_middleware.logs.sinks.unlocked import UnlockedHandler

__all__ = ["CountingHandler"]


class CountingHandler(UnlockedHandler):
    """A handler that counts what its output takes and what it does not take. The subclass has `emit` and `_write`."""

    lock: Any  # not None, unlike in the type of the base class

    def _count_for(self, output: str) -> None:
        """Begin to count; *output* is the name of the output in messages."""
        self._losses = Losses(self, output)
        self._figures = self._losses.figures

    def _write(self, line: str) -> None:
        """Write *line*, which is not counted. The caller holds the lock."""
        raise NotImplementedError

    def _lose(self, record: logging.LogRecord) -> None:
        """Count the line of *record* as dropped."""
        with self.lock:
            self._losses.count(is_unit=is_unit_line(record))

    def _report(self, *, at_end: bool = False) -> None:
        """Write a line that says how many were dropped, if it is time for one."""
        with self.lock:
            left = self._losses.seconds_left()
            if left is None or (left and not at_end):
                return
            dropped = self._losses.take()
        record = self._losses.record(dropped)
        if record.levelno < self.level:
            return
        try:
            line = f"{self.format(record)}\n"
            with self.lock:
                self._write(line)
        except Exception:  # noqa: BLE001 -- it is reported when it keeps the next line from being written
            with self.lock:
                self._losses.unreported += dropped

    def close(self) -> None:
        """Write a last report of dropped lines."""
        self._report(at_end=True)
        super().close()
