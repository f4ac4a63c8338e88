"""
Renderers for people: ``logfmt``, ``text`` and rows for the console.

Write. They get an event with clean values and return text; characters that could forge a line are spelled out.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final

from obs_middleware.display.escape import escape_controls
from obs_middleware.display.row import Part, row
from obs_middleware.display.trace import in_colour, trace_lines
from obs_middleware.logs.line.encode import dumps

__all__ = ["render_logfmt", "render_row", "render_text"]

EventDict = MutableMapping[str, Any]

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
"""Style -> the escape sequence of a terminal."""


def render_logfmt(_: Any, __: str, event_dict: EventDict) -> str:
    """Render an event as ``key=value`` pairs."""
    return " ".join(f"{_logfmt_key(name)}={_logfmt_value(value)}" for name, value in event_dict.items())


def _logfmt_key(name: Any) -> str:
    return "".join("_" if not c.isprintable() or c in ' ="' else c for c in str(name)) or "_"


def _logfmt_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = dumps({"": value})[4:-1] if isinstance(value, (dict, list)) else str(value)
    if text and text.isprintable() and not set(' ="\\') & set(text):
        return text
    return '"' + escape_controls(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def render_text(_: Any, __: str, event_dict: EventDict) -> str:
    """Render an event as ``timestamp LEVEL logger message`` with the traceback below."""
    head = (event_dict["timestamp"], event_dict["level"].upper(), event_dict.get("logger", ""), event_dict["message"])
    lines = [" ".join(escape_controls(str(part)) for part in head)]
    lines.extend(trace_lines(event_dict))
    return "\n".join(lines)


def render_row(event: Mapping[str, Any], width: int | None, *, colours: bool) -> str:
    """
    Render an event as a row for people, with the traceback below.

    Args:
        event: The event.
        width: Columns of the terminal; None for a file or a pipe.
        colours: Whether the terminal takes escape sequences. Rich colours the traceback if it is installed.
    """
    lines = row(event, _local_time(event.get("timestamp")), width)
    trace = trace_lines(event)
    if not colours:
        return "\n".join([*("".join(part.text for part in line) for line in lines), *trace])
    shown = ["".join(map(_coloured, line)) for line in lines]
    if trace:
        shown.append(in_colour(trace) or "\n".join(trace))
    return "\n".join(shown)


def _coloured(part: Part) -> str:
    codes = ";".join(_CODES[word] for word in part.style.split())
    return f"\x1b[{codes}m{part.text}\x1b[0m" if codes else part.text


def _local_time(timestamp: Any) -> str:
    """Return the time of day in the time zone of the process, which Django sets to ``TIME_ZONE``."""
    try:
        return f"{datetime.fromisoformat(timestamp).astimezone():%H:%M:%S}"
    except (TypeError, ValueError, OverflowError, OSError):  # a processor may have changed it to any value
        return escape_controls(str(timestamp))
