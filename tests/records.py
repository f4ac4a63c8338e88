"""Log records with given attributes, fields of events, and the lines that are made of them."""

from __future__ import annotations

import logging
from typing import Any

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line import encode
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.values import NO_SECRETS
from obs_middleware.redaction import Secrets
from obs_middleware.testing import parse_line

clean = Cleaner().clean


class Interrupted(Exception):
    """
    A value, a message or an exception during whose ``__str__`` the user presses Ctrl-C; once, as a signal is.

    Args:
        stop: The interrupt: `KeyboardInterrupt` or `SystemExit`.
    """

    def __init__(self, stop: type[BaseException]) -> None:
        self._stops = [stop]

    def __str__(self) -> str:
        if self._stops:
            raise self._stops.pop()
        return "text"


def record_of(**attributes: Any) -> logging.LogRecord:
    """Return a record as a logger makes it; one without its level would never take the formatter's shortcut."""
    return logging.makeLogRecord({"msg": "hi", "name": "site", "levelno": 20, "levelname": "INFO", **attributes})


def line_of(formatter: logging.Formatter | None = None, **attributes: Any) -> dict[str, Any]:
    """Return the parsed line of a record with these *attributes*."""
    return parse_line((formatter or JSONFormatter()).format(record_of(**attributes)))


def fields(event_dict: dict[Any, Any], secrets: Secrets = NO_SECRETS) -> dict[str, Any]:
    """Return the cleaned fields of an event."""
    return Cleaner(secrets).clean_fields(event_dict)[0]


def dumps(event_dict: dict[str, Any]) -> str:
    """Render an event as the formatter does."""
    return encode.dumps(fields(event_dict))
