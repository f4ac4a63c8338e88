"""
The tree of a story: `tree_of` hangs every unit of work below the one that caused it.

Read. Clocks of several machines may differ by a little, so a unit is placed by ids first, and by time only among the
units that remain.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from obs_middleware.read.answers import FAILED_OUTCOMES, FAILED_STATUS
from obs_middleware.read.gather import task_ids
from obs_middleware.read.kinds import COMMAND, REQUEST, TASK, Kind
from obs_middleware.read.parsed_line import ParsedLine

__all__ = ["Unit", "tree_of", "walk"]

_LOOKED_AT: Final = 100
"""Of units with the same id, only so many are compared with each other: a client may send one id for ever."""
_DEEPEST: Final = 30
"""A task that enqueues itself again and again would be a tree without end. Below this level, its units are in a row."""
_LATEST: Final = dt.datetime.max  # noqa: DTZ901 -- times of lines are in UTC, without a zone


@dataclass(eq=False, slots=True)
class Unit:
    """
    A unit of work in a story.

    Attributes:
        kind: Its kind.
        fields: The fields of its line; if that is missing, those that its other lines tell.
        line: The line of the unit; None if it was not found, so that the unit may still wait or run.
        lines: Its other lines.
        units: The units that it has caused, in the order in which they began.
    """

    kind: Kind
    fields: dict[str, Any]
    line: ParsedLine | None = None
    lines: list[ParsedLine] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name for people: method and path, the name of the task or command, or else an id."""
        own = self.fields.get(self.kind.name) or self.fields.get("path")
        if own is None:
            return str(self.fields.get(self.kind.id) or self.kind.name)
        return f"{self.fields['method']} {own}" if self.fields.get("method") and self.kind is REQUEST else str(own)

    @property
    def ended(self) -> dt.datetime | None:
        """The time of the line, which is written at the end of the work."""
        return None if self.line is None else self.line.fields["timestamp"]

    @property
    def started(self) -> dt.datetime | None:
        """When the work began, or the time of the first line that is known."""
        if self.line is None:
            return min((one for line in self.lines if (one := line.fields["timestamp"])), default=None)
        return _before(self.ended, self.line.fields["duration_seconds"])

    @property
    def enqueued(self) -> dt.datetime | None:
        """When the work began to wait; the same as `started` if it did not."""
        return _before(self.started, self.fields.get("queue_seconds"))

    @property
    def failed(self) -> bool:
        """Whether the work failed."""
        return (self.fields.get("status") or 0) >= FAILED_STATUS or self.fields.get("outcome") in FAILED_OUTCOMES

    def entries(self) -> list[Unit | ParsedLine]:
        """Return its units and its other lines together, in the order of time."""
        both: list[Unit | ParsedLine] = [*self.lines, *self.units]
        return sorted(
            both, key=lambda one: (one.started if isinstance(one, Unit) else one.fields["timestamp"]) or _LATEST
        )


def walk(units: Iterable[Unit]) -> Iterator[Unit]:
    """Yield *units* and all that they have caused."""
    for unit in units:
        yield unit
        yield from walk(unit.units)


def tree_of(lines: Sequence[ParsedLine]) -> list[Unit]:
    """Return the units of *lines* that no other unit has caused, each with all that it has caused."""
    return _Tree(_once(lines)).roots()


def _once(lines: Iterable[ParsedLine]) -> Iterator[ParsedLine]:
    """Yield lines, those that a shipper has sent again only once."""
    seen = set()
    for line in lines:
        key = (line.fields["event_id"], line.fields["timestamp"], line.fields["message"])
        if line.fields["event_id"] is None or key not in seen:
            seen.add(key)
            yield line


