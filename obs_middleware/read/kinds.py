"""
The kinds of work that have a line of their own: `KINDS`.

Read. A line without a kind is that of a request. So is a line with any other word there: it is a field that an
application bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from obs_middleware.read.where.conditions import Compared, Condition, Missing, Not, Some

__all__ = ["COMMAND", "KINDS", "REQUEST", "TASK", "WEBSOCKET", "WORDS", "Kind"]


class Kind(NamedTuple):
    """
    What the commands show of one kind of work.

    Attributes:
        name: The word of ``--kind``, also the noun for people; it is the `kind` on the line, unless it is `REQUEST`.
        by: The fields to group by, if the user names none.
        slow: The fields of one line that ``slow`` shows beside its time and duration, the most important first.
        id: The field that finds one of them again.
    """

    name: str
    by: tuple[str, ...]
    slow: tuple[str, ...]
    id: str

    @property
    def plural(self) -> str:
        """The noun for several."""
        return f"{self.name}s"

    @property
    def slow_fields(self) -> tuple[str, ...]:
        """The fields that `Requests.slowest` needs beside the duration."""
        return ("timestamp", *self.slow, self.id)

    @property
    def failure_fields(self) -> tuple[str, ...]:
        """The fields that `Requests.failures` needs beside `STATS_FIELDS`."""
        return ("error_type", "error_message", *self.by, self.id)

    @property
    def condition(self) -> Condition:
        """The condition that the line of a unit is of this kind."""
        if self is not REQUEST:
            return Compared("kind", "=", self.name)
        others = Some(tuple(Compared("kind", "=", name) for name in KINDS if name != self.name))
        return Some((Missing("kind"), Not(others)))


_DATABASE: Final = ("db_seconds", "db_queries")

REQUEST: Final = Kind(
    "request",
    ("method", "route"),
    ("method", "status", "path", "route", "outcome", *_DATABASE, "user_id"),
    "request_id",
)
TASK: Final = Kind(
    "task", ("task",), ("task", "outcome", "queue_seconds", "attempt", "queue", *_DATABASE, "request_id"), "task_id"
)
COMMAND: Final = Kind("command", ("command",), ("command", "outcome", "exit_code", *_DATABASE), "request_id")
WEBSOCKET: Final = Kind("websocket", ("path",), ("path", "outcome", "close_code", *_DATABASE, "user_id"), "request_id")

KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (REQUEST, TASK, COMMAND, WEBSOCKET)}
"""Name -> kind."""

WORDS: Final[Mapping[str, Kind]] = {"Request": REQUEST, "Task": TASK, "Command": COMMAND, "Connection": WEBSOCKET}
"""The first word of the message on the line of a unit -> its kind."""
