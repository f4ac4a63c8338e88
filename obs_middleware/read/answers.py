"""
The answers to questions about requests, from files or from an index.

Plain data. An unknown value is None, never 0; durations are in seconds, times in UTC.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields
from typing import Any, Final

__all__ = [
    "FAILED_OUTCOMES",
    "FAILED_STATUS",
    "FEW",
    "PER_DECADE",
    "SHARES",
    "SLOW_FIELDS",
    "STATS_FIELDS",
    "Bin",
    "Count",
    "ErrorRow",
    "Group",
    "Groups",
    "HeatMap",
    "Keys",
    "Lines",
    "Overview",
    "Quantiles",
    "Ranked",
    "Slice",
    "SlowRequest",
    "edge",
    "most_time_first",
]

Keys = tuple[str | None, ...]
"""The values that the requests of a group have in common, as text."""

FEW: Final = 20
"""With fewer requests than this, a p95 is close to the maximum. Such figures are marked as not reliable."""

SHARES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
"""The quantiles of `Quantiles`: figure -> share of the durations below it."""

PER_DECADE: Final = 4
"""Bars of a histogram for a factor of ten: each is 1.8 times as wide as the one before."""

STATS_FIELDS: Final = ("timestamp", "status", "outcome", "sample_rate")
"""The fields that every question needs beside the duration."""

FAILED_OUTCOMES: Final = ("error", "stream_error", "lost")
FAILED_STATUS: Final = 500
"""A request failed if it has one of these outcomes, or this status or a higher one."""


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


def edge(bar: int) -> float:
    """Return the duration at which a bar begins, in seconds. Bar 0 begins at a second."""
    return float(10 ** (bar / PER_DECADE))


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


SLOW_FIELDS: Final = tuple(one.name for one in fields(SlowRequest) if one.name != "duration_seconds")
"""The fields that `Requests.slowest` needs beside the duration."""


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
class Overview:
    """
    All requests, at a glance.

    Attributes:
        requests: How many, weighted by their sample rate if they have one.
        errors: Those of them that failed: 5xx, or the outcome error, stream_error or lost; None when no line says.
        seconds: The time that they took together, weighted likewise.
        estimated: Whether a sample rate weighed anything.
        first: When the first line was written; None when the lines do not say.
        last: When the last was.
        durations: Of the lines as they are; not weighted.
        histogram: The lines by duration.
        statuses: Requests by class of status.
    """

    requests: int
    errors: int | None
    seconds: float
    estimated: bool
    first: dt.datetime | None
    last: dt.datetime | None
    durations: Quantiles
    histogram: tuple[Bin, ...] = ()
    statuses: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """
    Requests that have the fields in common by which they were grouped.

    Attributes:
        keys: The values of these fields.
        requests: How many, weighted by their sample rate if they have one.
        errors: Those of them that failed; None when the lines do not say.
        seconds: The time that they took together, weighted likewise.
        share: That as a share of the time of all, from 0 to 1; None if nothing took any time.
    """

    keys: Keys
    requests: int
    errors: int | None
    seconds: float
    share: float | None
    durations: Quantiles


@dataclass(frozen=True, slots=True)
class Groups:
    """
    Requests by some fields, those first that took the most time together.

    Attributes:
        by: The names of the fields.
        rows: The groups.
        rest: All that are not in *rows*, together; None when there are none.
        total: How many groups there are.
    """

    by: tuple[str, ...]
    rows: tuple[Group, ...]
    rest: Group | None = None
    total: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """
    A group with nothing but its rank.

    Attributes:
        keys: The values of the fields that the requests were grouped by.
        seconds: The time that its requests took together, weighted by their sample rate.
        raw: The same values with the types of the source.
    """

    keys: Keys
    seconds: float
    raw: tuple[Any, ...] = ()


def most_time_first(group: Group | Ranked) -> tuple[float, list[str]]:
    """Return the sort key of a group: those first that took the most time together, then by their keys."""
    return -group.seconds, [key or "" for key in group.keys]
