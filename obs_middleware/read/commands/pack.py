"""
``obs-middleware pack``: log files become Parquet files, which are smaller and which all commands read faster.

Nothing is deleted unless you ask for it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import stat
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

from obs_middleware.display.numbers import count
from obs_middleware.read.commands._arguments import add_format, add_memory
from obs_middleware.read.commands._common import answered_in
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.files.session import FileSession, open_files
from obs_middleware.read.files.sources import expand
from obs_middleware.read.index.access import refuse_access
from obs_middleware.read.packs.folder import remove_old, working_in
from obs_middleware.read.packs.pack import pack_log
from obs_middleware.read.show.text import Answer, Column, Table, plain, show
from obs_middleware.read.where.conditions import Every
from obs_middleware.read.where.times import moment_of

__all__ = ["configure", "run"]

_QUIET_SECONDS: Final = 60
"""A log that changed later than this may still be written to, so it is not deleted."""


class _Row(NamedTuple):
    """What became of a log; the sizes are in bytes."""

    log: str
    lines: int
    log_bytes: int
    pack_bytes: int
    state: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``pack``."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="log files or patterns, also compressed")
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="the folder of the packs")
    parser.add_argument(
        "--delete", action="store_true", help="delete each log whose lines are in packs and were compared with it"
    )
    parser.add_argument("--keep", metavar="AGE", help="remove packs of days that ended longer ago: 90d, 12w")
    add_memory(parser)
    add_format(parser)
    refuse_access(parser, "this command packs files; the lines of a search engine stay there")


def run(arguments: argparse.Namespace) -> int:
    """Pack the logs, and print what became of each."""
    now = dt.datetime.now(dt.UTC)
    return answered_in(lambda one: open_files(Every(), now, one.memory, nullcontext), arguments, _answer)


def _answer(arguments: argparse.Namespace, session: FileSession) -> int:
    since = None if arguments.keep is None else moment_of(arguments.keep, "--keep", session.now)
    if not arguments.files and since is None:
        raise ExpressionError("nothing to do: name logs to pack, or give --keep")
    with working_in(arguments.to):
        rows = tuple(_rows(arguments, session))
        removed = [] if since is None else remove_old(arguments.to, since)
    notes = (f"removed: {', '.join(removed)}",) if removed else ()
    columns = (
        Column("log", "log", plain, right=False),
        Column("lines", "lines", count),
        Column("bytes", "log_bytes", count),
        Column("packed", "pack_bytes", count),
        Column("", "state", plain, right=False),
    )
    data: dict[str, Any] = {"folder": str(arguments.to), "logs": [row._asdict() for row in rows], "removed": removed}
    show(Answer(data, (), (Table("", columns, rows),), notes), arguments.format)
    return 0


def _rows(arguments: argparse.Namespace, session: FileSession) -> Iterable[_Row]:
    """Pack the logs, and yield what became of each. A fault of one does not keep the others from being packed."""
    faults = []
    done = 0
    for name in arguments.files:
        try:
            for one in expand(name):
                yield _packed(arguments, session, one)
                done += 1
        except SourceError as error:
            faults.append(str(error))
    if faults and not done:
        raise SourceError("; ".join(faults))
    session.remarks.faults.extend(faults)


def _packed(arguments: argparse.Namespace, session: FileSession, name: str) -> _Row:
    log = Path(name)
    try:
        before = log.stat()
        if not stat.S_ISREG(before.st_mode):
            raise SourceError(f"{name}: is not a file")
        log.open("rb").close()
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror}") from error
    packed = pack_log(session.connection, log, arguments.to, session.scratch)
    state = "packed" if packed.written else "packed before"
    if arguments.delete:
        now = log.stat()
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino):
            state += ", kept: it has changed"
        elif log.is_symlink():
            state += ", kept: it is a link"
        elif time.time() - now.st_mtime < _QUIET_SECONDS:
            state += ", kept: it may still be written to"
        else:
            log.unlink()
            state += ", deleted"
    size = sum(pack.stat().st_size for pack in packed.files)
    return _Row(name, packed.lines, before.st_size, size, state)
