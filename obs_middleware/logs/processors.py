"""
structlog processors: add the request's context, and turn exceptions into fields.

Write. Each takes ``(logger, method_name, event_dict)`` and returns the event dict. You can use them in any structlog
chain, in ``ProcessorFormatter(foreign_pre_chain=...)`` as well as in ``processors``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from obs_middleware.display.escape import escape_controls
from obs_middleware.logs.line.bound import VARIABLES, bound_contextvars
from obs_middleware.logs.line.exceptions import error_fields, exception_fields
from obs_middleware.logs.line.record import BEFORE_THE_RESPONSE
from obs_middleware.logs.line.values import unused_key
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.ids import new_event_id
from obs_middleware.measure.vocabulary import CONTEXT, FIELDS, own_name

__all__ = [
    "add_exception",
    "add_own_context",
    "add_request_context",
    "escape_controls",
    "is_equal",
    "merge_bound_contextvars",
    "name_for",
    "record_fields",
]

EventDict = MutableMapping[str, Any]

_OF_THE_HEAD: Final = frozenset(
    {"timestamp", "level", "logger", "message", "event_id", "service", "version", "environment", "stack_info"}
)
_NOT_FOR_APPLICATIONS: Final = frozenset(FIELDS) - _OF_THE_HEAD


def add_request_context(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Add the id, method and path of the current request, and the fields that `bind` added.

    The request line gets all of its fields, and ``exc_info`` if an exception ended the request. Every line gets an
    ``event_id``, also outside a request. A value given with the line replaces a bound one. Neither replaces a field of
    the package: it is renamed ``app_<name>``. Costs one dict update per line.
    """
    add_own_context(_, __, event_dict)
    event = current_event.get()
    if event is not None and event.said is not None and not event.is_line(event_dict.get("event")):
        # A copy, because another task of the request may be binding.
        for name, value in event.said.bound.copy().items():
            event_dict.setdefault(name, value)
    return event_dict


def add_own_context(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """Do the same as `add_request_context`, but add to other lines than the request line only the package's fields."""
    if "event_id" not in event_dict:
        event_dict["event_id"] = new_event_id()
    event = current_event.get()
    if event is None:
        return event_dict
    message = event_dict.get("event")
    for name in _NOT_FOR_APPLICATIONS.intersection(event_dict):
        event_dict[unused_key(own_name(name), event_dict)] = event_dict.pop(name)
    event_dict.update(record_fields(event, message, event_dict.get("logger")))
    if event.error is not None and event.is_line(message):
        event_dict["exc_info"] = event.error
    return event_dict


def record_fields(event: Event, message: object, logger: object = None) -> Mapping[str, Any]:
    """
    Return the package's own fields for a record, without a traceback.

    Args:
        event: The event of the request in which the record was logged.
        message: The text of the record.
        logger: The name of its logger, if it is known.
    """
    if not event.is_line(message):
        context = event.context
        if event.done and type(logger) is str and logger.startswith(BEFORE_THE_RESPONSE):
            context = {name: value for name, value in context.items() if name != "after_response"}
        return context
    # A refusal, for example of a bad host name, needs no traceback.
    return event.line() if event.error is event.refusal is None else {**event.line(), **error_fields(event)}


def name_for(name: str, value: object) -> str:
    """Return the name on the line of a field that the application gave: *name*, or ``app_<name>`` if that is ours."""
    # By exact type: a store expects text there.
    if name in CONTEXT and type(value) is str and current_event.get() is None:
        return name
    return own_name(name)


def is_equal(value: Any, fact: Any) -> bool:
    """Return whether two scalars are equal; no method of a foreign object is called."""
    return type(value) is type(fact) and type(value) in {str, int, float, bool, type(None)} and value == fact


def add_exception(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Replace ``exc_info`` by ``error_type``, ``error_message`` and ``stack_trace``.

    Accepts the same values as the logging module and structlog: an exception, a tuple, or a true value for the current
    exception. Also accepts the text of an exception that another process has formatted.
    """
    if "exc_info" not in event_dict:
        return event_dict
    exc_info = event_dict.pop("exc_info")
    if isinstance(exc_info, BaseException):  # first, because an exception may be false: it may have a length of 0
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not exc_info:
        return event_dict
    elif type(exc_info) is str:
        event_dict["stack_trace"] = exc_info
        return event_dict
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    if exc_info[0] is not None:
        event_dict.update(exception_fields(exc_info))
    return event_dict


def merge_bound_contextvars(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Add what was bound with structlog's ``bind_contextvars``; a name of one of our fields is renamed ``app_<name>``.

    `structlog.contextvars.merge_contextvars` does not rename, and it scans the whole context even if nothing is bound.
    """
    if VARIABLES:
        for name, value in bound_contextvars().items():
            event_dict.setdefault(name_for(name, value), value)
    return event_dict
