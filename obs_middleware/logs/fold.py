"""
Fold records into the line of their unit of work: for each handler, leave out what the line has told there.

Write. `obs_middleware.logs.filters.FoldDjangoRequests` is the public side of it.
"""

from __future__ import annotations

import copy
import logging
import traceback
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final

from obs_middleware.failures import report_once
from obs_middleware.logs.filtering import handler_of, is_about_a_response
from obs_middleware.logs.formatters import ChainFormatter
from obs_middleware.logs.line.nested import THREAD, is_too_deep
from obs_middleware.measure.event import Event, current_event, event_of, is_of_scope
from obs_middleware.measure.told import TELLERS, Announced, Told

__all__ = ["HandlerFold", "HeldRecord", "bind"]

_CLIENT_ERROR: Final = 400
"""From this status on, Django writes a record of its own, before or after the line."""

_STATUS: Final = frozenset({"path", "status"})
_REASON: Final = _STATUS | {"error_message"}
"""The fields that tell a record of Django without and with an exception."""

Confirm = Callable[[logging.LogRecord, Event], bool]
Printed = Callable[[logging.Handler], frozenset[str]]
"""Returns which of the fields that tell a record the format of a handler prints."""


def bind(handler: logging.Handler, instead_of: logging.Filter, printed: Printed) -> HandlerFold:
    """Give *handler* a fold of its own, as its last filter, so that no other stops a line that counts as seen."""
    fold = HandlerFold(handler, printed)
    # Two threads may do this at once: either fold will do, because the events have what they find.
    others = [one for one in handler.filters if one is not instead_of and type(one) is not HandlerFold]
    handler.filters = [*others, fold]
    return fold


