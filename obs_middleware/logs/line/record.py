"""
What a log record has on it: whose each attribute is, the id of its line, and its text when the arguments do not fit.

Write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from pythonjsonlogger.core import RESERVED_ATTRS

from obs_middleware.logs.line.clean import unused_key
from obs_middleware.measure.ids import is_event_id, new_event_id
from obs_middleware.measure.vocabulary import own_name

__all__ = ["LEVELS", "RECORD_SIZE", "event_id_of", "extra_of", "unformatted"]

RECORD_SIZE: Final = len(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
"""How many attributes a record has; with more of them it has ``extra``, or what a record factory of the site adds."""

LEVELS: Final = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
"""The names of the standard levels, as they are on a line, whatever a site calls them (`logging.addLevelName`)."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None), list, tuple, dict})
_NOT_EXTRA: Final = frozenset(RESERVED_ATTRS) | {
    "event_id",
    # set by structlog, for its ProcessorFormatter
    "_logger",
    "_name",
    "_from_structlog",
    "_record",
}


def event_id_of(record: logging.LogRecord) -> str:
    """
    Return the id of a line, which is kept on its record: a second handler writes the same line under the same id.

    An ``event_id`` that the call gave in `extra` is renamed on the record, as every such name is.
    """
    attributes = record.__dict__
    given = attributes.get("event_id")
    if type(given) is str and is_event_id(given):
        return given
    if "event_id" in attributes:
        attributes[unused_key(own_name("event_id"), attributes)] = given
    event_id = attributes["event_id"] = new_event_id()
    return event_id


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a call has put on *record*, without what Django and uvicorn put there for their own formatters."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _NOT_EXTRA}
    if "request" in extra and type(extra["request"]) not in _PLAIN:  # a request, or a socket
        del extra["request"]
    name = record.name or ""
    if name == "django.server":
        extra.pop("server_time", None)
    elif name.startswith("uvicorn"):
        extra.pop("color_message", None)
    return extra


def unformatted(record: logging.LogRecord) -> Any:
    """Return the text of a record, or its template when the arguments do not fit it."""
    message: Any = record.msg
    try:
        if issubclass(type(message), Mapping):
            # Not the text of the whole dict: there may be secrets in it.
            return message.get("event", "")
        return record.getMessage()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 -- any method of a foreign message or argument may raise anything
        return message
