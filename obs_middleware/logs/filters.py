"""
Handler filters: fold Django's records into the request line, and add the context for other formatters.

Write. Put them on a handler, not on a logger: `mail_admins` and Sentry then still get the records that are folded.
"""

from __future__ import annotations

import copy
import logging
import sys
import traceback
import weakref
from pathlib import Path
from types import FrameType
from typing import Final

import django
import structlog
from pythonjsonlogger.core import RESERVED_ATTRS

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.logs.formatters import ChainFormatter, TextFormatter
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.nested import THREAD, Formatting, is_too_deep
from obs_middleware.logs.line.record import event_id_of
from obs_middleware.logs.line.values import unused_key
from obs_middleware.logs.processors import add_request_context, record_fields
from obs_middleware.measure.event import RequestEvent, current_event, event_of, is_of_scope
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import Secrets

__all__ = ["FoldDjangoRequests", "RequestContextFilter"]

_DJANGO: Final = str(Path(django.__file__).parent)
"""Only code in this folder writes records about responses."""

_CLIENT_ERROR: Final = 400
"""From this status on, Django writes a record of its own, before or after the line."""

_RECORD_ATTRIBUTES: Final = frozenset(RESERVED_ATTRS) | {"taskName"}

_ROOTS_OF_ECS: Final = frozenset(
    {"@timestamp", "ecs", "error", "log", "process", "service", "span", "trace", "transaction"}
)
"""Objects of an ecs-logging line. If an attribute of that name is a value, ecs-logging raises and loses the line."""


class FoldDjangoRequests(logging.Filter):
    """
    Fold Django's records of a request ("Not Found", "Internal Server Error", ...) into its request line.

    In each handler, a record is left out only if the request line has reached this handler, and the handler's format
    prints what the record says: the formats ``json``, ``logfmt`` and ``console``, and any formatter that prints the
    attributes of `RequestContextFilter`. A record that comes before the line waits for it. If the settings leave the
    line out (``EXCLUDE``, ``QUIET``, ``SAMPLE_RATE``), a record below ERROR is left out with it.

    Only records that Django itself writes of a response, on ``django.request`` and ``django.security.*``, are folded.
    The first exception, or the first text of ``django.security.*``, is copied to the request line.

    Handlers may share one filter. At the first record, each handler gets a filter of its own in its place.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that waits for the request line, or that the line has told."""
        try:
            handler = _handler_of(self)
            if handler is None:
                return True  # called by other code, so nobody knows where the line goes
            is_last = handler.filters[-1] is self
            fold = _bind(handler, instead_of=self)
            return fold.filter(record) if is_last else True  # the others come after this one, this once
        except BaseException as failure:  # noqa: BLE001 -- an exception here would reach the application
            report_once("FoldDjangoRequests", failure)
            return True


