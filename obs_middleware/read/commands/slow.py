"""``obs-middleware slow``: the slowest requests, each with the id to find its lines by."""

from __future__ import annotations

import argparse
from functools import partial

from obs_middleware.read.answers import SLOW_FIELDS
from obs_middleware.read.commands._arguments import add_files, add_format, add_limit
from obs_middleware.read.commands._common import Session, answered, source_data, zone_in
from obs_middleware.read.commands._overview import reading_notes
from obs_middleware.read.show.numbers import count, duration, moment
from obs_middleware.read.show.text import Answer, Column, Table, plain, route, show

__all__ = ["configure", "run"]

_COLUMNS = {
    "duration_seconds": Column("took", "duration_seconds", duration),
    "timestamp": Column("at", "timestamp", moment, right=False, spare=2, whole=True),
    "method": Column("method", "method", plain, right=False, spare=4),
    "status": Column("status", "status", str, spare=3),
    "path": Column("path", "path", plain, right=False, spare=1),
    "route": Column("route", "route", route, right=False),
    "outcome": Column("outcome", "outcome", plain, right=False, spare=8),
    "db_seconds": Column("database", "db_seconds", duration, spare=6),
    "db_queries": Column("queries", "db_queries", count, spare=7),
    "user_id": Column("user", "user_id", plain, right=False, spare=5),
    "request_id": Column("request id", "request_id", plain, right=False, whole=True),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``slow``."""
    add_files(parser)
    add_limit(parser, "number of requests to show, 0 for all")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the slowest requests."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    requests = session.requests(arguments.files, SLOW_FIELDS)
    slowest = requests.slowest(arguments.limit or None)
    names = list(_COLUMNS)
    if arguments.format == "table":
        # On a screen, leave out empty columns, and the route, which repeats the path.
        names = [name for name in names if name != "route" and any(getattr(one, name) is not None for one in slowest)]
    rows = tuple(tuple(getattr(one, name) for name in names) for one in slowest)
    zoned = _COLUMNS["timestamp"]._replace(text=partial(moment, zone=zone_in(session)))
    table = Table("", tuple(zoned if name == "timestamp" else _COLUMNS[name] for name in names), rows)
    show(Answer({**source_data(requests), "slowest": slowest}, (), (table,), reading_notes(requests)), arguments.format)
    return 0
