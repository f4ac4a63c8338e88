"""
Notice that a record is logged while another one is being formatted.

Write, a leaf. To format a value, a formatter may have to call the application's code: a ``__repr__``, the text of an
exception, a processor. If that code logs, its record is formatted in the middle of the first one. With the same bound
values it would call the same code again, and so on without end. So an inner record gets no bound values and passes no
processor of the application. A record inside an inner one is dropped.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Final

from obs_middleware.counters import register_sink
from obs_middleware.measure.event import current_event

__all__ = ["THREAD", "Formatting", "is_too_deep"]


class _Thread(threading.local):
    """
    The state of one thread.

    Attributes:
        depth: How many records the thread is formatting, one inside the other.
    """

    depth: int = 0


THREAD: Final = _Thread()
"""The state of the current thread. Reading it costs no call."""


_formatting: ContextVar[Formatting | None] = ContextVar("obs_middleware.formatting", default=None)


class Formatting:
    """
    The time in which a record is formatted: ``with Formatting() as depth:``.

    *depth* is the number of records around this one that are being formatted in this thread or in this context. The
    context matters too, because the application's code may log from another thread and wait for it.

    Attributes:
        count: The number of records that are being formatted, with this one; 0 afterwards.
    """

    __slots__ = ("_before", "_token", "count")

    count: int

    def __enter__(self) -> int:
        outer = _formatting.get()
        self._before = depth = THREAD.depth
        if outer is not None and outer.count > depth:
            depth = outer.count
        self.count = THREAD.depth = depth + 1
        self._token = _formatting.set(self)
        return depth

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.count = 0  # a task that was started meanwhile has a copy of the context, in which this stays
        THREAD.depth = self._before
        _formatting.reset(self._token)


_figures = register_sink(THREAD)


def is_too_deep(record: logging.LogRecord) -> bool:
    """Return whether *record* was logged while an inner record is being formatted; then it is counted as dropped."""
    if THREAD.depth < 2:
        return False
    _figures.dropped += 1
    event = current_event.get()
    if event is not None and event.is_line(record.msg):
        _figures.dropped_units += 1
    return True
