"""
structlog processors: the request's context, exceptions as fields, and text that cannot forge a line.

Write. Each takes ``(logger, method_name, event_dict)`` and returns the event dict, so each is usable in any structlog
chain, in ``ProcessorFormatter(foreign_pre_chain=...)`` as well as in ``processors``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

from obs_middleware.logs.line.clean import unused_key
from obs_middleware.logs.line.escape import escape_controls
from obs_middleware.logs.line.exceptions import error_fields, exception_fields
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.measure.ids import new_event_id
from obs_middleware.measure.vocabulary import FIELDS, own_name

__all__ = [
    "add_exception",
    "add_request_context",
    "escape_controls",
    "facts_of",
    "has_bound_contextvars",
    "is_equal",
    "merge_bound_contextvars",
]

EventDict = MutableMapping[str, Any]

_OF_THE_HEAD: Final = frozenset(
    {"timestamp", "level", "logger", "message", "event_id", "service", "version", "environment", "stack_info"}
)
_NOT_FOR_APPLICATIONS: Final = frozenset(FIELDS) - _OF_THE_HEAD


def add_request_context(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Add what is known of the request that is being served: its id, method and path, and what `bind` added.

    On the request line it adds every field of that line, and the exception as ``exc_info`` if one ended the request.
    Every line, also outside a request, gets an ``event_id``. A value given with this one line wins over one that was
    bound; neither wins over a field of the package: it is renamed ``app_<name>``. Costs one dict update a line.
    """
    if "event_id" not in event_dict:
        event_dict["event_id"] = new_event_id()
    event = current_event.get()
    if event is None:
        return event_dict
    message = event_dict.get("event")
    for name in _NOT_FOR_APPLICATIONS.intersection(event_dict):
        event_dict[unused_key(own_name(name), event_dict)] = event_dict.pop(name)
    event_dict.update(facts_of(event, message))
    if event.is_line(message):
        if event.error is not None:
            event_dict["exc_info"] = event.error
    elif event.said is not None:
        # A copy first: another task of the request may still be binding.
        for name, value in event.said.bound.copy().items():
            event_dict.setdefault(name, value)
    return event_dict


def facts_of(event: RequestEvent, message: object) -> Mapping[str, Any]:
    """Return what the package itself puts on the line of *message* in the request of *event*, without a traceback."""
    if not event.is_line(message):
        return event.context
    # A refusal, such as a bad host name, is worth its name, not a traceback.
    return event.line() if event.error is event.refusal is None else {**event.line(), **error_fields(event)}


def is_equal(value: Any, fact: Any) -> bool:
    """Return whether two values are the same; no method of a foreign one is called."""
    return type(value) is type(fact) and type(value) in {str, int, float, bool, type(None)} and value == fact


def add_exception(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Replace ``exc_info`` by ``error_type``, ``error_message`` and ``stack_trace``.

    Takes what the logging module and structlog take: an exception, a tuple, or a true value for the one being handled;
    and a text, of an exception that was formatted already.
    """
    if "exc_info" not in event_dict:
        return event_dict
    exc_info = event_dict.pop("exc_info")
    if isinstance(exc_info, BaseException):  # before its truth is asked for: it may have a length of 0
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


def has_bound_contextvars() -> bool:
    """Return whether anything is bound here with structlog's own ``bind_contextvars``."""
    # Copied, for another thread may bind a name that is new.
    variables = tuple(structlog.contextvars._CONTEXT_VARS.values())  # noqa: SLF001 -- held by a canary test
    return any(variable.get() is not Ellipsis for variable in variables)


def merge_bound_contextvars(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Do what `structlog.contextvars.merge_contextvars` does, but rename what has the name of a field of the package.

    Costs next to nothing while nothing is bound: structlog's own scans the whole context.
    """
    if structlog.contextvars._CONTEXT_VARS and has_bound_contextvars():  # noqa: SLF001 -- held by a canary test
        for name, value in structlog.contextvars.get_contextvars().items():
            event_dict.setdefault(own_name(name), value)
    return event_dict