def _handler_of(found: logging.Filter) -> logging.Handler | None:
    """Return the handler that is calling the filter *found*: logging does not say, and many may share it."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 -- of logging.Filterer.filter, or of an override
    while frame is not None:
        handler = frame.f_locals.get("self")
        if isinstance(handler, logging.Handler):
            return handler if any(one is found for one in handler.filters) else None
        frame = frame.f_back
    return None


def _bind(handler: logging.Handler, instead_of: logging.Filter) -> _HandlerFold:
    """Give *handler* a fold of its own, as its last filter, so that no other stops a line that counts as seen."""
    fold = _HandlerFold(handler)
    # Two threads may do this at once: either fold will do, because the events have what they find.
    others = [one for one in handler.filters if one is not instead_of and type(one) is not _HandlerFold]
    handler.filters = [*others, fold]
    return fold


class _HandlerFold(logging.Filter):
    """
    `FoldDjangoRequests` for one handler.

    It also drops what is logged too deep inside other records.
    """

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler
        self._known: tuple[logging.Formatter | None, frozenset[str]] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if THREAD.depth > 1 and is_too_deep(record):
            return False
        try:
            if record.name[:7] == "django." and _is_about_a_response(record):
                event = _event_of_response(record)
                return event is None or not self._is_in_place() or not self._takes(event, record)
            event = current_event.get()
            if event is None or record.msg is not event.message:
                return True
            if (event.records is not None or (event.status or 0) >= _CLIENT_ERROR) and self._is_in_place():
                self._note_line(event, record)
        except BaseException as failure:  # noqa: BLE001 -- as above
            report_once("FoldDjangoRequests", failure)
        return True

    def _is_in_place(self) -> bool:
        """Return whether this is the last filter of its own handler; if not, put it there for the next record."""
        handler = _handler_of(self)
        if handler is None or (handler is self._handler and handler.filters[-1] is self):
            return handler is not None
        _bind(handler, instead_of=self)  # somebody has added a filter, or copied the filters of another handler
        return False

    def _note_line(self, event: RequestEvent, line: logging.LogRecord) -> None:
        """Note that the line of *event* has reached the handler, and which waiting records it tells there."""
        if line.getMessage() is not event.message:
            return  # the site's record class has changed the text, so formatters do not know the line either
        records = event.with_records()
        records.reached.append(self._handler)
        for held in records.held:
            if isinstance(held, _HeldRecord) and held.handler is self._handler:
                held.note_line(event, line, self._printed())

    def _printed(self) -> frozenset[str]:
        formatter = self._handler.formatter
        if self._known is None or self._known[0] is not formatter:
            self._known = (formatter, _printed_fields(self._handler))
        return self._known[1]

    def _takes(self, event: RequestEvent, record: logging.LogRecord) -> bool:
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
        records.held.append(_HeldRecord(self._handler, record, said))
        return True


class _HeldRecord:
    """
    A record of Django that waits in one handler for the line of its request.

    Args:
        handler: The handler, all of whose filters the record has passed.
        record: The record.
        said: What the line must tell beside the status: the record's exception or its text, or None.
    """

    __slots__ = ("_is_told", "_record", "_request", "_said", "_trace_is_told", "handler")

    def __init__(self, handler: logging.Handler, record: logging.LogRecord, said: BaseException | str | None) -> None:
        self.handler = handler
        self._record = copy.copy(record)  # other handlers have the record too
        # Not the request itself: it may refer to a stream, whose loss is noticed when it is freed.
        self._request = weakref.ref(self._record.__dict__.pop("request")) if hasattr(record, "request") else None
        self._said = said
        self._is_told = self._trace_is_told = False

    def note_line(self, event: RequestEvent, line: logging.LogRecord, printed: frozenset[str]) -> None:
        """Compare what the record says with *line*, which has reached the handler and shows the fields *printed*."""
        said = self._said
        if said is None:
            self._is_told = printed >= _STATUS and _says_the_status(self._record, event)
        else:
            told = event.refusal if event.error is None else event.error
            # A second handler waits with the same record and has formatted its text again, so compare by value.
            is_told = said is told or (type(said) is type(told) is str and said == told)
            self._is_told = is_told and printed >= _REASON
        traced = line.exc_info[1] if line.exc_info else None
        if traced is None and isinstance(self.handler.formatter, ChainFormatter):
            traced = event.error  # at any level
        self._trace_is_told = said is traced

    def release(self, *, left_out: bool) -> None:
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


def _is_about_a_response(record: logging.LogRecord) -> bool:
    """Return whether *record* is one of Django's own about a response; an application may use these loggers too."""
    name = record.name
    is_named = name == "django.request" or name.startswith("django.security.")
    return is_named and hasattr(record, "status_code") and record.pathname.startswith(_DJANGO)


def _says_the_status(record: logging.LogRecord, event: RequestEvent) -> bool:
    """Return whether *record*, which has no exception, says only that the request of *event* got its status."""
    arguments = record.args
    is_of_path = isinstance(arguments, tuple) and bool(arguments) and arguments[-1] == event.path
    return is_of_path and getattr(record, "status_code", None) == event.status


