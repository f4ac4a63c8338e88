"""
Handler filters: fold Django's records into the request line, and add the context for other formatters.

Write. Put them on a handler, not on a logger: `mail_admins` and Sentry then still get the records that are folded.
"""

from __future__ import annotations

import logging
import traceback
from typing import Final

from pythonjsonlogger.core import RESERVED_ATTRS

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.nested import THREAD, Formatting, is_too_deep
from obs_middleware.logs.line.record import event_id_of
from obs_middleware.logs.line.values import unused_key
from obs_middleware.measure.event import RequestEvent, current_event, event_of
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import Secrets

__all__ = ["FoldDjangoRequests", "RequestContextFilter"]

_RECORD_ATTRIBUTES: Final = frozenset(RESERVED_ATTRS) | {"taskName"}

_ROOTS_OF_ECS: Final = frozenset(
    {"@timestamp", "ecs", "error", "log", "process", "service", "span", "trace", "transaction"}
)
"""Objects of an ecs-logging line. If an attribute of that name is a value, ecs-logging raises and loses the line."""


class FoldDjangoRequests(logging.Filter):
    """
    Drop Django's records of a request that has a request line ("Not Found", "Internal Server Error", ...).

    Only records of ``django.request`` and ``django.security.*`` are dropped, and only for a request that the middleware
    has seen. The first exception, or the first text of ``django.security.*``, is copied to the request line. A record
    that arrives after the line was written, or that adds another exception or text, is not dropped.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that is folded into the request line, or that is logged too deep inside others."""
        if THREAD.depth > 1 and is_too_deep(record):
            return False
        name = record.name
        if name[:7] != "django." or (name != "django.request" and not name.startswith("django.security.")):
            return True
        event = event_of(getattr(record, "request", None))
        if event is None:
            # Django could not build the request. If the application is wrapped in `observed`, it has a request line.
            event = current_event.get()
            unbuilt = name == "django.request" and not hasattr(record, "request")
            if event is None or not event.observed or event.done or not unbuilt:
                return True
        error = record.exc_info[1] if record.exc_info else None
        if error is None and name == "django.request":
            return False
        try:
            return not _is_told(event, record.getMessage() if error is None else error)
        except BaseException as failure:  # noqa: BLE001 -- an exception here would reach the application
            report_once("FoldDjangoRequests", failure)
            return True


def _is_told(event: RequestEvent, said: BaseException | str) -> bool:
    """Return whether *said* is on the request line; put it there if it is the first."""
    if event.done:
        return isinstance(said, BaseException) and _came_through(event, said)
    if event.error is None and event.refusal is None:
        event.refusal = said
    told = event.refusal if event.error is None else event.error
    # A second handler folds the same record and formats its text again, so compare by value.
    return told is said or (type(told) is type(said) is str and told == said)


def _came_through(event: RequestEvent, error: BaseException) -> bool:
    """Return whether *error* passed through the middleware, which then logged it: a frame of its trace has *event*."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_locals.get("event") is event for frame, _ in frames)


class RequestContextFilter(logging.Filter):
    """
    Put the fields of `add_request_context` on the record, for any formatter that prints a record's attributes.

    Use it with python-json-logger, ecs-logging or your own formatter. Values are made safe for JSON, and secrets are
    redacted. A field whose name the logging module uses is renamed ``app_<name>``. No record is dropped,
    except one that is logged while another is being formatted that was itself logged inside a third.
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
        fields = bound | event.context
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
