"""
What all commands share: open a session, answer, and turn a failure into a message and an exit code.

A command asks its questions of a `Session`. There is one for files and one for a search engine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import duckdb

from obs_middleware.read.answers import Change, Requests
from obs_middleware.read.errors import SourceError, UsageError
from obs_middleware.read.files.predicate import check_predicate, predicate
from obs_middleware.read.files.requests import FileRequests, changes
from obs_middleware.read.files.sources import Source, find_sources, scratch_folder
from obs_middleware.read.files.table import connect, matching_lines, read_log
from obs_middleware.read.index.access import access_of
from obs_middleware.read.show.numbers import count
from obs_middleware.read.show.progress import working
from obs_middleware.read.show.text import inert
from obs_middleware.read.where.conditions import Condition, Every
from obs_middleware.read.where.options import condition_of

__all__ = [
    "NOTHING_FOUND",
    "FileSession",
    "Session",
    "answered",
    "answered_in",
    "file_session",
    "session",
    "source_data",
    "write_lines",
]

S = TypeVar("S")

BAD: Final = 2
NOTHING_FOUND: Final = 1
"""Exit code of ``grep`` and ``request`` if no line was found, as in grep."""
_INTERRUPTED: Final = "Query interrupted"  # DuckDB turns Ctrl-C into a RuntimeError with this text


class Session(Protocol):
    """
    One run of a command: the source of the lines, and the filters.

    Attributes:
        now: The time that ``--since 2h`` counts back from.
    """

    @property
    def now(self) -> dt.datetime: ...

    def requests(self, names: Sequence[str], fields: Iterable[str]) -> Requests:
        """
        Read the requests in *names* that pass the filters.

        Args:
            names: Files or patterns; for a search engine, expressions or index patterns.
            fields: The fields that you are going to ask for.

        Raises:
            SourceError: No request passes the filters.
        """

    def changes(
        self, before: Requests, after: Requests, by: Sequence[str], limit: int | None = None
    ) -> tuple[Change, ...]:
        """Compare p50, p95 and p99 of each group, with a confidence interval for each difference."""

    def lines(
        self, condition: Condition, names: Sequence[str], *, containing: str | None = None, by_time: bool = False
    ) -> Iterator[str]:
        """Yield the original lines that match *condition* and the filters; see `matching_lines`."""

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Count the lines that `lines` would yield."""


@dataclass(frozen=True, slots=True)
class FileSession:
    """
    One run of a command over files: a DuckDB connection and a folder for data that does not fit into memory.

    Attributes:
        connection: The connection to DuckDB.
        scratch: The folder.
        condition: The filters.
        now: The time that ``--since 2h`` counts back from.
    """

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    condition: Condition
    now: dt.datetime
    _tables: list[str] = field(default_factory=list)

    def sources(self, names: Iterable[str]) -> list[Source]:
        """Return the files that match *names*; see `find_sources`."""
        return find_sources(names, self.scratch)

    def requests(self, names: Sequence[str], fields: Iterable[str]) -> FileRequests:
        """
        Read the files that match *names*. Every call fills a new table.

        Raises:
            SourceError: There is no request line, or none passes the filters.
        """
        self._tables.append(f"requests_{len(self._tables)}")
        sources = self.sources(names)
        with working(self.connection, "Reading"):
            log = read_log(self.connection, sources, fields, predicate(self.condition), self.scratch, self._tables[-1])
        if not log.requests:
            where = ", ".join(log.sources)
            if log.filtered:
                raise SourceError(f"{where}: none of the {count(log.filtered)} request lines passes the filters")
            raise SourceError(f"{where}: no request line among {count(log.lines)} lines")
        return FileRequests(log, self._tables[-1])

    def changes(
        self, before: Requests, after: Requests, by: Sequence[str], limit: int | None = None
    ) -> tuple[Change, ...]:
        """Compare the groups of two results of `requests`."""
        old, new = (side.table for side in (before, after) if isinstance(side, FileRequests))
        return changes(self.connection, by, old, new, limit)

    def lines(
        self, condition: Condition, names: Sequence[str], *, containing: str | None = None, by_time: bool = False
    ) -> Iterator[str]:
        """Yield the original lines that match *condition* and the filters; see `matching_lines`."""
        wanted = predicate(Every((condition, self.condition)))
        check_predicate(self.connection, wanted)
        sources = self.sources(names)
        yield from matching_lines(
            self.connection, sources, wanted, self.scratch, containing=containing, by_time=by_time
        )

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Count the lines that `lines` would yield."""
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
    """Open a `Session` for *arguments*: for the search engine that they name, or else for files."""
    access = access_of(arguments)
    if access is None:
        with file_session(arguments) as opened:
            yield opened
        return
    from obs_middleware.read.index.client import Engine  # noqa: PLC0415 -- needs the extra `opensearch`
    from obs_middleware.read.index.session import EngineSession  # noqa: PLC0415 -- as above

    now = dt.datetime.now(dt.UTC)
    condition = condition_of(arguments, now)
    with Engine(access) as engine:
        yield EngineSession(engine, tuple(arguments.index), condition, now)


def answered(arguments: argparse.Namespace, answer: Callable[[argparse.Namespace, Session], int]) -> int:
    """
    Open a session, call *answer* with it, and return the exit code.

    Returns:
        The result of *answer*, or 2 after a message on standard error.
    """
    return answered_in(session, arguments, answer)


def answered_in(
    opener: Callable[[argparse.Namespace], AbstractContextManager[S]],
    arguments: argparse.Namespace,
    answer: Callable[[argparse.Namespace, S], int],
) -> int:
    """Do the same as `answered` with the session that *opener* opens."""
    try:
        with opener(arguments) as opened:
            return answer(arguments, opened)
    except UsageError as error:
        print(f"obs-middleware: {inert(str(error))}", file=sys.stderr)
    except duckdb.Error as error:
        print(f"obs-middleware: DuckDB error: {inert(str(error).splitlines()[0])}", file=sys.stderr)
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error
    return BAD


def source_data(found: Requests) -> dict[str, Any]:
    """Return the part of the JSON that describes the source of an answer."""
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
