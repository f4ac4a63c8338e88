"""
Handler filters: no second line for what the request line says, and the context for formatters that are not ours.

Write. Put them on a handler, not on a logger: `mail_admins` and Sentry then keep the records that are folded here.
"""

from __future__ import annotations

import logging
import traceback
from typing import Final

from pythonjsonlogger.core import RESERVED_ATTRS

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.logs.line.clean import Cleaner, unused_key
from obs_middleware.logs.line.exceptions import error_fields
from obs_middleware.logs.line.record import event_id_of
from obs_middleware.measure.event import RequestEvent, current_event, event_of
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import Secrets

__all__ = ["FoldDjangoRequests", "RequestContextFilter"]

_RECORD_ATTRIBUTES: Final = frozenset(RESERVED_ATTRS) | {"taskName"}

_ROOTS_OF_ECS: Final = frozenset(
    {"@timestamp", "ecs", "error", "log", "process", "service", "span", "trace", "transaction"}
)
"""What ecs-logging makes objects of: it raises, and the line is lost, where an attribute of that name is a value."""


class FoldDjangoRequests(logging.Filter):
    """
    Drop what Django logs of a request that has a line of its own ("Not Found", "Internal Server Error", ...).

    Only records of ``django.request`` and ``django.security.*`` that carry a request which the middleware has seen. The
    exception of such a record, or the text of one of ``django.security.*`` without exception, is kept for the request
    line, where the first one counts; what that line does not say, or can say no more, passes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that is folded into the request line."""
        name = record.name
        if name[:7] != "django." or (name != "django.request" and not name.startswith("django.security.")):
            return True
        event = event_of(getattr(record, "request", None))
        if event is None:
            # A request that Django could not even build has a line all the same if it is observed from outside.
            event = current_event.get()
            unbuilt = name == "django.request" and not hasattr(record, "request")
            if event is None or not event.observed or event.done or not unbuilt:
                return True
        error = record.exc_info[1] if record.exc_info else None
        if error is None and name == "django.request":
            return False
        try:
            return not _is_told(event, record.getMessage() if error is None else error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:  # noqa: BLE001 -- a filter that raises would raise into the application
            report_once("FoldDjangoRequests", failure)
            return True


def _is_told(event: RequestEvent, said: BaseException | str) -> bool:
    """Return whether the request line says *said*, which it is given if it says nothing yet."""
    if event.done:
        return isinstance(said, BaseException) and _came_through(event, said)
    if event.error is None and event.refusal is None:
        event.refusal = said
    told = event.refusal if event.error is None else event.error
    # A second handler folds the same record, and makes a text of its own of it.
    return told is said or (type(told) is type(said) is str and told == said)


def _came_through(event: RequestEvent, error: BaseException) -> bool:
    """Return whether *error* passed through the middleware, which then told it: the frame that has *event* is in it."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_locals.get("event") is event for frame, _ in frames)


class RequestContextFilter(logging.Filter):
    """
    Put the fields of `add_request_context` on the record, for any formatter that prints a record's attributes.

    For those who keep python-json-logger, ecs-logging or a formatter of their own. Values are made safe for JSON and
    secrets hidden first. A field whose name the logging module uses itself is renamed ``app_<name>``. Lets every record
    pass.
    """

    def __init__(self) -> None:
        super().__init__()
        # Logging is configured before the system checks could say what is wrong with the settings.
        keep_configured(self, lenient=True)

    def configure(self, settings: Settings) -> None:
        """Take over which names are secret."""
        self._cleaner = Cleaner(Secrets(settings.redact))

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields to *record*, once, and return True."""
        try:
            _add_fields(record, self._cleaner)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- a filter that raises would raise into the application
            report_once("RequestContextFilter", error)
        return True


def _add_fields(record: logging.LogRecord, cleaner: Cleaner) -> None:
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
        bound = {} if event.said is None else event.said.bound.copy()
        fields = bound | event.context
    attributes = record.__dict__
    taken = _RECORD_ATTRIBUTES | _ROOTS_OF_ECS
    # Where a call gave `a.b` in `extra`, ecs-logging makes an object of `a`.
    taken |= {name.partition(".")[0] for name in attributes if "." in name}
    cleaned, _ = cleaner.clean_fields(fields)
    for name, value in cleaned.items():
        if name in taken and name not in FIELDS:
            attributes.setdefault(unused_key(f"app_{name}", cleaned), value)
            continue
        given = attributes.get(name, value)
        if given != value and own_name(name) != name:
            # What the call itself gave in `extra` under a name of the package is renamed, as everywhere.
            attributes[own_name(name)] = cleaner.clean(given)
            given = value
        attributes[name] = given