class _Begun:
    """Units in the order in which they began."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._times: list[dt.datetime] = []

    def add(self, unit: Unit) -> None:
        """Add a unit that began after all others, or whose beginning is unknown."""
        self._units.append(unit)
        self._times.append(unit.started or _LATEST)

    def at(self, when: dt.datetime | None, without: Unit | None = None) -> Unit | None:
        """Return the last one that had begun at *when*, but for *without*; the first one if none had."""
        place = 0 if when is None else bisect.bisect_right(self._times, when)
        before = (one for one in reversed(self._units[max(place - _LOOKED_AT, 0) : place]) if one is not without)
        others = (one for one in self._units if one is not without)
        return next(before, None) or next(others, None)

    def around(self, inner: Unit) -> Unit | None:
        """Return the shortest unit during which *inner* ran; None if there is none among the last that had begun."""
        started, ended, seconds = inner.started, inner.ended, _seconds(inner)
        if started is None or ended is None:
            return None
        place = bisect.bisect_right(self._times, started)
        before = self._units[max(place - _LOOKED_AT, 0) : place]
        found = [one for one in before if (end := one.ended) is not None and end >= ended and _seconds(one) > seconds]
        return min(found, key=_seconds, default=None)


class _Index:
    """Units by the values of one field."""

    def __init__(self, units: Iterable[Unit], values: Callable[[Unit], Iterable[str | None]]) -> None:
        self._values = values
        self._found: dict[str, _Begun] = {}
        for unit in units:
            self.add(unit)

    def add(self, unit: Unit) -> None:
        for value in self._values(unit):
            if value is not None:
                self._found.setdefault(value, _Begun()).add(unit)

    def __getitem__(self, value: str | None) -> _Begun:
        return self._found.get(value or "") or _Begun()

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __contains__(self, value: str) -> bool:
        return value in self._found


def _of(name: str, *, tasks: bool | None = None) -> Callable[[Unit], list[str | None]]:
    """Return a function for the value of a field; with *tasks*, only of tasks or only of all other units."""
    return lambda unit: [unit.fields.get(name)] if tasks in {None, unit.kind is TASK} else []


class _Tree:
    def __init__(self, lines: Iterable[ParsedLine]) -> None:
        rest, units = [], []
        for line in lines:
            if line.kind is None:
                rest.append(line)
            else:
                units.append(Unit(line.kind, line.fields, line))
        self._units = sorted(units, key=lambda one: one.started or _LATEST)
        self._parents: dict[Unit, Unit] = {}
        self._of_task = _Index(self._units, _of("task_id", tasks=True))
        self._of_request = _Index(self._units, _of("request_id", tasks=False))
        self._of_span = _Index(self._units, _of("span_id"))
        self._sent_by = _Index(self._units, lambda unit: task_ids(unit.line) if unit.line else ())
        for line in rest:
            self._owner(line).lines.append(line)
        # Tasks that were enqueued, and that no line tells of.
        self._units += [Unit(TASK, {"task_id": one}) for one in self._sent_by if one not in self._of_task]
        first: dict[str, Unit] = {}
        for unit in self._units:
            task_id = unit.fields.get("task_id") if unit.kind is TASK else None
            # A retry has the same cause as the first attempt.
            earlier = first.setdefault(task_id, unit) if task_id is not None else unit
            parent = self._cause(unit) if earlier is unit else self._parents.get(earlier)
            if parent is not None and not self._is_below(parent, unit):
                self._parents[unit] = parent

    def roots(self) -> list[Unit]:
        """Return the units without a cause, with the others below them, but at most `_DEEPEST` levels."""
        below: dict[Unit | None, list[Unit]] = {}
        for unit in sorted(self._units, key=lambda one: one.started or _LATEST):
            below.setdefault(self._parents.get(unit), []).append(unit)
        found: list[Unit] = []
        waiting: deque[tuple[Unit, Unit | None, int]] = deque((unit, None, 0) for unit in below.get(None, ()))
        while waiting:
            unit, above, depth = waiting.popleft()
            (found if above is None else above.units).append(unit)
            place = (unit, depth + 1) if depth < _DEEPEST else (above, depth)
            waiting.extend((one, *place) for one in below.get(unit, ()))
        return found

    def _owner(self, line: ParsedLine) -> Unit:
        """Return the unit in which *line* was written; a new one if its line is missing."""
        fields = line.fields
        kind = TASK if fields["task_id"] else COMMAND if fields["command"] else REQUEST
        of_id = self._of_task if kind is TASK else self._of_request
        when = fields["timestamp"]
        found = self._of_span[fields["span_id"]].at(when) or of_id[fields[kind.id]].at(when)
        if found is None:
            kept = ("request_id", "task_id", "task", "command", "method", "path", "span_id")
            found = Unit(kind, {name: fields[name] for name in kept if fields[name] is not None})
            self._units.append(found)
            of_id.add(found)
        return found

    def _cause(self, unit: Unit) -> Unit | None:
        """Return the unit that has caused *unit*; None if no line tells of it."""
        fields, when = unit.fields, unit.enqueued
        of_request = self._of_request[fields.get("request_id")]
        if unit.kind is not TASK:
            # A request of the same id inside another one is a call of another service.
            return self._of_span[fields.get("parent_span_id")].at(when, unit) or of_request.around(unit)
        above, task_id = fields.get("parent_task_id"), fields.get("task_id")
        return (
            self._of_task[above if above != task_id else None].at(when, unit)
            or self._sent_by[task_id].at(when, unit)
            or self._of_span[fields.get("parent_span_id")].at(when, unit)
            or of_request.at(when, unit)
        )

    def _is_below(self, unit: Unit, other: Unit) -> bool:
        """Return whether *unit* is *other*, or below it: a damaged line must not make a circle."""
        seen: Unit | None = unit
        while seen is not None:
            if seen is other:
                return True
            seen = self._parents.get(seen)
        return False


def _before(when: dt.datetime | None, seconds: float | None) -> dt.datetime | None:
    try:
        return when if when is None or seconds is None else when - dt.timedelta(seconds=seconds)
    except OverflowError:  # a damaged line may claim any duration
        return when


def _seconds(unit: Unit) -> float:
    return float(unit.fields.get("duration_seconds") or 0.0)
