"""
Open and close a unit of work that is no request, and write its line.

Work. Every module of this wing opens its units here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.counted_lines import line_writer
from obs_middleware.measure.database import is_installed
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.ids import is_request_id, new_request_id
from obs_middleware.measure.line_writer import LineWriter, log, log_failure
from obs_middleware.measure.sentry import SENTRY
from obs_middleware.measure.tally import Tally
from obs_middleware.measure.tracing import trace_of

__all__ = ["WorkEvent", "abandon", "begin", "end", "is_inside_unit", "line_logger", "prepare"]


class WorkEvent(Event):
    """
    The event of a task, a command or a websocket connection.

    Args:
        kind: ``task``, ``command`` or ``websocket``.
        title: The first word of the line, for example ``Task``.
        names: The fields that name the unit on all of its lines. Values of None are left out.
        request_id: The id of the request that caused the work. A new id if it is None or unusable.
        path: The path of a connection.

    Attributes:
        is_expected: The site has declared that the exception of this task is no failure.
        process: The id of the process that began it. A fork of this process has a copy, and does not write it.
    """

    __slots__ = ("_names", "is_expected", "kind", "process", "title")

    def __init__(
        self, kind: str, title: str, names: Mapping[str, Any], request_id: object = None, path: str | None = None
    ) -> None:
        is_usable = isinstance(request_id, str) and is_request_id(request_id)
        super().__init__(perf_counter(), str(request_id) if is_usable else new_request_id(), None, path)
        self.kind = kind
        self.title = title
        self.is_expected = False
        self.process = os.getpid()
        self._names = names

    def names(self) -> Mapping[str, Any]:
        """Return the fields that name the unit on all of its lines."""
        return self._names


class _Units:
    """The settings in force, resolved once."""

    def __init__(self) -> None:
        self.writer: LineWriter | None = None
        self.measures_queries = False

    def configure(self, settings: Settings) -> None:
        self.writer = line_writer(settings, log, log_failure) if settings.enabled else None
        self.measures_queries = settings.database


_units: Final = _Units()


def prepare() -> None:
    """Take the settings, now and when they change. Before this call, and with ``ENABLED = False``, no unit opens."""
    keep_configured(_units, lenient=True)


def is_inside_unit() -> bool:
    """Return whether the current code is part of an open request or another open unit."""
    event = current_event.get()
    return event is not None and not event.done


def line_logger() -> logging.Logger | None:
    """Return the logger that gets the lines, or None if nothing is measured."""
    return None if _units.writer is None else _units.writer.logger


def begin(event: WorkEvent, traceparent: object = None) -> WorkEvent | None:
    """
    Open *event* in this context. Never raises.

    Args:
        event: The event, just made: its clock has started.
        traceparent: The header of that name that came with the work, or None.

    Returns:
        *event*, or None if nothing is measured. Pass the result to `end`.
    """
    if _units.writer is None:
        return None
    try:
        outer = current_event.get()
        event.previous = None if outer is None or outer.done else outer
        trace = trace_of(traceparent)
        if trace is not None:
            event.set_trace(*trace)
        if SENTRY:
            SENTRY[0](event, {})
        if _units.measures_queries and is_installed():
            event.queries = Tally()
        current_event.set(event)
    except BaseException as error:  # noqa: BLE001 -- the work goes on, whatever failed
        report_once("work.begin", error)
    return event


def end(
    event: WorkEvent | None, outcome: str = "ok", error: BaseException | None = None, seconds: float | None = None
) -> None:
    """
    Write the line of *event*, once, and restore the context of before. Never raises.

    A process that the work has forked writes no line: the first process does.

    Args:
        event: The result of `begin`. If it is None, nothing happens.
        outcome: The field of that name.
        error: The exception that ended the work, or None.
        seconds: How long the work took. None: since `begin`.
    """
    if event is None:
        return
    try:
        if not event.done and _units.writer is not None and event.process == os.getpid():
            event.outcome = outcome
            event.error = error
            _units.writer.conclude(event, perf_counter() - event.started if seconds is None else seconds)
    except BaseException as failure:  # noqa: BLE001 -- as above
        report_once("work.end", failure)
    finally:
        _leave(event)


def abandon(event: WorkEvent) -> None:
    """End *event* without a line, which another process writes, and restore the context of before. Never raises."""
    try:
        if not event.done and _units.writer is not None:
            _units.writer.abandon(event)
    except BaseException as failure:  # noqa: BLE001 -- as above
        report_once("work.abandon", failure)
    finally:
        _leave(event)


def _leave(event: WorkEvent) -> None:
    if current_event.get() is event:
        current_event.set(event.previous)
    event.previous = None
