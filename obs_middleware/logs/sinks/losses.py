"""
`Losses`: the lines that a handler could not write, counted and reported.

Write. No line is lost silently, and no failure that lasts fills stderr or the log.
"""

from __future__ import annotations

import logging
import sys
from time import monotonic
from typing import Any, Final

from obs_middleware.counters import register_sink
from obs_middleware.failures import report_once
from obs_middleware.logs.sinks.fork import call_after_fork
from obs_middleware.measure.event import current_event

__all__ = ["REPORT_SECONDS", "Losses", "is_unit_line"]

REPORT_SECONDS: Final = 30.0
"""The least time between two reports of one handler about the same thing."""


class Losses:
    """
    What became of the lines of one handler. The handler holds its lock when it counts.

    Attributes:
        figures: Its counts, which `obs_middleware.stats` includes as long as the handler exists, and adds up later.
        unreported: The lines dropped since the last line that reports them.

    Args:
        handler: The handler. It is not kept alive.
        output: The name of its output in messages.
    """

    def __init__(self, handler: logging.Handler, output: str) -> None:
        self._output = output
        self.figures = register_sink(handler)
        self._reset()
        call_after_fork(self._reset)

    def _reset(self) -> None:
        self.figures.clear()
        self.unreported = 0
        self._report_from = 0.0
        self._warn_from: dict[type[BaseException], float] = {}

    def count(self, *, is_unit: bool) -> None:
        """Count one line as dropped."""
        self.figures.dropped += 1
        self.figures.dropped_units += is_unit
        self.unreported += 1

    def seconds_left(self) -> float | None:
        """Return the seconds until the next report is due, at least 0; None if there is nothing to report."""
        return max(0.0, self._report_from - monotonic()) if self.unreported else None

    def take(self) -> int:
        """Return the number of unreported lines, which the caller reports now."""
        dropped, self.unreported = self.unreported, 0
        self._report_from = monotonic() + REPORT_SECONDS
        return dropped

    def tell(self, error: BaseException) -> None:
        """
        Report *error*, which keeps lines from being written; the first time to the logger ``obs_middleware`` too.

        Call it without the lock of the handler: the other handlers of that logger have locks of their own.
        """
        report_once(f"writing the log to {self._output}", error)
        self.warn(error)

    def warn(self, error: BaseException) -> None:
        """Report *error* on stderr, because the log itself may have failed: at once, and then every 30 seconds."""
        now = monotonic()
        if now < self._warn_from.get(type(error), 0.0):
            return
        self._warn_from[type(error)] = now + REPORT_SECONDS
        try:
            sys.stderr.write(
                f"obs_middleware: cannot write the log to {self._output}: {error!r};"
                f" lines dropped so far: {self.figures.dropped}\n"
            )
            sys.stderr.flush()
        except Exception:  # noqa: BLE001, S110 -- stderr has failed too, and there is no other place to report to
            pass

    @staticmethod
    def record(dropped: int) -> logging.LogRecord:
        """Return the record that reports so many *dropped* lines."""
        arguments: tuple[Any, ...] = (dropped,)
        record = logging.LogRecord(
            "obs_middleware", logging.WARNING, __file__, 0, "Dropped %d log lines", arguments, None, "report"
        )
        record.dropped = dropped
        return record


def is_unit_line(record: logging.LogRecord) -> bool:
    """Return whether *record* is the line of the unit of work that is being done."""
    event = current_event.get()
    return event is not None and event.is_line(record.msg)
