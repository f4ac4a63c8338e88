"""
Handler filters: fold the records of Django and Celery into the line, and add the context for other formatters.

Write. Put them on a handler, not on a logger: `mail_admins` and Sentry then still get the records that are folded.
"""

from __future__ import annotations

import logging
from typing import Final

import structlog
from pythonjsonlogger.core import RESERVED_ATTRS

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.logs.access import FoldAccessLines
from obs_middleware.logs.filtering import handler_of
from obs_middleware.logs.fold import bind
from obs_middleware.logs.formatters import ChainFormatter, TextFormatter
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.nested import Formatting, is_too_deep
from obs_middleware.logs.line.record import event_id_of
from obs_middleware.logs.line.values import unused_key
from obs_middleware.logs.processors import add_request_context, record_fields
from obs_middleware.logs.quiet import QuietInTests
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import Secrets

__all__ = ["FoldAccessLines", "FoldDjangoRequests", "QuietInTests", "RequestContextFilter"]

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

    In the same way, the records in which Celery says that it got a task, and how the task ended, are folded into the
    line of the task.

    Handlers may share one filter. At the first record, each handler gets a filter of its own in its place.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that waits for the request line, or that the line has told."""
        try:
            handler = handler_of(self)
            if handler is None:
                return True  # called by other code, so nobody knows where the line goes
            is_last = handler.filters[-1] is self
            fold = bind(handler, self, _printed_fields)
            return fold.filter(record) if is_last else True  # the others come after this one, this once
        except BaseException as failure:  # noqa: BLE001 -- an exception here would reach the application
            report_once("FoldDjangoRequests", failure)
            return True


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


_TELLING: Final = frozenset({"path", "status", "task", "task_id", "outcome", "error_message"})
"""The fields of a line that tell a record of Django or Celery."""


def _printed_fields(handler: logging.Handler) -> frozenset[str]:
    """Return which fields of `_TELLING` the format of *handler* prints, and not the text of the line alone."""
    formatter = handler.formatter
    if isinstance(formatter, ChainFormatter):
        return frozenset() if isinstance(formatter, TextFormatter) else _TELLING
    if isinstance(formatter, structlog.stdlib.ProcessorFormatter):
        # Not by a sample: your processors may count what they get.
        has_context = add_request_context in (*formatter.processors, *(formatter.foreign_pre_chain or ()))
        return _TELLING if has_context else frozenset()
    if formatter is None or not any(isinstance(one, RequestContextFilter) for one in handler.filters):
        return frozenset()
    sample = {name: f"obs_middleware_{name}" for name in _TELLING}
    try:
        text = formatter.format(logging.makeLogRecord(sample))
        return frozenset(name for name, value in sample.items() if value in text)
    except BaseException as error:  # noqa: BLE001 -- a foreign formatter may raise anything
        report_once("FoldDjangoRequests", error)
        return frozenset()
