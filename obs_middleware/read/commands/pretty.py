"""
``obs-middleware pretty``: the lines of a log for people, with tracebacks.

Lines from a pipe are shown as they come. Lines that pass the filters are shown; without filters, lines of other
programs are shown too.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from obs_middleware.read.commands._arguments import add_local_files
from obs_middleware.read.commands._common import answered_in, file_session, zone_in
from obs_middleware.read.files.archives import compression_of
from obs_middleware.read.files.follow import PIECE_BYTES, Lines
from obs_middleware.read.files.parsed import LineParser
from obs_middleware.read.files.session import FileSession
from obs_middleware.read.show.lines import SHOWN_FIELDS, write_shown
from obs_middleware.read.show.text import console
from obs_middleware.read.where.conditions import Every

__all__ = ["configure", "run"]

_BATCH: Final = 1_000
_EXPORT: Final = re.compile(rb"[\[{]\s*(?:$|[\n{])")
"""The start of JSON over several lines, which must be complete before it can be read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``pretty``."""
    add_local_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines until the files or the pipe end."""
    return answered_in(file_session, arguments, _answer)


def _answer(arguments: argparse.Namespace, session: FileSession) -> int:
    parser = LineParser(session.connection, session.condition, SHOWN_FIELDS)
    zone = zone_in(session)
    output = console()
    for lines in _batches(arguments, session):
        write_shown(output, parser.parse(lines), zone, dated=True)
        sys.stdout.flush()
    return 0


def _batches(arguments: argparse.Namespace, session: FileSession) -> Iterator[list[str]]:
    if arguments.files in ([], ["-"]) and not sys.stdin.isatty():
        stream: Any = sys.stdin.buffer
        head = stream.peek(1)
        if compression_of(head) == "none" and not _EXPORT.match(head):
            yield from _as_they_come(stream)
            return
    found = session.lines(Every(()), arguments.files, others=True)
    while batch := list(islice(found, _BATCH)):
        yield batch


def _as_they_come(stream: Any) -> Iterator[list[str]]:
    lines = Lines()
    while piece := stream.read1(PIECE_BYTES):
        yield lines.feed(piece)
    yield lines.end()
