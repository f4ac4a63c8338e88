"""
What a report is made of: figures, and nothing of how they were computed or how they look.

Read. Everything is frozen, a value that is not known is None and never 0, and every unit is in a name or said.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = [
    "Bin",
    "Count",
    "ErrorRow",
    "HeatMap",
    "Lines",
    "Quantiles",
    "ReportData",
    "RouteRow",
    "Slice",
    "SlowRequest",
]


@dataclass(frozen=True, slots=True)
class Count:
    """
    How many there are of one kind.

    Attributes:
        name: What is counted: a kind of line, an outcome, a class of status such as ``2xx``.
    """

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Lines:
    """
    The lines that were read, all of them.

    Attributes:
        read: All lines, whatever they are.
        requests: Those that are the line of a request, and counted in the report.
        filtered: Request lines that the filters left out.
        kinds: What the lines are: the formats and schemas that were found, other log lines, foreign lines that were
            skipped, damaged ones.
    """

    read: int
    requests: int
    filtered: int = 0
    kinds: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """
    Quantiles of durations, in seconds; exact, if whoever computed them does not say otherwise.

    Attributes:
        n: How many durations they were taken from; lines, not weighted by anything. With 0 the others are None.
        mean: The arithmetic mean.
    """

    n: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """
    A bar of the histogram: the durations from *low* up to *high*, in seconds, the latter excluded.

    The bars are given in rising order, without gaps, on a logarithmic scale: each is as many times as wide as the one
    before. Empty ones are given too.
    """

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """
    How many requests took how long when.

    Attributes:
        times: Where the columns begin, and where the last ends: one more than there are columns.
        durations: Where the rows begin, in seconds, rising, on a logarithmic scale, and where the last ends.
        counts: For each column the counts of its rows.
    """

    times: tuple[dt.datetime, ...]
    durations: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """
    A stretch of the time span; those in which nothing happened are given too.

    Attributes:
        requests: Requests, weighted by their sample rate if they have one.
        errors: Those of them that failed; None when the lines do not say.
        durations: The durations in it.
    """

    start: dt.datetime
    end: dt.datetime
    requests: int
    errors: int | None
    durations: Quantiles


@dataclass(frozen=True, slots=True)
class RouteRow:
    """
    The requests of one method and route.

    Attributes:
        method: None when the lines do not say.
        route: As on the line: ``""`` is the root, None a request that matched nothing, or a line that does not say.
        requests: Requests, weighted by their sample rate if they have one.
        errors: Those of them that failed; None when the lines do not say.
        share: Share of the time that all requests took together, from 0 to 1.
    """

    method: str | None
    route: str | None
    requests: int
    errors: int | None
    share: float | None
    durations: Quantiles


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """One request, as its line has it; what the line does not say is None. The units are those of the line."""

    duration_seconds: float
    timestamp: dt.datetime | None = None
    method: str | None = None
    path: str | None = None
    route: str | None = None
    status: int | None = None
    outcome: str | None = None
    db_seconds: float | None = None
    db_queries: int | None = None
    request_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """
    Failed requests that have type, status, method and route in common.

    Attributes:
        count: How many, weighted by their sample rate if they have one.
        error_message: That of the newest of them.
        last_seen: When the newest was written.
        request_id: Id of the newest, to look for.
    """

    count: int
    error_type: str | None = None
    error_message: str | None = None
    status: int | None = None
    outcome: str | None = None
    method: str | None = None
    route: str | None = None
    last_seen: dt.datetime | None = None
    request_id: str | None = None


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
    routes: tuple[RouteRow, ...] = ()
    other_routes: RouteRow | None = None
    routes_total: int | None = None
    slowest: tuple[SlowRequest, ...] = ()
    failures: tuple[ErrorRow, ...] = ()
    failures_total: int | None = None