def _event_of_response(record: logging.LogRecord) -> RequestEvent | None:
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


def _came_through(event: RequestEvent, error: BaseException) -> bool:
    """
    Return whether *error* passed through the middleware, which then logged it.

    The middleware holds *event* in its frames of the trace. (The line no longer has the exception, so that nothing of
    a request is kept.)
    """
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_locals.get("event") is event for frame, _ in frames)


class RequestContextFilter(logging.Filter):
    """
    Put the fields of `add_request_context` on the record, for any formatter that prints a record's attributes.

    Use it with python-json-logger, ecs-logging or your own formatter. Values are made safe for JSON, and secrets are
    redacted. A field whose name the logging module uses is renamed ``app_<name>``. No record is dropped but one that
    is logged while an inner record is being formatted.
    """

    def __init__(self) -> None:
        super().__init__()
        # Lenient: logging is configured before the system checks can report bad settings.
        keep_configured(self, lenient=True)

    def configure(self, settings: Settings) -> None:
        """Take the names of secrets from the settings."""
        self._cleaner = Cleaner(Secrets(settings.redact))

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields to *record*, once; return False only if it is logged too deep inside others."""
        if is_too_deep(record):
            return False
        try:
            with Formatting() as depth:
                _add_fields(record, self._cleaner, is_inner=depth > 0)
        except BaseException as error:  # noqa: BLE001 -- an exception here would reach the application
            report_once("RequestContextFilter", error)
        return True


def _add_fields(record: logging.LogRecord, cleaner: Cleaner, *, is_inner: bool) -> None:
    event_id_of(record)
    event = current_event.get()
    if event is None:
        return
    if event.is_line(record.msg):
        fields = dict(event.line())
        fields.update(error_fields(event))
        if event.error is not None:
            record.exc_info = (type(event.error), event.error, event.error.__traceback__)
    else:
        bound = {} if event.said is None or is_inner else event.said.bound.copy()
        fields = {**bound, **record_fields(event, record.msg, record.name)}
    attributes = record.__dict__
    taken = _RECORD_ATTRIBUTES | _ROOTS_OF_ECS
    # ecs-logging turns `a.b` in `extra` into an object `a`.
    taken |= {name.partition(".")[0] for name in attributes if "." in name}
    cleaned, _ = cleaner.clean_fields(fields)
    for name, value in cleaned.items():
        if name in taken and name not in FIELDS:
            attributes.setdefault(unused_key(f"app_{name}", cleaned), value)
            continue
        given = attributes.get(name, value)
        if given != value and own_name(name) != name:
            # A value of `extra` with the name of one of our fields is renamed, as on our own lines.
            attributes[own_name(name)] = cleaner.clean(given)
            given = value
        attributes[name] = given


_STATUS: Final = frozenset({"path", "status"})
_REASON: Final = _STATUS | {"error_message"}


def _printed_fields(handler: logging.Handler) -> frozenset[str]:
    """Return which fields of `_REASON` the format of *handler* prints, and not the text of the line alone."""
    formatter = handler.formatter
    if isinstance(formatter, ChainFormatter):
        return frozenset() if isinstance(formatter, TextFormatter) else _REASON
    if isinstance(formatter, structlog.stdlib.ProcessorFormatter):
        # Not by a sample: your processors may count what they get.
        has_context = add_request_context in (*formatter.processors, *(formatter.foreign_pre_chain or ()))
        return _REASON if has_context else frozenset()
    if formatter is None or not any(isinstance(one, RequestContextFilter) for one in handler.filters):
        return frozenset()
    sample = {name: f"obs_middleware_{name}" for name in _REASON}
    try:
        text = formatter.format(logging.makeLogRecord(sample))
        return frozenset(name for name, value in sample.items() if value in text)
    except BaseException as error:  # noqa: BLE001 -- a foreign formatter may raise anything
        report_once("FoldDjangoRequests", error)
        return frozenset()
