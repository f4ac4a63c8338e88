"""``obs-middleware request``: every line of one request, across files, in order of time."""

from __future__ import annotations

import argparse
import sys

from obs_middleware.read.commands._arguments import add_files
from obs_middleware.read.commands._common import NOTHING_FOUND, Session, answered, write_lines
from obs_middleware.read.where.conditions import Compared

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``request``."""
    parser.add_argument("id", metavar="ID", help="the request id, as in the line and in the response header")
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """
    Print the lines of the request.

    Returns:
        0, or 1 if there is no such line.
    """
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    wanted = Compared("request_id", "=", arguments.id)
    lines = session.lines(wanted, arguments.files, containing=arguments.id, by_time=True)
    if write_lines(lines):
        return 0
    print(f"obs-middleware: no line has the request id {arguments.id!r}", file=sys.stderr)
    return NOTHING_FOUND
