"""
Lines for people: `shown_line`.

A line of the log becomes one line on the screen, and the lines of its traceback follow. Text is inert.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from obs_middleware.read.answers import FAILED_OUTCOMES, FAILED_STATUS, ParsedLine
from obs_middleware.read.show.numbers import duration
from obs_middleware.read.show.text import inert

__all__ = ["SHOWN_FIELDS", "failed", "shown_line", "write_shown"]

SHOWN_FIELDS: Final = (
    "timestamp",
    "level",
    "logger",
    "message",
    "method",
    "path",
    "status",
    "outcome",
    "duration_seconds",
    "request_id",
    "error_type",
    "stack_trace",
)
"""The fields that `shown_line` needs."""

_INDENT: Final = "    "


def shown_line(line: ParsedLine, zone: dt.tzinfo, *, dated: bool = False) -> Text:
    """
    Return *line* in a form for people.

    Args:
        line: A line with `SHOWN_FIELDS`.
        zone: The time zone of the time.
        dated: Whether the date comes before the time.
    """
    fields = line.fields
    if not line.is_event:
        return Text(inert(line.text), style="dim")
    text = Text()
    text.append(_time(fields["timestamp"], zone, dated=dated), style="dim")
    _add_request(text, fields) if line.is_request else _add_other(text, fields)
    if fields["request_id"]:
        text.append(f"  {inert(fields['request_id'])}", style="dim")
    for below in (fields["stack_trace"] or "").splitlines():
        text.append(f"\n{_INDENT}{inert(below)}", style="dim")
    return text


def write_shown(output: Console, lines: Iterable[Text]) -> None:
    """Write *lines*. A file or a pipe gets them without Rich, which takes about half of the time."""
    if output.is_terminal:
        for line in lines:
            output.print(line)
        return
    output.file.writelines(f"{line.plain}\n" for line in lines)


def failed(fields: Mapping[str, Any]) -> bool | None:
    """Return whether a request failed; None if its line has neither status nor outcome."""
    if fields["status"] is None and fields["outcome"] is None:
        return None
    return (fields["status"] or 0) >= FAILED_STATUS or fields["outcome"] in FAILED_OUTCOMES


def _add_request(text: Text, fields: Mapping[str, Any]) -> None:
    status = fields["status"]
    style = "red" if failed(fields) else "yellow" if (status or 0) >= 400 else "green"
    text.append(f"{'-' if status is None else status:>4} ", style=style)
    text.append(f"{duration(fields['duration_seconds']):>8} ", style="bold")
    if fields["path"] is None:
        text.append(inert(fields["message"] or ""))
    else:
        text.append(f" {inert(fields['method'] or '-')} {inert(fields['path'])}")
    if fields["outcome"] not in {None, "ok"}:
        text.append(f"  {inert(fields['outcome'])}", style=style)
    if fields["error_type"]:
        text.append(f" {inert(fields['error_type'])}", style=style)


def _add_other(text: Text, fields: Mapping[str, Any]) -> None:
    level = fields["level"]
    style = "red" if level in {"error", "critical"} else "yellow" if level == "warning" else "cyan"
    text.append(f"{inert(level):>13} ", style=style)
    if fields["logger"]:
        text.append(f" {inert(fields['logger'])}:", style="dim")
    text.append(f" {inert(fields['message'] or '')}")


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
