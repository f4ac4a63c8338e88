"""The tree of a story for people, and as data: `story_answer`."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from obs_middleware.display.escape import escape_controls
from obs_middleware.display.numbers import count, duration, moment, number_of
from obs_middleware.read.kinds import KINDS, TASK
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.show.text import BLANK, Answer, Column, Table, plain
from obs_middleware.read.story import Unit, walk

__all__ = ["story_answer"]

_BRANCH, _LAST, _ON, _OFF = "├─ ", "└─ ", "│  ", "   "
_WAITS, _RUNS = "░", "█"
_WIDTH: Final = 24
"""Columns of the course in time."""
_MILD: Final = frozenset({"retry", "cancelled", "aborted", "rejected", "revoked", "expired", "ignored"})
_LOOKS: Final = {"warning": "yellow", "error": "red", "critical": "red"}
_NO_LINE: Final = "no line: it waits or runs, or its line was left out"

_COLUMNS: Final = (
    Column("at", "at_seconds", duration),
    Column("work", "work", str, right=False, whole=True),
    Column("result", "result", plain, right=False, whole=True),
    Column("took", "took_seconds", duration),
    Column("waited", "waited_seconds", duration, spare=1),
    Column("course", "course", str, right=False, spare=3, whole=True),
    Column("details", "details", plain, right=False, spare=2),
)


def story_answer(whole: str, roots: Sequence[Unit], zone: dt.tzinfo) -> Answer:
    """
    Return the tree below *roots*: a row for each unit of work and for each other line, in the order of time.

    Args:
        whole: The id of the story.
        roots: The units that nothing in the story has caused.
        zone: The time zone of the times for people.
    """
    span = _Span(roots)
    several = len({unit.fields["service"] for unit in walk(roots) if unit.fields.get("service")}) > 1
    rows, styles = [], {}
    for number, (guide, one) in enumerate(_rows(roots)):
        rows.append(
            _unit_row(guide, one, span, several=several) if isinstance(one, Unit) else _line_row(guide, one, span)
        )
        if (style := _style(one)) is not None:
            styles[number] = style
    data = {"id": whole, "first": span.first, "last": span.last, "units": [_data(one) for one in roots]}
    table = Table("", _COLUMNS, tuple(rows), styles=styles)
    return Answer(data, (f"{escape_controls(whole)}: {_summary(roots)}", *span.text(zone)), (table,), _notes(roots))


class _Span:
    """
    The time of a story.

    Attributes:
        first: The beginning, when the first work was there; None if no line has a time.
        last: The end.
    """

    def __init__(self, roots: Sequence[Unit]) -> None:
        times = [time for unit in walk(roots) for time in _times(unit)]
        self.first = min(times).replace(tzinfo=dt.UTC) if times else None
        self.last = max(times).replace(tzinfo=dt.UTC) if times else None

    @property
    def seconds(self) -> float:
        """Its length."""
        return 0.0 if self.first is None or self.last is None else (self.last - self.first).total_seconds()

    def at(self, when: dt.datetime | None) -> float | None:
        """Return the seconds from the beginning to *when*."""
        return None if when is None or self.first is None else (when - self.first.replace(tzinfo=None)).total_seconds()

    def text(self, zone: dt.tzinfo) -> list[str]:
        """Return the span as a line, if it is known."""
        if self.first is None or self.last is None:
            return []
        return [f"{duration(self.seconds)} from {moment(self.first, zone)} to {moment(self.last, zone)}"]

    def course(self, unit: Unit) -> str | None:
        """Draw when *unit* waited and when it ran."""
        times = [self.at(one) for one in (unit.enqueued, unit.started, unit.ended)]
        if not self.seconds or None in times:
            return None
        waits, runs, ends = (min(int((one or 0.0) / self.seconds * _WIDTH), _WIDTH - 1) for one in times)
        return " " * waits + _WAITS * (runs - waits) + _RUNS * (max(ends - runs, 0) + 1)


def _times(unit: Unit) -> Iterator[dt.datetime]:
    own = (unit.enqueued, unit.ended, *(line.fields["timestamp"] for line in unit.lines))
    yield from (one for one in own if one is not None)


def _summary(roots: Sequence[Unit]) -> str:
    units = list(walk(roots))
    # All attempts at a task are one task.
    different = {
        (unit.kind.name, unit.fields.get("task_id") if unit.kind is TASK else number): unit
        for number, unit in enumerate(units)
    }
    kinds = Counter(name for name, _ in different)
    parts = [number_of(kinds[name], name) for name in KINDS if kinds[name]]
    if retries := sum(unit.fields.get("outcome") == "retry" for unit in units):
        parts.append(f"{count(retries)} {'retry' if retries == 1 else 'retries'}")
    if calls := sum(unit.fields.get("http_calls") or 0 for unit in units):
        parts.append(number_of(calls, "outgoing call"))
    if failed := sum(unit.failed for unit in units):
        parts.append(f"{count(failed)} failed")
    return ", ".join(parts)


def _notes(roots: Sequence[Unit]) -> tuple[str, ...]:
    lines = sum(len(unit.lines) + (unit.line is not None) for unit in walk(roots))
    waited = any(unit.fields.get("queue_seconds") for unit in walk(roots))
    legend = (f"{_WAITS} waited  {_RUNS} ran",) if waited else ()
    return (*legend, f"{number_of(lines, 'line')}; --format lines prints them")


def _rows(units: Sequence[Unit], guide: str | None = None) -> Iterator[tuple[str, Unit | ParsedLine]]:
    """Yield units and lines with the guide before their names. *guide* is that of the level above; None at the top."""
    for number, unit in enumerate(units):
        yield from _below(unit, guide, last=number == len(units) - 1)


def _below(unit: Unit, guide: str | None, *, last: bool) -> Iterator[tuple[str, Unit | ParsedLine]]:
    yield ("" if guide is None else guide + (_LAST if last else _BRANCH)), unit
    below = "" if guide is None else guide + (_OFF if last else _ON)
    left = len(unit.units)
    for one in unit.entries():
        if isinstance(one, Unit):
            left -= 1
            yield from _below(one, below, last=not left)
        else:
            yield below + (_ON if left else _OFF), one


def _unit_row(guide: str, unit: Unit, span: _Span, *, several: bool) -> tuple[Any, ...]:
    fields = unit.fields
    result = fields.get("status") if fields.get("status") is not None else fields.get("outcome")
    return (
        span.at(unit.started),
        guide + escape_controls(unit.name),
        result,
        fields.get("duration_seconds"),
        BLANK if unit.kind is not TASK and fields.get("queue_seconds") is None else fields.get("queue_seconds"),
        span.course(unit) or "",
        ", ".join(_details(unit, several=several)),
    )


def _line_row(guide: str, line: ParsedLine, span: _Span) -> tuple[Any, ...]:
    fields = line.fields
    blank: tuple[Any, ...] = (BLANK, BLANK, "")
    return (
        span.at(fields["timestamp"]),
        guide + escape_controls(fields["logger"] or "-"),
        fields["level"],
        *blank,
        _said(fields),
    )


def _said(fields: dict[str, Any]) -> str:
    error = f"{fields['error_type']}: {fields['error_message']}" if fields["error_type"] else ""
    return "; ".join(one for one in (fields["message"], error) if one)


def _details(unit: Unit, *, several: bool) -> Iterator[str]:
    fields = unit.fields
    if unit.line is None:
        yield _NO_LINE
    if several and fields.get("service"):
        yield str(fields["service"])
    if (attempt := fields.get("attempt")) is not None and (attempt > 1 or fields.get("outcome") == "retry"):
        yield f"attempt {attempt}"
    if fields.get("queue"):
        yield f"queue {fields['queue']}"
    for name in ("exit_code", "close_code"):
        if fields.get(name):
            yield f"{name.replace('_', ' ')} {fields[name]}"
    yield from _figures(fields)
    if fields.get("error_type"):
        yield (
            f"{fields['error_type']}: {fields['error_message']}"
            if fields.get("error_message")
            else fields["error_type"]
        )


def _figures(fields: dict[str, Any]) -> Iterator[str]:
    for one, many, prefix in (("call", "calls", "http"), ("query", "queries", "db")):
        if number := fields.get(f"{prefix}_{many}"):
            seconds = fields.get(f"{prefix}_seconds")
            took = "" if seconds is None else f" in {duration(seconds)}"
            yield f"{count(number)} {one if number == 1 else many}{took}"


def _style(one: Unit | ParsedLine) -> str | None:
    if isinstance(one, ParsedLine):
        return _LOOKS.get(one.fields["level"] or "", "dim")
    if one.failed:
        return "bold red"
    return "yellow" if one.line is None or one.fields.get("outcome") in _MILD else None


def _data(unit: Unit) -> dict[str, Any]:
    """Return a unit as JSON has it: its place in the tree, and its lines as they were written."""
    return {
        "kind": unit.kind.name,
        "name": unit.name,
        "enqueued": _utc(unit.enqueued),
        "started": _utc(unit.started),
        "ended": _utc(unit.ended),
        "failed": unit.failed if unit.line is not None else None,
        "line": None if unit.line is None else _original(unit.line),
        "lines": [_original(line) for line in unit.lines],
        "units": [_data(one) for one in unit.units],
    }


def _utc(when: dt.datetime | None) -> dt.datetime | None:
    return None if when is None else when.replace(tzinfo=dt.UTC)


def _original(line: ParsedLine) -> Any:
    """Return a line of JSON as its value, and any other line as text."""
    try:
        return json.loads(line.text)
    except ValueError:
        return line.text
