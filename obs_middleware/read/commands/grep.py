"""
``obs-middleware grep``: the original lines for which an expression holds.

Read. A line comes out as it went in, byte for byte, so that the next program in the pipe reads it like the log itself;
only on a terminal are its control characters spelt out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from obs_middleware.read.commands._common import Session, add_files, answered
from obs_middleware.read.show.text import inert
from obs_middleware.read.where.expression import parse

__all__ = ["configure", "run", "write_lines"]

NOTHING_FOUND = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``grep``."""
    parser.add_argument("expression", metavar="EXPR", help='"status >= 500 and duration_seconds > 300ms"')
    add_files(parser)
    parser.add_argument("--count", action="store_true", help="print how many lines there are instead")


def run(arguments: argparse.Namespace) -> int:
    """Print the lines; return 1 if there is none, as grep does."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    condition = parse(arguments.expression)
    if arguments.count:
        found = session.count(condition, arguments.files)
        print(found)
    else:
        found = write_lines(session.lines(condition, arguments.files))
    return 0 if found else NOTHING_FOUND


def write_lines(lines: Iterable[str]) -> int:
    """Write *lines* to standard output, and return how many they were."""
    found = 0
    terminal = sys.stdout.isatty()
    for line in lines:
        found += 1
        sys.stdout.write((inert(line) if terminal else line) + "\n")
    return found