class HandlerFold(logging.Filter):
    """
    `FoldDjangoRequests` for one handler.

    It also drops what is logged too deep inside other records.

    Args:
        handler: The handler.
        printed: Called once for each formatter that the handler has.
    """

    def __init__(self, handler: logging.Handler, printed: Printed) -> None:
        super().__init__()
        self._handler = handler
        self._find_printed = printed
        self._known: tuple[logging.Formatter | None, frozenset[str]] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that waits for a line, or that a line has told."""
        if THREAD.depth > 1 and is_too_deep(record):
            return False
        try:
            if record.name[:7] == "django." and is_about_a_response(record):
                event = _event_of_response(record)
                return event is None or not self._is_in_place() or not self._takes(event, record)
            if record.name in TELLERS:
                return not self._is_told(record)
            event = current_event.get()
            if event is None or record.msg is not event.message:
                return True
            event.shown = True
            if (event.records is not None or (event.status or 0) >= _CLIENT_ERROR) and self._is_in_place():
                self._note_line(event, record)
        except BaseException as failure:  # noqa: BLE001 -- as above
            report_once("FoldDjangoRequests", failure)
        return True

    def _is_in_place(self) -> bool:
        """Return whether this is the last filter of its own handler; if not, put it there for the next record."""
        handler = handler_of(self)
        if handler is None or (handler is self._handler and handler.filters[-1] is self):
            return handler is not None
        bind(handler, self, self._find_printed)  # somebody has added a filter, or copied the filters of another handler
        return False

    def _note_line(self, event: Event, line: logging.LogRecord) -> None:
        """Note that the line of *event* has reached the handler, and which waiting records it tells there."""
        if line.getMessage() is not event.message:
            return  # the site's record class has changed the text, so formatters do not know the line either
        records = event.with_records()
        records.reached.append(self._handler)
        for held in records.held:
            if isinstance(held, HeldRecord) and held.handler is self._handler:
                held.note_line(event, line, self._printed())

    def _printed(self) -> frozenset[str]:
        formatter = self._handler.formatter
        if self._known is None or self._known[0] is not formatter:
            self._known = (formatter, self._find_printed(self._handler))
        return self._known[1]

    def _takes(self, event: Event, record: logging.LogRecord) -> bool:
        """Return whether *record* is told by the line of *event*, or waits for it."""
        error = record.exc_info[1] if record.exc_info else None
        if event.done:
            if event.is_left_out:
                return record.levelno < logging.ERROR
            if event.records is None or self._handler not in event.records.reached or not self._printed() >= _STATUS:
                return False
            if error is not None:
                return _came_through(event, error)
            return record.name == "django.request" and _says_the_status(record, event)
        said = error if error is not None or record.name == "django.request" else record.getMessage()
        if event.error is None and event.refusal is None:
            event.refusal = said
        records = event.with_records()
        records.is_error = records.is_error or record.levelno >= logging.ERROR
        if said is None:
            records.held.append(HeldRecord(self._handler, record, None, _STATUS, _says_the_status))
        else:
            records.held.append(HeldRecord(self._handler, record, said, _REASON))
        return True

    def _is_told(self, record: logging.LogRecord) -> bool:
        """Return whether *record*, of a logger in `TELLERS`, is told by a line, or waits for one."""
        told = TELLERS[record.name](record)
        if told is None or not self._is_in_place():
            return False
        if isinstance(told, Announced):
            return told.fields <= self._printed() and _gets_lines(self._handler, told.logger)
        if told.event.done:
            return False
        error = record.exc_info[1] if record.exc_info else None
        held = HeldRecord(self._handler, record, error, told.fields, partial(_has_outcome, told))
        told.event.with_records().held.append(held)
        return True


class HeldRecord:
    """
    A record that waits in one handler for the line of its unit.

    Args:
        handler: The handler, all of whose filters the record has passed.
        record: The record.
        said: The exception or the text that the line must tell too, or None.
        fields: The fields of the line that tell the record.
        confirm: Called with the record and the event: whether the line of the event tells the record.
    """

    __slots__ = ("_confirm", "_fields", "_is_told", "_record", "_request", "_said", "_trace_is_told", "handler")

    def __init__(
        self,
        handler: logging.Handler,
        record: logging.LogRecord,
        said: BaseException | str | None,
        fields: frozenset[str],
        confirm: Confirm | None = None,
    ) -> None:
        self.handler = handler
        self._record = copy.copy(record)  # other handlers have the record too
        # Not the request itself: it may refer to a stream, whose loss is noticed when it is freed.
        self._request = weakref.ref(self._record.__dict__.pop("request")) if hasattr(record, "request") else None
        self._said = said
        self._fields = fields
        self._confirm = confirm
        self._is_told = self._trace_is_told = False

    def note_line(self, event: Event, line: logging.LogRecord, printed: frozenset[str]) -> None:
        """Compare what the record says with *line*, which has reached the handler and shows the fields *printed*."""
        said = self._said
        told = event.refusal if event.error is None else event.error
        # A second handler waits with the same record and has formatted its text again, so compare by value.
        is_same = said is None or said is told or (type(said) is type(told) is str and said == told)
        is_confirmed = self._confirm is None or self._confirm(self._record, event)
        self._is_told = is_same and is_confirmed and printed >= self._fields
        traced = line.exc_info[1] if line.exc_info else None
        if traced is None and isinstance(self.handler.formatter, ChainFormatter):
            traced = event.error  # at any level
        self._trace_is_told = said is traced

    def release(self, *, left_out: bool) -> None:
        """Write the record, without a traceback that the line shows, unless the line has told it."""
        record = self._record
        if self._is_told or (left_out and record.levelno < logging.ERROR):
            return
        request = None if self._request is None else self._request()
        if request is not None:
            record.request = request
        if self._trace_is_told:
            record.exc_info = record.exc_text = None
        if type(self.handler).emit is logging.Handler.emit:
            self.handler.handle(record)  # it does its work there
            return
        self.handler.acquire()
        try:
            self.handler.emit(record)
        finally:
            self.handler.release()


def _says_the_status(record: logging.LogRecord, event: Event) -> bool:
    """Return whether *record*, which has no exception, says only that the request of *event* got its status."""
    arguments = record.args
    if not isinstance(arguments, tuple) or not arguments or event.path is None:
        return False
    escaped = event.path.encode("unicode_escape").decode("ascii")  # as Django writes it, except old patch releases
    return arguments[-1] in (event.path, escaped) and getattr(record, "status_code", None) == event.status


def _event_of_response(record: logging.LogRecord) -> Event | None:
    request = getattr(record, "request", None)
    event = event_of(request)
    if event is None:
        # Django could not build the request, or the middleware is not in the chain. If the application is wrapped in
        # `observed`, there is a request line.
        event = current_event.get()
        if event is not None and (
            event.done or not event.observed or not (request is None or is_of_scope(request, event))
        ):
            return None
    return event


def _came_through(event: Event, error: BaseException) -> bool:
    """
    Return whether *error* passed through the middleware, which then logged it.

    The middleware holds *event* in its frames of the trace. (The line no longer has the exception, so that nothing of
    a request is kept.)
    """
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_locals.get("event") is event for frame, _ in frames)


def _has_outcome(told: Told, _: logging.LogRecord, event: Event) -> bool:
    return event.outcome in told.outcomes


def _gets_lines(handler: logging.Handler, logger: logging.Logger) -> bool:
    """Return whether *handler* gets the lines of work that went well, which *logger* writes at level INFO."""
    if handler.level > logging.INFO or not logger.isEnabledFor(logging.INFO):
        return False
    above: logging.Logger | None = logger
    while above is not None:
        if handler in above.handlers:
            return True
        above = above.parent if above.propagate else None
    return False
