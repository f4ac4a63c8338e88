"""
Read a usual log record: its text and its fields, at a fraction of the cost of the chain of `JSONFormatter`.

Write. A record is usual if it is a plain `logging.LogRecord` without an exception, at a standard level, and its own
fields have names that the package does not use. They come from ``extra``, from a logger of structlog, or from both.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from obs_middleware.logs.line.bound import VARIABLES, bound_contextvars
from obs_middleware.logs.line.limits import SHORT_TEXT
from obs_middleware.logs.line.nested import THREAD
from obs_middleware.logs.line.record import BEFORE_THE_RESPONSE, LEVELS, NOT_EXTRA, RECORD_SIZE, STANDARD
from obs_middleware.measure.event import current_event
from obs_middleware.measure.ids import is_event_id, new_event_id
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["usual_fields"]

_NOTHING: Final[Mapping[str, Any]] = {}
_LAST: Final = STANDARD[-1]
_OF_STRUCTLOG: Final = frozenset({"_logger", "_name"})
_AS_STRUCTLOG_ADDS: Final = ("_name", "_logger", _LAST)
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_UNUSUAL: Final = (NOT_EXTRA | frozenset(FIELDS) | {"event", "exc_info", "stack"}) | {
    # of Django and uvicorn, and left out on some records only
    "request",
    "server_time",
    "color_message",
}
"""Names that the chain may rename or leave out."""


def usual_fields(  # noqa: C901, PLR0911, PLR0912, PLR0915 -- done for each line, so calls little
    record: logging.LogRecord,
) -> tuple[str, bool, Mapping[str, Any], bool] | None:
    """
    Return the text of *record*, whether it is the line of a unit, the fields behind its head, and whether any is own.

    A field is own if the application gave it. Return None if the record is not usual. Otherwise the record has an
    ``event_id`` afterwards. The fields may be shared with other lines, so do not change them. Their names and values
    are not checked, except that no field of the application has the name of another one.

    Args:
        record: The log record. No other one is being formatted in this thread.

    Raises:
        Exception: Treat it as None. Cause: arguments that do not fit the message.
    """
    attributes = record.__dict__
    message: Any = record.msg
    if (
        type(record) is not logging.LogRecord  # a subclass may have another text
        or record.levelno not in LEVELS
        or record.exc_info
        or record.exc_text
        or record.stack_info
    ):
        return None
    own: Mapping[str, Any] = _NOTHING
    if type(message) is dict:
        # A new record of structlog has these two attributes more, and nothing else that `_added` would look for.
        names = reversed(attributes)
        if (next(names), next(names), next(names)) == _AS_STRUCTLOG_ADDS and len(attributes) == RECORD_SIZE + 2:
            attributes["event_id"] = new_event_id()
        elif (added := _added(attributes)) is None or added.keys() != _OF_STRUCTLOG:
            return None
    elif len(attributes) > RECORD_SIZE:
        added = _added(attributes)
        if added is None:
            return None
        own = added
    elif next(reversed(attributes)) != _LAST:  # a filter took a standard one away, and something was added
        return None
    else:
        attributes["event_id"] = new_event_id()
    event = current_event.get()
    fields: Mapping[str, Any] = _NOTHING
    is_line = False
    if event is not None and message is not None and message is event.message:
        if own or event.error is not None or event.refusal is not None:
            return None
        is_line = True
        fields = event.line()
        has_own = event.said is not None or "headers" in fields
    else:
        kind = type(message)
        if kind is dict:
            given = message.copy()
            message = given.pop("event", None)
            own = given
            if type(message) is not str:
                return None
        elif kind is not str:
            return None
        elif record.args:
            arguments = record.args
            for argument in arguments if type(arguments) is tuple else (arguments,):
                if type(argument) not in _PLAIN:
                    depth = THREAD.depth
                    THREAD.depth = 1  # the argument's own code may log; `Formatting` would cost six calls
                    try:
                        message %= arguments
                    finally:
                        THREAD.depth = depth
                    break
            else:
                message %= arguments  # as record.getMessage() does, which would be a call
        if len(message) > SHORT_TEXT or (own and not _UNUSUAL.isdisjoint(own)):
            return None
        has_own = bool(own)
        if event is not None:
            if event.done and record.name.startswith(BEFORE_THE_RESPONSE):
                return None
            fields = event.context
            if event.said is not None:
                # A value given with the line replaces a bound one, in the place that the line gave it.
                fields = {**own, **fields, **event.said.bound, **own}
                has_own = True
            elif own:
                fields = {**own, **fields}
        elif own:
            fields = own
    if VARIABLES and (bound := bound_contextvars()):
        if not _UNUSUAL.isdisjoint(bound):
            return None
        fields = {**fields, **bound, **fields}
        has_own = True
    return message, is_line, fields, has_own


def _added(attributes: dict[str, Any]) -> dict[str, Any] | None:
    """
    Return what was added to a record after it was made, but for the ``event_id``, which it has afterwards.

    Return None if the record is not like one that was just made.
    """
    # Attributes keep their order, so the added ones come after the last one that every record has.
    names = [*islice(reversed(attributes), len(attributes) - RECORD_SIZE + 1)]
    if not names or names.pop() != _LAST:
        return None
    names.reverse()
    added = {}
    for name in names:
        added[name] = attributes[name]
    if "message" in added:  # set by the formatter of another handler
        del added["message"]
        added.pop("asctime", None)
    if "event_id" not in added:
        attributes["event_id"] = new_event_id()
        return added
    event_id = added.pop("event_id")  # set by a handler before us, or given by the call, which may be anything
    return added if type(event_id) is str and is_event_id(event_id) else None
