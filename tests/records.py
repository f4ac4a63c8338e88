"""Log records with given attributes, and the lines that become of them."""

from __future__ import annotations

import logging
from typing import Any

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.testing import parse_line


def record_of(**attributes: Any) -> logging.LogRecord:
    """Return a record as a logger makes it; one without its level would never take the formatter's shortcut."""
    return logging.makeLogRecord({"msg": "hi", "name": "site", "levelno": 20, "levelname": "INFO", **attributes})


def line_of(formatter: logging.Formatter | None = None, **attributes: Any) -> dict[str, Any]:
    """Return the parsed line of a record with these *attributes*."""
    return parse_line((formatter or JSONFormatter()).format(record_of(**attributes)))
