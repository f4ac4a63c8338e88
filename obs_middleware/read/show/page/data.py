"""The data of the report page: everything that the page shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from obs_middleware.read.answers import Bin, Count, ErrorRow, Group, HeatMap, Lines, Quantiles, Slice, SlowRequest
from obs_middleware.read.kinds import REQUEST, Kind
from obs_middleware.read.link import Link
from obs_middleware.read.why import Reason

__all__ = ["ReportData"]


@dataclass(frozen=True, slots=True)
class ReportData:
    """
    All that the page shows.

    The tables may be cut; the totals then say how many rows there are.

    Attributes:
        title: Heading of the page: the service, or the name of the file.
        sources: The sources of the lines: names of files, a URL, or ``standard input``.
        lines: Counts of the lines that were read; None if a search engine was asked.
        requests: The number of requests, weighted by their sample rate.
        errors: The number of failed requests, weighted too; None if no line has a status or an outcome.
        durations: The durations of all requests.
        approximate: How the quantiles were computed, if they are not exact.
        estimated: Whether any line has a sample rate below 1.
        first: The time of the first request line; None if no line has a time.
        last: The time of the last request line.
        generated: The time of the report; None leaves it out.
        filters: The filters as the user typed them: ``--since 2h``.
        statuses: Requests by class of status, ``2xx``.
        outcomes: Requests by outcome, ``ok``.
        histogram: The durations of all requests.
        heat_map: The same over time; None if no line has a time.
        course: The time span cut into slices; empty if no line has a time.
        routes: Groups by the fields of the kind (method and route), those with the largest share first.
        other_routes: All other groups together; None if there are no others.
        routes_total: The number of all such groups; None if *routes* has all of them.
        slowest: Single requests, the slowest first.
        failures: Failed requests in groups, the most frequent first.
        reasons: Why groups are slow, those first whose lines name a place in the code.
        reasons_total: The number of all groups.
        failures_total: The number of all such groups; None if *failures* has all of them.
        kind: The kind of the units of work. Above, requests mean units of this kind.
        link: Where ids link to; None for no links.
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
    reasons: tuple[Reason, ...] = ()
    reasons_total: int = 0
    kind: Kind = REQUEST
    link: Link | None = None
