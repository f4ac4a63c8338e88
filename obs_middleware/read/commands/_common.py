"""
Running a command: open what it asks, answer, and turn a failure into a message and an exit code.

Read. A command asks a question of a `Session`, which is one of files or one of a search engine, and shows the answer.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import duckdb
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from obs_middleware.read.answers import Change, Requests
from obs_middleware.read.files.requests import FileRequests, changes
from obs_middleware.read.files.sources import BadSource, Source, find_sources, scratch_folder
from obs_middleware.read.files.table import check_predicate, connect, matching_lines, read_log
from obs_middleware.read.index.access import access_of
from obs_middleware.read.show.numbers import count
from obs_middleware.read.show.text import console, inert
from obs_middleware.read.where.conditions import Condition, Every, predicate
from obs_middleware.read.where.expression import BadExpression
from obs_middleware.read.where.options import condition_of

__all__ = [
    "NOTHING_FOUND",
    "FileSession",
    "Session",
    "answered",
    "answered_in",
    "file_session",
    "said_of",
    "session",
    "working",
    "write_lines",
]

S = TypeVar("S")

BAD: Final = 2
NOTHING_FOUND: Final = 1
"""Exit code of `grep` and `request` without a line, as grep has it."""
_INTERRUPTED: Final = "Query interrupted"  # what the engine makes of Ctrl-C


class Session(Protocol):
    """
    One run of a command: where it asks, and the filters.

    Attributes:
        now: The moment from which ``--since 2h`` counts back.
    """

    @property
    def now(self) -> dt.datetime: ...

    def requests(self, names: Sequence[str], fields: Iterable[str]) -> Requests:
        """
        Return the requests in *names* that the filters let pass, with all that is needed to ask for *fields*.

        Raises:
            BadSource: There is none.
        """

    def changes(
        self, before: Requests, after: Requests, by: Sequence[str], limit: int | None = None
    ) -> tuple[Change, ...]:
        """Return how p50, p95 and p99 of each group differ, and an interval for the difference."""

    def lines(
        self, condition: Condition, names: Sequence[str], *, containing: str | None = None, by_time: bool = False
    ) -> Iterator[str]:
        """Yield the lines in *names* that *condition* and the filters let pass; see `matching_lines`."""

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Return how many lines `lines` would yield."""


@dataclass(frozen=True, slots=True)
class FileSession:
    """
    One run of a command over files: an embedded engine, and a folder for what does not fit.

    Attributes:
        now: The moment from which ``--since 2h`` counts back.
    """

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    condition: Condition
    now: dt.datetime
    _tables: list[str] = field(default_factory=list)

    def sources(self, names: Iterable[str]) -> list[Source]:
        """Return what *names* stand for; see `find_sources`."""
        return find_sources(names, self.scratch)

    def requests(self, names: Sequence[str], fields: Iterable[str]) -> FileRequests:
        """
        Read what *names* stand for, each time into a table of its own.

        Raises:
            BadSource: There is no request line in it, or none that the filters let pass.
        """
        self._tables.append(f"requests_{len(self._tables)}")
        sources = self.sources(names)
        with working(self.connection, "Reading"):
            log = read_log(self.connection, sources, fields, predicate(self.condition), self.scratch, self._tables[-1])
        if not log.requests:
            where = ", ".join(log.sources)
            if log.filtered:
                raise BadSource(f"{where}: none of the {count(log.filtered)} request lines passes the filters")
            raise BadSource(f"{where}: no request line among {count(log.lines)} lines")
        return FileRequests(log, self._tables[-1])

    def changes(
        self, before: Requests, after: Requests, by: Sequence[str], limit: int | None = None
    ) -> tuple[Change, ...]:
        """Return how each group differs between what was read first and what was read then."""
        old, new = (side.table for side in (before, after) if isinstance(side, FileRequests))
        return changes(self.connection, by, old, new, limit)

    def lines(
        self, condition: Condition, names: Sequence[str], *, containing: str | None = None, by_time: bool = False
    ) -> Iterator[str]:
        """Yield the original lines that *condition* and the filters let pass; see `matching_lines`."""
        wanted = predicate(Every((condition, self.condition)))
        check_predicate(self.connection, wanted)
        sources = self.sources(names)
        yield from matching_lines(
            self.connection, sources, wanted, self.scratch, containing=containing, by_time=by_time
        )

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Return how many lines `lines` would yield."""
        return sum(1 for _ in self.lines(condition, names))


@contextmanager
def file_session(arguments: argparse.Namespace) -> Iterator[FileSession]:
    """Open a `FileSession` for *arguments*."""
    now = dt.datetime.now(dt.UTC)
    condition = condition_of(arguments, now)
    with scratch_folder() as scratch, connect(scratch, arguments.memory) as connection:
        check_predicate(connection, predicate(condition))
        yield FileSession(connection, scratch, condition, now)


@contextmanager
def session(arguments: argparse.Namespace) -> Iterator[Session]:
    """Open a `Session` for *arguments*: of the search engine that they name, or of files."""
    access = access_of(arguments)
    if access is None:
        with file_session(arguments) as opened:
            yield opened
        return
    from obs_middleware.read.index.client import Engine  # noqa: PLC0415 -- needs the extra `opensearch`
    from obs_middleware.read.index.requests import EngineSession  # noqa: PLC0415 -- as above

    now = dt.datetime.now(dt.UTC)
    condition = condition_of(arguments, now)
    with Engine(access) as engine:
        yield EngineSession(engine, tuple(arguments.index), condition, now)


def answered(arguments: argparse.Namespace, answer: Callable[[argparse.Namespace, Session], int]) -> int:
    """Return what *answer* returns, or 2 with a message on standard error when it cannot be told."""
    return answered_in(session, arguments, answer)


def answered_in(
    opener: Callable[[argparse.Namespace], AbstractContextManager[S]],
    arguments: argparse.Namespace,
    answer: Callable[[argparse.Namespace, S], int],
) -> int:
    """Return the same as `answered`, in the session that *opener* opens."""
    try:
        with opener(arguments) as opened:
            return answer(arguments, opened)
    except (BadSource, BadExpression) as error:
        print(f"obs-middleware: {inert(str(error))}", file=sys.stderr)
    except duckdb.Error as error:
        print(f"obs-middleware: the engine gave up: {inert(str(error).splitlines()[0])}", file=sys.stderr)
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error
    return BAD


_PATIENCE_SECONDS: Final = 0.5


@contextmanager
def working(connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
    """Show on standard error how far the engine is, if that is a terminal and it takes more than a moment."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(connection, what, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(connection: duckdb.DuckDBPyConnection, what: str, done: threading.Event) -> None:
    if done.wait(_PATIENCE_SECONDS):
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=100)
        while not done.wait(0.1):
            bar.update(task, completed=max(connection.query_progress(), 0))


def said_of(found: Requests) -> dict[str, Any]:
    """Return what every answer in JSON says of its source."""
    approximate = {} if found.approximate is None else {"approximate": found.approximate}
    return {"sources": found.sources, "lines": found.lines, **approximate}


def write_lines(lines: Iterable[str]) -> int:
    """
    Write original lines to standard output, byte for byte so that the next program in a pipe reads the log itself.

    On a terminal, control characters are written as escapes.

    Returns:
        The number of lines.
    """
    written = 0
    terminal = sys.stdout.isatty()
    for line in lines:
        written += 1
        sys.stdout.write((inert(line) if terminal else line) + "\n")
    return written
