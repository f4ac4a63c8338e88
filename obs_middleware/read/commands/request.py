"""
``obs-middleware request``: every line of one request, in order, across files.

Read.
"""

from __future__ import annotations

import argparse
import sys

from obs_middleware.read.commands._common import Session, add_files, answered
from obs_middleware.read.commands.grep import NOTHING_FOUND, write_lines
from obs_middleware.read.where.conditions import Compared

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``request``."""
    parser.add_argument(
        "id", metavar="ID", help="the request id, as it stands on the line and in the response's header"
    )
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the lines; return 1 if there is none."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    wanted = Compared("request_id", "=", arguments.id)
    lines = session.lines(wanted, arguments.files, containing=arguments.id, by_time=True)
    if write_lines(lines):
        return 0
    print(f"obs-middleware: no line of request {arguments.id!r}", file=sys.stderr)
    return NOTHING_FOUND
