"""
``obs-middleware grep``: the original lines that match an expression.

The lines are written unchanged, so that you can pipe them into the next program.
"""

from __future__ import annotations

import argparse
import sys

from obs_middleware.read.commands._arguments import add_files
from obs_middleware.read.commands._common import NOTHING_FOUND, Session, answered, write_lines
from obs_middleware.read.where.expression import parse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``grep``."""
    parser.add_argument("expression", metavar="EXPR", help='"status >= 500 and duration_seconds > 300ms"')
    add_files(parser)
    parser.add_argument("--count", action="store_true", help="print the number of lines instead of the lines")


def run(arguments: argparse.Namespace) -> int:
    """
    Print the matching lines.

    Returns:
        0, or 1 if no line matches, like grep.
    """
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    condition = parse(arguments.expression)
    if arguments.count:
        found = session.count(condition, arguments.files)
        print(found)
    else:
        found = write_lines(session.lines(condition, arguments.files))
    if found:
        return 0
    for field in session.unknown_fields(condition, arguments.files):
        print(f"obs-middleware: no line has the field {field}", file=sys.stderr)
    return NOTHING_FOUND
