"""
Lines for people: `write_shown`.

A line of the log becomes a row, as in the format ``console``, and the lines of its traceback follow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from obs_middleware.display.escape import escape_controls
from obs_middleware.display.row import Line, Part, row
from obs_middleware.display.terminal import width_of
from obs_middleware.display.trace import highlighted, trace_lines
from obs_middleware.read.answers import FAILED_OUTCOMES, FAILED_STATUS
from obs_middleware.read.other_fields import other_fields
from obs_middleware.read.parsed_line import ParsedLine

__all__ = ["SHOWN_FIELDS", "failed", "write_shown"]

SHOWN_FIELDS: Final = (
    "timestamp",
    "level",
    "logger",
    "message",
    "kind",
    "method",
    "path",
    "task",
    "task_id",
    "attempt",
    "command",
    "exit_code",
    "close_code",
    "status",
    "outcome",
    "duration_seconds",
    "queue_seconds",
    "db_queries",
    "db_repeats",
    "db_repeated_at",
    "http_calls",
    "http_seconds",
    "blocked_seconds",
    "blocked_at",
    "slow_at",
    "slow",
    "request_id",
    "error_type",
    "error_message",
    "stack_trace",
)
"""The fields that `write_shown` needs. It finds all others itself, those of the application among them."""


def write_shown(output: Console, lines: Iterable[ParsedLine], zone: dt.tzinfo, *, dated: bool = False) -> None:
    """
    Write lines in a form for people. A file or a pipe gets them without Rich, which takes most of the time.

    Args:
        output: The console.
        lines: Lines with `SHOWN_FIELDS`.
        zone: The time zone of the times.
        dated: Whether the date comes before the time.
    """
    width = width_of(output.file)
    for line in lines:
        rows: list[Line] = [[Part(escape_controls(line.text), "dim")]]
        below: list[str] = []
        if line.is_event:
            known = {name: value for name, value in line.fields.items() if value is not None}
            fields = other_fields(line.text, SHOWN_FIELDS) | known
            rows = row(fields, _time(fields.get("timestamp"), zone, dated=dated), width)
            below = trace_lines(fields)
        if output.is_terminal:
            output.print(_coloured(rows, below))
        else:
            output.file.write("\n".join([*("".join(part.text for part in one) for one in rows), *below, ""]))


def _coloured(rows: Iterable[Line], below: Sequence[str]) -> Text:
    texts = [Text.assemble(*one) for one in rows]
    if below:
        texts.append(highlighted(below) or Text("\n".join(below)))
    return Text("\n").join(texts)


def failed(fields: Mapping[str, Any]) -> bool | None:
    """Return whether a request failed; None if its line has neither status nor outcome."""
    if fields["status"] is None and fields["outcome"] is None:
        return None
    return (fields["status"] or 0) >= FAILED_STATUS or fields["outcome"] in FAILED_OUTCOMES


def _time(when: dt.datetime | None, zone: dt.tzinfo, *, dated: bool) -> str:
    form, width = ("%Y-%m-%d %H:%M:%S", 23) if dated else ("%H:%M:%S", 12)
    if when is None:
        return " " * width
    there = _in_zone(when.replace(tzinfo=dt.UTC), zone)
    return f"{there:{form}}.{there.microsecond // 1000:03d}"


def _in_zone(when: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    try:
        return when.astimezone(zone)
    except (OverflowError, ValueError):  # in no year of that zone
        return when
