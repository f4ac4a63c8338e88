"""
Read a log record: the fields that the call gave, the id of its line, and its text if the arguments do not fit.

Write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from pythonjsonlogger.core import RESERVED_ATTRS

from obs_middleware.failures import raise_interrupt
from obs_middleware.logs.line.values import unused_key
from obs_middleware.measure.ids import is_event_id, new_event_id
from obs_middleware.measure.vocabulary import own_name

__all__ = [
    "BEFORE_THE_RESPONSE",
    "LEVELS",
    "NOT_EXTRA",
    "RECORD_SIZE",
    "STANDARD",
    "event_id_of",
    "extra_of",
    "unformatted",
]

STANDARD: Final = tuple(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
"""The attributes of a plain record, in order. More come from ``extra`` or from a record factory of the site."""

RECORD_SIZE: Final = len(STANDARD)

LEVELS: Final = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
"""The names of the standard levels on a line. `logging.addLevelName` does not change these."""

BEFORE_THE_RESPONSE: Final = ("django.request", "django.security.")
"""Django logs on these when the middleware has returned, and the response has not been sent yet."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None), list, tuple, dict})
NOT_EXTRA: Final = frozenset(RESERVED_ATTRS) | {
    "event_id",
    # set by structlog, for its ProcessorFormatter
    "_logger",
    "_name",
    "_from_structlog",
    "_record",
}
"""Attributes of a record that are no fields of its line."""


def event_id_of(record: logging.LogRecord) -> str:
    """
    Return the id of a line and keep it on the record, so that a second handler writes the line with the same id.

    An ``event_id`` that the call gave in `extra` is renamed on the record, like every name of our fields.
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
    """Return the ``extra`` of *record* without the attributes that Django and uvicorn add for their own formatters."""
    extra = {name: value for name, value in record.__dict__.items() if name not in NOT_EXTRA}
    if "request" in extra and type(extra["request"]) not in _PLAIN:  # a request or a socket
        del extra["request"]
    name = record.name if type(record.name) is str else ""
    if name == "django.server":
        extra.pop("server_time", None)
    elif name.startswith("uvicorn"):
        extra.pop("color_message", None)
    return extra


def unformatted(record: logging.LogRecord) -> Any:
    """Return the text of a record, or its template if the arguments do not fit."""
    message: Any = record.msg
    try:
        if issubclass(type(message), Mapping):
            # Not the text of the whole dict: it may contain secrets.
            return message.get("event", "")
        return record.getMessage()
    except BaseException as error:  # noqa: BLE001 -- any method of a foreign message or argument may raise anything
        raise_interrupt(error)
        return message
