"""
Find every line of a story: `gather`.

Read. An id leads to further ids: the line of a request names the tasks that it has enqueued, and the lines of a task
name the request, the task that enqueued it, and more tasks. Each id is looked up once, until there is no new one.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.where.conditions import Compared, Condition, Has, Some, one_of, starts_with

__all__ = ["MOST_IDS", "SHORTEST", "STORY_FIELDS", "Find", "Gathered", "gather", "task_ids"]

Find = Callable[[Condition, Sequence[str]], Sequence[ParsedLine]]
"""Returns the lines that match a condition, with `STORY_FIELDS`. Each contains one of the texts, if there are any."""

SHORTEST: Final = 4
"""A shorter text must be a whole id."""

MOST_IDS: Final = 10_000
"""A story with more ids is cut: such an id is not that of one request."""

_NAMED: Final = 5
_ROUND: Final = 500
"""Ids that are looked up at a time."""

_FEW_IDS: Final = 20
"""To look for more texts than this in each line costs more than to read its fields."""

STORY_FIELDS: Final = (
    "timestamp", "level", "logger", "message", "event_id", "service", "kind", "request_id", "span_id",
    "parent_span_id", "method", "path", "status", "outcome", "duration_seconds", "queue_seconds", "task", "task_id",
    "parent_task_id", "queue", "attempt", "tasks", "command", "exit_code", "close_code", "db_queries", "db_seconds",
    "http_calls", "http_seconds", "error_type", "error_message",
)  # fmt: skip
"""The fields of a line that the tree is made of."""

_PLAIN: Final = re.compile(r"[\w.:-]+", re.ASCII)


class Gathered(NamedTuple):
    """
    The lines of a story.

    Attributes:
        id: The whole id.
        lines: The lines in the order of time; none if no line has the id.
        note: What is missing, if the story was cut.
    """

    id: str
    lines: list[ParsedLine]
    note: str | None


def gather(wanted: str, find: Find) -> Gathered:
    """
    Return all lines of the story of the id that *wanted* means.

    Args:
        wanted: The id of a request or of a task, or at least `SHORTEST` characters of its start.
        find: Looks lines up.

    Raises:
        ExpressionError: Several ids begin with *wanted*.
    """
    begins = Some((starts_with("request_id", wanted), starts_with("task_id", wanted)))
    exact = Some((Compared("request_id", "=", wanted), Compared("task_id", "=", wanted)))
    found = find(begins if len(wanted) >= SHORTEST else exact, _texts([wanted]))
    whole = _whole(wanted, sorted({one for line in found for one in _own_ids(line) if one.startswith(wanted)}))
    story = _Story()
    story.add(line for line in found if whole in _own_ids(line))
    if story.lines:
        story.complete(whole, find)
    return Gathered(whole, [line for line, _ in sorted(story.lines.values(), key=lambda pair: pair[1])], story.note)


class _Story:
    """
    The lines that were found so far.

    Attributes:
        lines: Text -> line and time, so that a line that is found twice counts once.
        note: What is missing, if there are too many ids.
    """

    def __init__(self) -> None:
        self.lines: dict[str, tuple[ParsedLine, dt.datetime]] = {}
        self.note: str | None = None
        self._requests: set[str] = set()
        self._tasks: set[str] = set()

    def add(self, lines: Iterable[ParsedLine]) -> None:
        """Add *lines*, which are in the order of time. One without a time stays behind the line before it."""
        latest = dt.datetime.min  # noqa: DTZ901 -- times of lines are in UTC, without a zone
        for line in lines:
            latest = line.fields["timestamp"] or latest
            self.lines.setdefault(line.text, (line, latest))

    def complete(self, whole: str, find: Find) -> None:
        """Look up all ids that the lines name, and those of the lines that this finds."""
        # The lines with this id as their own are there. Those that name it as the id of a task may be missing.
        if any(line.fields["request_id"] == whole for line, _ in self.lines.values()):
            self._requests.add(whole)
        while new := self._new()[:_ROUND]:
            if len(self._requests) + len(self._tasks) >= MOST_IDS:
                self.note = f"the story has more than {MOST_IDS:,} ids: the lines that only the others have are missing"
                return
            self._requests.update(one for field, one in new if field == "request_id")
            self._tasks.update(one for field, one in new if field == "task_id")
            self.add(find(_naming(new), _texts([one for _, one in new])))

    def _new(self) -> list[tuple[str, str]]:
        """Return the ids that were not looked up yet, with the names of their fields."""
        lines = [line for line, _ in self.lines.values()]
        requests = {one for line in lines if (one := line.fields["request_id"]) is not None} - self._requests
        tasks = {one for line in lines for one in (*_named_tasks(line), *task_ids(line))} - self._tasks
        return [*(("request_id", one) for one in sorted(requests)), *(("task_id", one) for one in sorted(tasks))]


def task_ids(line: ParsedLine) -> list[str]:
    """Return the ids of the tasks that the unit of *line* has enqueued, as its `tasks` has them."""
    try:
        found: Any = json.loads(line.fields["tasks"] or "[]")
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _named_tasks(line: ParsedLine) -> Iterator[str]:
    yield from (one for field in ("task_id", "parent_task_id") if (one := line.fields[field]) is not None)


def _own_ids(line: ParsedLine) -> list[str]:
    return [one for field in ("request_id", "task_id") if (one := line.fields[field]) is not None]


def _naming(ids: Iterable[tuple[str, str]]) -> Condition:
    """Return the condition that a line has one of *ids*, or names it as that of a task."""
    requests, tasks = ([one for field, one in ids if field == name] for name in ("request_id", "task_id"))
    return Some(
        (
            one_of("request_id", requests),
            one_of("task_id", tasks),
            one_of("parent_task_id", tasks),
            *(Has("tasks", one) for one in tasks),
        )
    )


def _texts(ids: Sequence[str]) -> list[str]:
    """Return *ids* as texts that are in the line as they are; none if one may be escaped there."""
    return list(ids) if len(ids) <= _FEW_IDS and all(_PLAIN.fullmatch(one) for one in ids) else []


def _whole(wanted: str, ids: Sequence[str]) -> str:
    """Return the id that *wanted* means; *ids* begin with it."""
    if wanted in ids or not ids:
        return wanted
    if len(ids) == 1:
        return ids[0]
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    raise ExpressionError(
        f"{len(ids)} ids begin with {wanted!r}: {', '.join(ids[:_NAMED])}{more}; give more characters"
    )
