"""
``obs-middleware slow``: the slowest requests, with what is needed to find them again.

Read.
"""

from __future__ import annotations

import argparse

from obs_middleware.read.commands._common import Session, add_files, add_format, answered, number, said_of
from obs_middleware.read.files.requests import SLOW_FIELDS
from obs_middleware.read.show.text import Answer, Column, Table, count, duration, moment, plain, route, show

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``slow``."""
    add_files(parser)
    parser.add_argument("--limit", type=number, default=20, metavar="N", help="how many (20)")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the slowest requests."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    requests = session.requests(arguments.files, SLOW_FIELDS)
    found = requests.slowest(max(arguments.limit, 1))
    columns = {
        "duration_seconds": Column("took", "duration_seconds", duration),
        "timestamp": Column("at", "timestamp", moment, right=False, whole=True),
        "method": Column("method", "method", plain, right=False, spare=1),
        "status": Column("status", "status", str),
        "path": Column("path", "path", plain, right=False),
        "route": Column("route", "route", route, right=False),
        "outcome": Column("outcome", "outcome", plain, right=False, spare=5),
        "db_seconds": Column("database", "db_seconds", duration, spare=3),
        "db_queries": Column("queries", "db_queries", count, spare=4),
        "user_id": Column("user", "user_id", plain, right=False, spare=2),
        "request_id": Column("request id", "request_id", plain, right=False, whole=True),
    }
    rows = tuple(tuple(getattr(one, name) for name in columns) for one in found)
    if arguments.format == "table":
        # What no line says, and the path's own pattern, only take room on a screen.
        kept = [n for n, name in enumerate(columns) if name != "route" and any(row[n] is not None for row in rows)]
        table = Table(
            "", tuple([*columns.values()][n] for n in kept), tuple(tuple(row[n] for n in kept) for row in rows)
        )
    else:
        table = Table("", tuple(columns.values()), rows)
    show(Answer({**said_of(requests), "slowest": found}, (), (table,), requests.notes), arguments.format)
    return 0
