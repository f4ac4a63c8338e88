"""The data of the report page: everything that the page shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from obs_middleware.read.answers import Bin, Count, ErrorRow, Group, HeatMap, Lines, Quantiles, Slice, SlowRequest

__all__ = ["ReportData"]


@dataclass(frozen=True, slots=True)
class ReportData:
    """
    All that the page shows.

    The tables may be cut, in the order in which they are given; the totals then say of how many.

    Attributes:
        title: Heading of the page; the service, or the name of the file.
        sources: Where the lines came from: names of files, a URL, ``standard input``.
        lines: The lines that were read; None if a search engine was asked.
        requests: Requests, weighted by their sample rate if they have one.
        errors: Those of them that failed: 5xx, an exception, a broken stream. None when the lines do not say.
        durations: The durations of all requests.
        approximate: How the quantiles were computed, if they are not exact.
        estimated: Whether a sample rate weighed any count.
        first: When the first request line was written; None when the lines do not say.
        last: When the last was.
        generated: When the report was made; None leaves it out.
        filters: What was asked for, as it was written: ``--since 2h``.
        statuses: Requests by class of status, ``2xx``.
        outcomes: Requests by outcome, ``ok``.
        histogram: The durations of all requests.
        heat_map: The same over time; None when the lines have no times.
        course: The time span, cut into equal stretches; empty when the lines have no times.
        routes: By method and route, those with the largest share first.
        other_routes: All that are not in *routes*, together; None when there are none.
        routes_total: Pairs of method and route, those not given included; None means all are given.
        slowest: Single requests, the slowest first.
        failures: Failed requests by what they have in common, the most frequent first.
        failures_total: How many such groups there are; None means all are given.
    """

    title: str
    sources: tuple[str, ...]
    lines: Lines | None
    requests: int
    errors: int | None
    durations: Quantiles
    approximate: str | None = None
    estimated: bool = False
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    generated: dt.datetime | None = None
    filters: tuple[str, ...] = ()
    statuses: tuple[Count, ...] = ()
    outcomes: tuple[Count, ...] = ()
    histogram: tuple[Bin, ...] = ()
    heat_map: HeatMap | None = None
    course: tuple[Slice, ...] = ()
    routes: tuple[Group, ...] = ()
    other_routes: Group | None = None
    routes_total: int | None = None
    slowest: tuple[SlowRequest, ...] = ()
    failures: tuple[ErrorRow, ...] = ()
    failures_total: int | None = None
