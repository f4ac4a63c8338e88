"""``obs-middleware request``: every line of one request, across files, in order of time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from obs_middleware.read.commands._arguments import add_files
from obs_middleware.read.commands._common import NOTHING_FOUND, Session, answered, write_lines
from obs_middleware.read.errors import ExpressionError

__all__ = ["configure", "run"]

SHORTEST: Final = 4
"""A shorter id must be the whole id."""

_NAMED: Final = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``request``."""
    parser.add_argument(
        "id",
        metavar="ID",
        help=f"the id in the line and in the response header, or at least {SHORTEST} characters of its start",
    )
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """
    Print the lines of the request.

    Returns:
        0, or 1 if there is no such line.
    """
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    wanted: str = arguments.id
    found = session.lines_by_request(wanted, arguments.files)
    if write_lines(found.get(_whole(wanted, sorted(found)), ())):
        return 0
    print(f"obs-middleware: no line has the request id {wanted!r}", file=sys.stderr)
    return NOTHING_FOUND


def _whole(wanted: str, ids: Sequence[str]) -> str:
    """Return the id that *wanted* means; *ids* begin with it."""
    if wanted in ids or len(wanted) < SHORTEST or not ids:
        return wanted
    if len(ids) == 1:
        return ids[0]
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    raise ExpressionError(
        f"{len(ids)} request ids begin with {wanted!r}: {', '.join(ids[:_NAMED])}{more}; give more characters"
    )
