"""
``obs-middleware report``: the log as one self-contained page.

Read. Asks the questions that `obs_middleware.read.report` draws, and writes the file.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from obs_middleware.read.cli import Session, add_files, answered, lines_of
from obs_middleware.read.filters import said
from obs_middleware.read.queries import (
    SLOW_FIELDS,
    STATS_FIELDS,
    Connection,
    course,
    failures,
    groups,
    heat_map,
    outcomes,
    overview,
    slowest,
)
from obs_middleware.read.report import ReportData, RouteRow, render
from obs_middleware.read.results import Group
from obs_middleware.read.scan import Log
from obs_middleware.read.source import BadSource

__all__ = ["PAGE_FIELDS", "configure", "page_data", "run"]

PAGE_FIELDS: Final = frozenset(
    {*STATS_FIELDS, *SLOW_FIELDS, "method", "route", "error_type", "error_message", "service"}
)
"""The fields of a request that the page needs."""

_ROUTES: Final = 500
_SLOWEST: Final = 200
_FAILURES: Final = 200
_COLUMNS: Final = 96
_SLICES: Final = 96


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``report``."""
    add_files(parser)
    parser.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="where to write the page; standard output if not said"
    )
    parser.add_argument("--title", metavar="TEXT", help="heading of the page")


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    log = session.read(arguments.files, PAGE_FIELDS)
    data = page_data(session.connection, log, title=arguments.title, filters=said(arguments), generated=session.now)
    page = render(data)
    if arguments.output == "-":
        sys.stdout.write(page)
        return 0
    try:
        Path(arguments.output).write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadSource(f"{arguments.output}: {error.strerror}") from error
    print(f"{arguments.output} written", file=sys.stderr)
    return 0


def page_data(
    connection: Connection,
    log: Log,
    *,
    title: str | None = None,
    filters: Sequence[str] = (),
    generated: dt.datetime | None = None,
) -> ReportData:
    """
    Return all that the page shows of *log*, which was read with `PAGE_FIELDS`.

    Args:
        connection: To the engine that has it.
        log: What was read.
        filters: How it was narrowed down, as the user wrote it.
        generated: When that was.
        title: Heading; None for the service that the lines name, or else the first file.
    """
    everything = overview(connection)
    routes = groups(connection, ("method", "route"), _ROUTES)
    broken, kinds = failures(connection, _FAILURES)
    span = 0.0
    if everything.first is not None and everything.last is not None:
        span = (everything.last - everything.first).total_seconds()
    step = max(span / _SLICES, 0.001)
    return ReportData(
        title=title or _service(connection) or Path(log.sources[0]).name,
        sources=log.sources,
        lines=lines_of(log),
        requests=everything.requests,
        errors=everything.errors,
        durations=everything.durations,
        estimated=everything.estimated,
        first=everything.first,
        last=everything.last,
        generated=generated,
        filters=tuple(filters),
        statuses=everything.statuses,
        outcomes=outcomes(connection),
        histogram=everything.histogram,
        heat_map=heat_map(connection, max(span / _COLUMNS, 0.001)),
        course=course(connection, step) if everything.first is not None else (),
        routes=tuple(_route(row) for row in routes.rows),
        other_routes=_route(replace(routes.rest, keys=(None, None))) if routes.rest else None,
        routes_total=routes.total,
        slowest=slowest(connection, _SLOWEST),
        failures=broken,
        failures_total=kinds,
    )


def _service(connection: Connection) -> str | None:
    names = connection.execute("SELECT DISTINCT service FROM requests WHERE service IS NOT NULL LIMIT 2").fetchall()
    return str(names[0][0]) if len(names) == 1 else None


def _route(row: Group) -> RouteRow:
    method, route = row.keys
    return RouteRow(method, route, row.requests, row.errors, row.share, row.durations)
