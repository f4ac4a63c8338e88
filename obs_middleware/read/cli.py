"""
What the commands have in common: their arguments, reading for them, and how a failure is said.

Read. A command asks a question of a `Session` and shows the answer.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from obs_middleware.read.expression import BadExpression, Predicate
from obs_middleware.read.figures import Count, Lines
from obs_middleware.read.filters import add_filters, predicate_of
from obs_middleware.read.scan import Log, check_predicate, connect, read_log
from obs_middleware.read.source import BadSource, Source, find_sources, scratch_folder
from obs_middleware.read.tables import FORMATS, console, count

__all__ = [
    "Session",
    "add_files",
    "add_format",
    "add_memory",
    "answered",
    "lines_of",
    "number",
    "session",
    "skipped_notes",
    "working",
]

BAD: Final = 2
_INTERRUPTED: Final = "Query interrupted"  # what the engine makes of Ctrl-C


def add_files(parser: argparse.ArgumentParser) -> None:
    """Give *parser* the files, the filters and ``--memory``."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="log files, patterns, .gz, .zst; - or none: standard input"
    )
    add_filters(parser)
    add_memory(parser)


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Give *parser* ``--memory``."""
    parser.add_argument("--memory", metavar="SIZE", help="what may be used before the disk is: 500MiB, 4GiB")


def add_format(parser: argparse.ArgumentParser) -> None:
    """Give *parser* ``--format``."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="table (default), json, csv or markdown")


def number(text: str) -> int:
    """Return a whole number that is not negative, for ``type=`` of an argument."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


@dataclass(frozen=True, slots=True)
class Session:
    """
    One run of a command: an engine, a folder for what does not fit, and the filters.

    Attributes:
        now: The moment from which ``--since 2h`` counts back.
    """

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    predicate: Predicate
    now: dt.datetime

    def sources(self, names: Iterable[str]) -> list[Source]:
        """Return what *names* stand for; see `find_sources`."""
        return find_sources(names, self.scratch)

    def read(self, names: Sequence[str], fields: Iterable[str], table: str = "requests") -> Log:
        """
        Read what *names* stand for into *table*, as `read_log` does.

        Raises:
            BadSource: There is no request line in it, or none that the filters let pass.
        """
        sources = self.sources(names)
        with working(self.connection, "Reading"):
            log = read_log(self.connection, sources, fields, self.predicate, self.scratch, table)
        if not log.requests:
            where = ", ".join(log.sources)
            if log.filtered:
                raise BadSource(f"{where}: none of the {count(log.filtered)} request lines passes the filters")
            raise BadSource(f"{where}: no request line among {count(log.lines)} lines")
        return log


@contextmanager
def session(arguments: argparse.Namespace) -> Iterator[Session]:
    """Open a `Session` for *arguments*."""
    now = dt.datetime.now(dt.UTC)
    predicate = predicate_of(arguments, now)
    with scratch_folder() as scratch, connect(scratch, arguments.memory) as connection:
        check_predicate(connection, predicate)
        yield Session(connection, scratch, predicate, now)


def answered(arguments: argparse.Namespace, answer: Callable[[argparse.Namespace, Session], int]) -> int:
    """Return what *answer* returns, or 2 with a message on standard error when it cannot be told."""
    try:
        with session(arguments) as opened:
            return answer(arguments, opened)
    except (BadSource, BadExpression) as error:
        print(f"obs-middleware: {error}", file=sys.stderr)
    except duckdb.Error as error:
        print(f"obs-middleware: the engine gave up: {str(error).splitlines()[0]}", file=sys.stderr)
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


def lines_of(log: Log) -> Lines:
    """Return what was read, as the report has it."""
    kinds = (Count("other log lines", log.others), Count("skipped, not understood", log.skipped))
    return Lines(log.lines, log.requests, log.filtered, tuple(kind for kind in kinds if kind.count))


def skipped_notes(log: Log) -> tuple[str, ...]:
    """Return a line on what was read and is not in the answer."""
    parts = [f"{count(log.requests)} request lines"]
    if log.filtered:
        parts.append(f"{count(log.filtered)} filtered out")
    if log.others:
        parts.append(f"{count(log.others)} other log lines")
    if log.skipped:
        parts.append(f"{count(log.skipped)} skipped, not understood")
    return (f"{count(log.lines)} lines read: {', '.join(parts)}",)
