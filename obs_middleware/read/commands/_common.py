"""
What all commands share: open a session, answer, and turn a failure into a message and an exit code.

A command asks its questions of a `Session`. There is one for files and one for a search engine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import duckdb

from obs_middleware.display.escape import escape_controls
from obs_middleware.read.commands._arguments import kind_of
from obs_middleware.read.errors import UsageError
from obs_middleware.read.files.session import FileSession, open_files
from obs_middleware.read.index.access import access_of
from obs_middleware.read.kinds import Kind
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.questions import Requests
from obs_middleware.read.remarks import PARTLY_READ, Remarks
from obs_middleware.read.show.progress import working
from obs_middleware.read.where.conditions import Condition
from obs_middleware.read.where.options import condition_of, now_of

__all__ = [
    "BAD",
    "NOTHING_FOUND",
    "Session",
    "answered",
    "answered_in",
    "file_session",
    "session",
    "source_data",
    "write_lines",
    "zone_in",
]

S = TypeVar("S", bound="_HasRemarks")

BAD: Final = 2
"""Exit code if there is no answer; the message is on standard error."""
NOTHING_FOUND: Final = 1
"""Exit code of ``grep`` and ``request`` if no line was found, as in grep."""
_INTERRUPTED: Final = "Query interrupted"  # DuckDB turns Ctrl-C into a RuntimeError with this text


class _HasRemarks(Protocol):
    """
    What `answered_in` needs of a session.

    Attributes:
        remarks: Remarks about the files that were read.
    """

    @property
    def remarks(self) -> Remarks: ...


class Session(_HasRemarks, Protocol):
    """
    One run of a command: the source of the lines, and the filters.

    Attributes:
        now: The time that ``--since 2h`` counts back from, in the time zone of ``--tz``.
        kind: The kind of the units of work that `requests` returns.
    """

    @property
    def now(self) -> dt.datetime: ...

    @property
    def kind(self) -> Kind: ...

    def requests(
        self, names: Sequence[str], fields: Iterable[str], chosen: Mapping[str, float] | None = None
    ) -> Requests:
        """
        Read the requests in *names* that pass the filters.

        Args:
            names: Files or patterns; for a search engine, expressions or index patterns.
            fields: The fields that you are going to ask for.
            chosen: Percentiles to compute beside `SHARES`: name -> share of the durations below it.

        Raises:
            SourceError: No request passes the filters.
        """

    def blocks(self, names: Sequence[str]) -> Sequence[str]:
        """Return the fields of the application that may be timed blocks: numbers whose names end with ``_seconds``."""

    def lines(self, condition: Condition, names: Sequence[str]) -> Iterator[str]:
        """Yield the original lines that match *condition* and the filters; see `matching_lines`."""

    def parsed(
        self, condition: Condition, names: Sequence[str], fields: Sequence[str], containing: Sequence[str] = ()
    ) -> Sequence[ParsedLine]:
        """
        Return the lines that match *condition* and the filters, with *fields*, in the order of time.

        Args:
            condition: The condition.
            names: As for `lines`.
            fields: The fields, with ``timestamp`` among them.
            containing: Texts one of which every match contains, to exclude other lines cheaply; empty if none is known.
        """

    def unknown_fields(self, condition: Condition, names: Sequence[str]) -> Sequence[str]:
        """Return the fields in *condition* that no line has, whatever the filters are."""

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Count the lines that `lines` would yield."""


def file_session(arguments: argparse.Namespace) -> AbstractContextManager[FileSession]:
    """Open a `FileSession` for *arguments*."""
    now = now_of(arguments)
    watch = partial(working, what="Reading")
    return open_files(condition_of(arguments, now), now, arguments.memory, watch, kind_of(arguments))


def session(arguments: argparse.Namespace) -> AbstractContextManager[Session]:
    """Open a `Session` for *arguments*: for the search engine that they name, or else for files."""
    access = access_of(arguments)
    if access is None:
        return file_session(arguments)
    from obs_middleware.read.index.session import open_index  # noqa: PLC0415 -- needs the extra `opensearch`

    now = now_of(arguments)
    return open_index(access, tuple(arguments.index), condition_of(arguments, now), now, kind_of(arguments))


def zone_in(session: Session) -> dt.tzinfo:
    """Return the time zone that people see times in."""
    return session.now.tzinfo or dt.UTC


def answered(arguments: argparse.Namespace, answer: Callable[[argparse.Namespace, Session], int]) -> int:
    """
    Open a session, call *answer* with it, and return the exit code.

    Returns:
        The result of *answer*, or 3 for 0 if a file could not be read or only in part, or 2 if there is no answer.
        Messages on standard error say why.
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
            try:
                code = answer(arguments, opened)
            finally:
                for remark in dict.fromkeys(
                    (*opened.remarks.notes, *opened.remarks.faults)
                ):  # a file may be read twice
                    _complain(remark)
            return PARTLY_READ if code == 0 and opened.remarks.faults else code
    except UsageError as error:
        _complain(str(error))
    except duckdb.Error as error:
        _complain(f"DuckDB error: {str(error).splitlines()[0]}")
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error
    return BAD


def _complain(text: str) -> None:
    print(f"obs-middleware: {escape_controls(text)}", file=sys.stderr)


def source_data(found: Requests) -> dict[str, Any]:
    """Return the part of the JSON that describes the source of an answer."""
    approximate = {} if found.approximate is None else {"approximate": found.approximate}
    return {"sources": found.sources, "kind": found.kind.name, "lines": found.lines, **approximate}


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
        sys.stdout.write((escape_controls(line) if terminal else line) + "\n")
    return written
