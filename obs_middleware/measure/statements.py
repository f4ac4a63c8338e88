"""
Count how often a unit of work runs the same statement, and name the place of one that it runs many times.

Measure. No text of a statement and none of its parameters is kept: a statement is a number, which says nothing outside
this process.
"""

from __future__ import annotations

import itertools
import re
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from django.db import DEFAULT_DB_ALIAS

from obs_middleware.measure.callers import callers
from obs_middleware.measure.place import place_of
from obs_middleware.processes import call_after_fork

if TYPE_CHECKING:
    from obs_middleware.measure.event import Event

__all__ = ["LONGEST", "MOST", "Statements", "shape_of", "statements_of"]

MOST: Final = 4_096
"""How many different statements of a unit are counted before the rarest are forgotten, and how many texts are known."""

LONGEST: Final = 1_000
"""Characters of a statement that are looked at: the first half of them and the last half."""

_WALKS: Final = 10
"""How often a unit walks its stack, at most."""

_CONTROL: Final = re.compile(r"\s*(?:SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|START)\b", re.IGNORECASE)
"""Statements that only surround others. Those of a loop are as many, and it is those that can be fewer."""

_VALUES: Final = b"0123456789+-.,?$ \t\r\n"
"""Characters of numbers, of placeholders, and between values."""

_CUT: Final = " %s,()0123456789'"
"""Characters of lists of values, at the ends of the two halves of a long statement. They depend on its length."""


class Statements:
    """
    How often each statement of a unit ran. Several threads may count at once.

    Args:
        limit: How often a statement runs before its place is looked for.
    """

    __slots__ = ("_counters", "_limit", "_places", "_walks")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # A counter is atomic, and takes a third of the time of a lock.
        self._counters: dict[int, itertools.count[int]] = {}
        self._places: dict[int, str] = {}
        self._walks = _WALKS

    def count(self, sql: Any, alias: str) -> None:
        """
        Count a statement. When it reaches the limit, look for its place in the frames that wait for this call.

        A text that is known costs its hash and two look-ups.

        Args:
            sql: The statement as it was passed to the cursor.
            alias: The database. On another one it is another statement.
        """
        # In one function, because calls are most of its cost.
        shape = _shapes.get(hash(sql)) if type(sql) is str and len(sql) <= LONGEST else None
        if shape is None:
            shape = shape_of(sql)
            if not shape:
                return
        statement = shape if alias == DEFAULT_DB_ALIAS else shape ^ hash(alias)
        counter = self._counters.get(statement)
        if counter is None:
            counter = self._add(statement)
        if next(counter) >= self._limit and self._walks and statement not in self._places:
            self._locate(statement, sys._getframe(1))  # noqa: SLF001 -- documented, in spite of the underscore

    def _add(self, statement: int) -> itertools.count[int]:
        """Return the counter of *statement*, a new one. If there are too many, forget those that counted least."""
        if len(self._counters) >= MOST:
            counts = self._counts()
            middle = sorted(counts.values())[MOST // 2]
            self._counters = {one: itertools.count(count + 1) for one, count in counts.items() if count > middle}
        return self._counters.setdefault(statement, itertools.count(1))

    def _counts(self) -> dict[int, int]:
        """Return how often each statement ran. The counters cannot be used after that."""
        return {statement: next(counter) - 1 for statement, counter in self._counters.copy().items()}

    def _locate(self, statement: int, frame: FrameType) -> None:
        """
        Find the place of the application that runs *statement*.

        A unit does this once for each statement that it repeats, and at most ten times. Without a place there is
        another try when the statement runs again: the coroutine that waits for this thread may not have reached its
        ``await``.
        """
        self._walks -= 1
        place = place_of(callers(frame))
        if place is not None:
            self._places[statement] = place

    def fields(self) -> dict[str, Any]:
        """
        Return the fields of the line, once: after that, nothing is known.

        ``db_repeats`` is a lower bound if there are more than `MOST` different statements. It is left out if no
        statement ran twice. The place is that of the same statement; without one it is left out.
        """
        if not self._counters:
            return {}
        counts = self._counts()
        self._counters = {}
        statement = max(counts, key=counts.__getitem__)
        if counts[statement] < 2:
            return {}
        place = self._places.get(statement)
        repeats: dict[str, Any] = {"db_repeats": counts[statement]}
        return repeats if place is None else {**repeats, "db_repeated_at": place}


def statements_of(event: Event, limit: int) -> Statements:
    """Return the statements of *event*, created at its first query with this *limit*."""
    if event.statements is None:
        with _lock:  # two threads of one request may make the first query at once
            if event.statements is None:
                event.statements = Statements(limit)
    return event.statements


def shape_of(sql: Any) -> int:
    """
    Return a number for the shape of a statement, which is the same for statements that differ only in their values.

    Texts in single quotes, digits outside quoted names, and placeholders do not count, and neither does the length of
    a list of them: ``IN (1, 2)`` and ``IN (%s)`` have one shape. Names are in double quotes, or in backticks on MySQL.
    The number is 0 for what is not counted: savepoints, the begin and the end of a transaction, and an object that is
    no text, as those of ``psycopg.sql``.

    Costs a few microseconds for a text that is not known.
    """
    if not isinstance(sql, str):
        return 0
    text = str.__str__(sql)
    halves = [text]
    if len(text) > LONGEST:
        halves = [text[: LONGEST // 2].rstrip(_CUT), text[-LONGEST // 2 :].lstrip(_CUT)]
        text = "\0".join(halves)
    known = hash(text)
    shape = _shapes.get(known)
    if shape is None:
        if _CONTROL.match(text) is not None:
            return 0
        shape = hash(tuple(map(_without_values, halves)))
        if len(_shapes) >= MOST:
            _shapes.clear()
        _shapes[known] = shape
    return shape


def _without_values(sql: str) -> tuple[bytes, ...]:
    """Return what is left of *sql*. Only methods in C, because a regular expression takes ten times as long."""
    # A doubled quote inside a text splits it in two, with nothing between them.
    parts = "".join(sql.split("'")[::2]).replace("`", '"').split('"')
    names = '"'.join(parts[1::2]).encode(errors="surrogatepass")
    others = '"'.join(parts[::2]).replace("%s", "").encode(errors="surrogatepass")
    return others.translate(None, _VALUES).replace(b"()", b""), names


_shapes: Final[dict[int, int]] = {}
"""Hash of a text -> hash of its shape."""

_lock = threading.RLock()  # reentrant: a signal handler may run a query while its own thread holds the lock


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 -- each process has its own lock
    _lock = threading.RLock()  # a thread that held the old one at the fork is not in this process


call_after_fork(_after_fork)
