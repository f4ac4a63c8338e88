"""
``obs-middleware report``: a log as one self-contained HTML page.

This module collects the data and writes the file; `obs_middleware.read.show.page.page` makes the page.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from obs_middleware.read.answers import STATS_FIELDS
from obs_middleware.read.bands import WHY_FIELDS
from obs_middleware.read.commands._arguments import add_files, add_kind
from obs_middleware.read.commands._common import BAD, Session, answered
from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.sources import stats_of
from obs_middleware.read.findings import telling_first
from obs_middleware.read.kinds import Kind
from obs_middleware.read.link import add_link
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.show.page.page import render
from obs_middleware.read.where.options import said
from obs_middleware.read.why import explain

__all__ = ["configure", "page_data", "page_fields", "run"]

_ROUTES: Final = 500
_SLOWEST: Final = 200
_FAILURES: Final = 200
_COLUMNS: Final = 96
_SLICES: Final = 96
_REASONS: Final = 20


def page_fields(kind: Kind) -> frozenset[str]:
    """Return the fields of a unit of work that the page needs."""
    return frozenset({*STATS_FIELDS, *WHY_FIELDS, *kind.slow_fields, *kind.failure_fields, "service"})


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``report``."""
    add_files(parser)
    add_kind(parser)
    add_link(parser, ("request_id", "task_id"))
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="file to write (standard output)")
    parser.add_argument(
        "--title", metavar="TEXT", help="heading of the page (the service, or the name of the first file)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the page to the file, or to standard output."""
    if arguments.output == "-" and sys.stdout.isatty():
        print("obs-middleware: the page is HTML, not text for a terminal: add -o report.html", file=sys.stderr)
        return BAD
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    _refuse_own_source(arguments)
    blocks = session.blocks(arguments.files)
    requests = session.requests(arguments.files, page_fields(session.kind) | {*blocks})
    data = page_data(requests, blocks, title=arguments.title, filters=said(arguments), generated=session.now)
    page = render(replace(data, link=arguments.link))
    if arguments.output == "-":
        sys.stdout.write(page)
        return 0
    try:
        Path(arguments.output).write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{arguments.output}: {error.strerror}") from error
    print(f"{arguments.output} written", file=sys.stderr)
    return 0


def _refuse_own_source(arguments: argparse.Namespace) -> None:
    """
    Raise `SourceError` if the page would be written into a log that it is made of, under any of its names.

    Standard output and standard input may be such files too.
    """
    try:
        target = os.fstat(sys.stdout.fileno()) if arguments.output == "-" else Path(arguments.output).stat()
    except (OSError, ValueError):
        return  # a new file, or a stream that is no file
    if not stat.S_ISREG(target.st_mode):
        return
    for name in arguments.files or ["-"]:
        if any(os.path.samestat(target, source) for source in stats_of(name)):
            output = "standard output" if arguments.output == "-" else arguments.output
            raise SourceError(f"{output}: is one of the logs to read: name another file for the page, -o report.html")


def _only_service(requests: Requests) -> str | None:
    services = requests.services()
    return services[0].name if len(services) == 1 else None


def page_data(
    requests: Requests,
    blocks: Sequence[str] = (),
    *,
    title: str | None = None,
    filters: Sequence[str] = (),
    generated: dt.datetime | None = None,
) -> ReportData:
    """
    Collect the data of the page.

    Args:
        requests: The requests to show; they must have been read with `page_fields` and *blocks*.
        blocks: Fields of timed blocks, see `Session.blocks`.
        title: Heading; None for the service that the lines name, or the name of the first file.
        filters: The filters that the user gave, as typed.
        generated: When the report is made.
    """
    everything = requests.overview()
    by = requests.kind.by
    routes = requests.groups(by, _ROUTES)
    broken, kinds = requests.failures(_FAILURES)
    reasons, explained = explain(requests, blocks, _REASONS)
    telling, silent = telling_first(reasons)
    span = 0.0
    if everything.first is not None and everything.last is not None:
        span = (everything.last - everything.first).total_seconds()
    # A shorter slice would turn 18 requests within a millisecond into a rate of 18,000 per second.
    step = span / _SLICES if span >= 1 else 1.0
    return ReportData(
        title=title or _only_service(requests) or Path(requests.sources[0]).name,
        sources=requests.sources,
        lines=requests.lines,
        approximate=requests.approximate,
        requests=everything.requests,
        errors=everything.errors,
        durations=everything.durations,
        estimated=everything.estimated,
        first=everything.first,
        last=everything.last,
        generated=generated,
        filters=tuple(filters),
        statuses=everything.statuses,
        outcomes=requests.outcomes(),
        histogram=everything.histogram,
        heat_map=requests.heat_map(max(span / _COLUMNS, 0.001)),
        course=requests.course(step) if everything.first is not None else (),
        routes=routes.rows,
        other_routes=replace(routes.rest, keys=(None,) * len(by)) if routes.rest else None,
        routes_total=routes.total,
        slowest=requests.slowest(_SLOWEST),
        failures=broken,
        failures_total=kinds,
        reasons=(*telling, *silent),
        reasons_total=explained,
        kind=requests.kind,
    )
