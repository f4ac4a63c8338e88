"""``obs-middleware slow``: the slowest requests, each with the id to find its lines by."""

from __future__ import annotations

import argparse
from functools import partial

from obs_middleware.display.numbers import count, duration, moment
from obs_middleware.read.commands._arguments import add_files, add_format, add_kind, add_limit
from obs_middleware.read.commands._common import Session, answered, source_data, zone_in
from obs_middleware.read.commands._overview import reading_notes
from obs_middleware.read.show.text import Answer, Column, Table, plain, route, show

__all__ = ["configure", "run"]

_TOOK = Column("took", "duration_seconds", duration)
_COLUMNS = {
    "timestamp": Column("at", "timestamp", moment, right=False, spare=2, whole=True),
    "task": Column("task", "task", plain, right=False),
    "command": Column("command", "command", plain, right=False),
    "method": Column("method", "method", plain, right=False, spare=4),
    "status": Column("status", "status", str, spare=3),
    "path": Column("path", "path", plain, right=False, spare=1),
    "route": Column("route", "route", route, right=False),
    "outcome": Column("outcome", "outcome", plain, right=False, spare=8),
    "queue_seconds": Column("waited", "queue_seconds", duration, spare=1),
    "attempt": Column("attempt", "attempt", str, spare=3),
    "queue": Column("queue", "queue", plain, right=False, spare=4),
    "exit_code": Column("exit code", "exit_code", str, spare=1),
    "close_code": Column("close code", "close_code", str, spare=3),
    "db_seconds": Column("database", "db_seconds", duration, spare=6),
    "db_queries": Column("queries", "db_queries", count, spare=7),
    "user_id": Column("user", "user_id", plain, right=False, spare=5),
    "request_id": Column("request id", "request_id", plain, right=False, spare=9, whole=True),
    "task_id": Column("task id", "task_id", plain, right=False, whole=True),
}
"""Field -> its column. The id that finds the line is never left out."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``slow``."""
    add_files(parser)
    add_kind(parser)
    add_limit(parser, "number of requests to show, 0 for all")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the slowest requests."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    kind = session.kind
    names = kind.slow_fields
    requests = session.requests(arguments.files, names)
    slowest = requests.slowest(arguments.limit or None)
    if arguments.format == "table":
        # On a screen, leave out empty columns, and the route, which repeats the path.
        names = tuple(
            name for name in names if name != "route" and any(one.fields[name] is not None for one in slowest)
        )
    columns = _COLUMNS | {
        "timestamp": _COLUMNS["timestamp"]._replace(text=partial(moment, zone=zone_in(session))),
        kind.id: _COLUMNS[kind.id]._replace(spare=0),
    }
    rows = tuple((one.duration_seconds, *(one.fields[name] for name in names)) for one in slowest)
    table = Table("", (_TOOK, *(columns[name] for name in names)), rows)
    show(Answer({**source_data(requests), "slowest": slowest}, (), (table,), reading_notes(requests)), arguments.format)
    return 0
