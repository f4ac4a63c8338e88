"""
Fold the access lines of development servers into the request lines.

Write. `obs_middleware.logs.filters` is the path to import the filter from.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.measure.event import current_event, failed_event

__all__ = ["FoldAccessLines"]

_WERKZEUG: Final = re.compile(r'" (\d{3}) \S+\s*$')
"""The end of werkzeug's access line: ``"GET / HTTP/1.1" 200 -``. runserver_plus has formatted the arguments."""

_COLOURS: Final = re.compile(r"\x1b\[[\d;]*m")


class FoldAccessLines(logging.Filter):
    """
    Drop the access line of a request whose request line was written, or is still to come.

    Put it on the logger of a development server. Requests that never reach the middleware keep their access line:
    static files, and those that the server itself refuses. So does a request whose line has not reached a handler with
    the filter `FoldDjangoRequests`. If the settings leave the request line out (``EXCLUDE``, ``QUIET``,
    ``SAMPLE_RATE``), they mean the access line too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for the access line of a request that has a line."""
        try:
            if _is_told(record):
                return False
            if logging.getLogger(record.name).propagate:
                _remove_colours(record)  # they are for a handler of the server
        except BaseException as failure:  # noqa: BLE001 -- an exception here would reach the server
            report_once("FoldAccessLines", failure)
        return True


def _is_told(record: logging.LogRecord) -> bool:
    status = _status_in(record)
    if status is None:
        return False
    event = current_event.get()
    if event is None:
        # An exception has passed through the middleware, to the debugger of werkzeug for example.
        event = failed_event.get()
        failed_event.set(None)
    if event is None or event.status != status:
        return False  # the request of a static file, or a layer above has answered otherwise
    return event.shown or event.is_left_out or not event.done


def _status_in(record: logging.LogRecord) -> int | None:
    """Return the status in the access line *record*, or None if it is another message of the server."""
    status: Any = None
    if record.name == "werkzeug":
        match = _WERKZEUG.search(_COLOURS.sub("", record.getMessage()))
        status = None if match is None else int(match[1])
    elif isinstance(record.args, Mapping):
        status = record.args.get("status")
    elif isinstance(record.args, tuple) and len(record.args) == 3:  # not "You're accessing ... over HTTPS"
        status = getattr(record, "status_code", None)
    return status if isinstance(status, int) else None


def _remove_colours(record: logging.LogRecord) -> None:
    if isinstance(record.msg, str):
        record.msg = _COLOURS.sub("", record.msg)
