"""
Renderers for people: ``logfmt``, ``text`` and the preparation for structlog's console renderer.

Write. They get an event with clean values and return text; characters that could forge a line are spelled out.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

from obs_middleware.logs.line.encode import dumps
from obs_middleware.logs.line.escape import escape_controls

__all__ = ["make_printable", "render_logfmt", "render_text", "wrap"]

EventDict = MutableMapping[str, Any]


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
    lines.extend(_trace_lines(event_dict))
    return "\n".join(lines)


def _trace_lines(event_dict: EventDict) -> list[str]:
    trace = "\n".join(str(event_dict[name]) for name in ("stack_info", "stack_trace") if event_dict.get(name))
    # Indented, so that no line of an exception's text looks like a line of the log.
    return [f"  {escape_controls(line)}" for line in trace.split("\n")] if trace else []


_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def wrap(text: str, width: int) -> str:
    """Break the first line of *text* at spaces, so that each part fits in *width* visible characters if possible."""
    head, end, trace = text.partition("\n")
    if len(_COLOURS.sub("", head)) <= width:
        return text
    parts: list[str] = []
    column = 0
    for word in head.split(" "):
        size = len(_COLOURS.sub("", word))
        if parts and column + 1 + size > width:
            parts.append("\n    ")
            column = 4 + size
        else:
            parts.append(" " if parts else "")
            column += size + bool(column)
        parts.append(word)
    return "".join((*parts, end, trace))


def make_printable(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """Return the fields that structlog's `ConsoleRenderer` shows, as printable text."""
    trace = _trace_lines(event_dict)
    printable = {"event": escape_controls(event_dict["message"])}
    for name, value in event_dict.items():
        if name not in {"message", "event_id", "stack_info", "stack_trace"}:
            # The renderer treats fields of these names as a traceback.
            shown = f"app_{name}" if name in {"exception", "stack"} else escape_controls(name)
            printable[shown] = escape_controls(value) if isinstance(value, str) else value
    if trace:
        printable["exception"] = "\n".join(trace)
    return printable
