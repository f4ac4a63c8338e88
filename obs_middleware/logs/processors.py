"""
structlog processors: the request's context, exceptions as fields, and text that cannot forge a line.

Write. Each takes ``(logger, method_name, event_dict)`` and returns the event dict, so each is usable in any structlog
chain, in ``ProcessorFormatter(foreign_pre_chain=...)`` as well as in ``processors``.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final

import structlog

from obs_middleware.logs.line.clean import unused_key
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.measure.ids import new_event_id
from obs_middleware.measure.vocabulary import FIELDS, own_name

__all__ = [
    "ExcInfo",
    "add_exception",
    "add_request_context",
    "error_fields",
    "escape_controls",
    "exception_fields",
    "facts_of",
    "has_bound_contextvars",
    "is_equal",
    "merge_bound_contextvars",
]

EventDict = MutableMapping[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

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


def error_fields(event: RequestEvent) -> dict[str, str]:
    """Return what names the exception that *event* holds, or its refusal without one; nothing if it holds neither."""
    error = event.refusal if event.error is None else event.error
    if isinstance(error, str):
        return {"error_message": error}
    return {} if error is None else _name_and_message(error)


def exception_fields(exc_info: ExcInfo) -> dict[str, str]:
    """
    Return ``error_type``, ``error_message`` and ``stack_trace`` of an exception.

    The trace has the whole chain, groups and notes, and never a local variable. An exception whose own methods raise
    still gives its type.
    """
    kind, error, trace = exc_info
    try:
        stack = "".join(traceback.format_exception(kind, error, trace))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 -- __str__ of a foreign exception may raise anything
        stack = "".join(traceback.format_tb(trace))
    return {**_name_and_message(error), "stack_trace": stack.rstrip("\n")}


def _name_and_message(error: BaseException) -> dict[str, str]:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 -- as above
        message = ""
    return {"error_type": name, "error_message": message}


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


_CONTROLS: Final = re.compile("[\0-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPELT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str) -> str:
    r"""
    Return *text* with every character spelt out that could end a line, move a cursor or turn the reading direction.

    For the formats that people read; JSON escapes by itself. ``"a\\x1b[2J"`` becomes those eight visible characters.
    """
    return _CONTROLS.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SPELT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
