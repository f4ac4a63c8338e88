"""
The answers to questions about requests, from files or from an index.

Plain data. An unknown value is None, never 0; durations are in seconds, times in UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "FAILED_OUTCOMES",
    "FAILED_STATUS",
    "FEW",
    "PER_DECADE",
    "SHARES",
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
    "SliceCount",
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

FAILED_OUTCOMES: Final = ("error", "stream_error", "lost", "timeout", "killed", "unknown")
FAILED_STATUS: Final = 500
"""
A unit of work failed if it has one of these outcomes, or this status or a higher one.

The list is the same for all kinds: a word means the same in all that have it. The others are what somebody chose, such
as `revoked`, `expired` or `rejected`, or not the end, such as `retry`.
"""


@dataclass(frozen=True, slots=True)
class Count:
    """
    The number of lines or requests of one kind.

    Attributes:
        name: The kind: a kind of line, an outcome, or a class of status like ``2xx``.
    """

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Lines:
    """
    Counts of the lines that were read.

    Attributes:
        read: All lines.
        requests: Request lines that pass the filters.
        filtered: Request lines that do not pass the filters.
        kinds: Other lines by kind.
    """

    read: int
    requests: int
    filtered: int = 0
    kinds: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """
    Quantiles of durations, in seconds. `Requests.approximate` is None if they are exact.

    Attributes:
        n: The number of durations, not weighted by a sample rate. If it is 0, the other values are None.
        mean: The arithmetic mean.
        chosen: Other percentiles, if the user chose some: ``p75`` -> seconds. In JSON they are beside the fields.
    """

    n: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None
    mean: float | None = None
    chosen: Mapping[str, float] = field(default_factory=dict, kw_only=True, metadata={"inline": True})

    def figure(self, name: str) -> float | None:
        """Return the quantile that the console calls *name*: ``p75``, ``p99.9``, ``max``."""
        return self.chosen.get(name, getattr(self, "p999" if name == "p99.9" else name, None))


@dataclass(frozen=True, slots=True)
class Bin:
    """
    A bar of the histogram: the durations from *low* to *high* in seconds, *high* excluded.

    The bars of a histogram are in rising order on a logarithmic scale. There are no gaps: empty bars are included.
    """

    low: float
    high: float
    count: int


BARS: Final = range(-6 * PER_DECADE, 6 * PER_DECADE)
"""
The bars of histograms, from a microsecond to eleven days.

The first bar includes shorter durations, the last one longer ones: a damaged line may claim any duration.
"""


def edge(bar: int) -> float:
    """Return the duration at which a bar begins, in seconds. Bar 0 begins at a second."""
    return float(10 ** (bar / PER_DECADE))


@dataclass(frozen=True, slots=True)
class HeatMap:
    """
    Requests by time and duration.

    Attributes:
        times: The beginning of each column, and the end of the last one.
        durations: The beginning of each row in seconds, rising on a logarithmic scale, and the end of the last one.
        counts: The counts of the rows of each column.
    """

    times: tuple[dt.datetime, ...]
    durations: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """
    A slice of the time span. Slices without requests are included.

    Attributes:
        requests: The number of requests, weighted by their sample rate.
        errors: The number of failed requests, weighted too; None if no line has a status or an outcome.
        durations: The durations of its requests.
    """

    start: dt.datetime
    end: dt.datetime
    requests: int
    errors: int | None
    durations: Quantiles


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """
    One request or other unit of work.

    Attributes:
        fields: The values of `Kind.slow_fields`, None for one that the line does not have. In JSON they are beside the
            duration.
    """

    duration_seconds: float
    fields: Mapping[str, Any] = field(default_factory=dict, metadata={"inline": True})


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """
    Failed requests, or other units of work, with the same type, status, outcome and keys.

    Attributes:
        count: Their number, weighted by their sample rate.
        keys: The values of the fields by which their kind is grouped: method and route.
        error_message: The message of the newest.
        last_seen: The time of the newest.
        id: The id of the newest.
    """

    count: int
    error_type: str | None = None
    error_message: str | None = None
    status: int | None = None
    outcome: str | None = None
    keys: Keys = ()
    last_seen: dt.datetime | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """
    All requests at a glance.

    Attributes:
        requests: Their number, weighted by their sample rate.
        errors: The number of failed requests, weighted too; None if no line has a status or an outcome.
        seconds: The time that they took together, weighted too.
        estimated: Whether any line has a sample rate below 1.
        first: The time of the first line, without the odd ones; None if no line has a time.
        last: The time of the last line, without the odd ones.
        durations: The durations of the lines, not weighted.
        histogram: The lines by duration, not weighted.
        statuses: Requests by class of status, weighted.
        odd: The number of lines whose time is far from that of all others, because a clock was wrong.
        odd_times: The first few of their times.
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
    odd: int = 0
    odd_times: tuple[dt.datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """
    Requests with the same values of the fields that they were grouped by.

    Attributes:
        keys: The values.
        requests: The number of requests, weighted by their sample rate.
        errors: The number of failed requests, weighted too; None if no line has a status or an outcome.
        seconds: The time that they took together, weighted too.
        share: *seconds* as a share of the time of all requests, from 0 to 1; None if that time is 0.
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
    Requests by some fields.

    Attributes:
        by: The names of the fields.
        rows: The groups, those first that took the most time together.
        rest: All other groups together; None if there are no others.
        total: The number of all groups.
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
        n: The number of its lines.
    """

    keys: Keys
    seconds: float
    raw: tuple[Any, ...] = ()
    n: int = 0


@dataclass(frozen=True, slots=True)
class SliceCount:
    """
    Counts of the requests of a group in a slice of time.

    Attributes:
        requests: The number of requests, weighted by their sample rate.
        n: The number of lines.
        above: The number of lines that took longer than the median of the group.
    """

    requests: float
    n: int
    above: int


def most_time_first(group: Group | Ranked) -> tuple[float, list[str]]:
    """Return the sort key of a group: those first that took the most time together, then by their keys."""
    return -group.seconds, [key or "" for key in group.keys]
