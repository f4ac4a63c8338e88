"""
The answers to questions about requests, from files or from an index.

Plain data, and the protocol `Requests`. An unknown value is None, never 0; durations are in seconds, times in UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = [
    "FAILED_OUTCOMES",
    "FAILED_STATUS",
    "FEW",
    "Bin",
    "Change",
    "Count",
    "ErrorRow",
    "Group",
    "Groups",
    "HeatMap",
    "Lines",
    "Overview",
    "Quantiles",
    "Requests",
    "Slice",
    "SlowRequest",
    "Verdict",
]

FEW: Final = 20
"""With fewer requests than this, a p95 is close to the maximum. Such figures are marked as not reliable."""

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

    keys: tuple[str | None, ...]
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
class Change:
    """
    A quantile of one group, before and after.

    Attributes:
        keys: The values that the group has in common.
        figure: ``p50``, ``p95`` or ``p99``.
        low: Lower end of the interval of the difference *after* - *before*; None if one side has too few requests.
        high: Its upper end.
    """

    keys: tuple[str | None, ...]
    figure: str
    n_before: int
    n_after: int
    before: float | None
    after: float | None
    low: float | None = None
    high: float | None = None

    @property
    def real(self) -> bool | None:
        """Whether the change is more than chance: the interval leaves zero out. None if there is too little to tell."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    One limit, and whether it is kept.

    Attributes:
        figure: What is limited: ``p95``, ``errors``.
        limit: Seconds; of errors a share from 0 to 1.
        value: What was found, in the same unit; None when the lines do not say.
        n: Of how many requests.
    """

    figure: str
    limit: float
    value: float | None
    n: int

    @property
    def kept(self) -> bool:
        """Whether the value is known and not above the limit."""
        return self.value is not None and self.value <= self.limit


class Requests(Protocol):
    """
    The requests that a command asks about, wherever they are.

    Attributes:
        sources: The names of what they come from.
        lines: What was read; None if nothing had to be.
        approximate: How percentiles are computed, if they are not exact.
        notes: Lines for people on what was read.
        most_slices: How many slices there may be of a course.
    """

    @property
    def sources(self) -> tuple[str, ...]: ...  # noqa: D102 -- above

    @property
    def lines(self) -> Lines | None: ...  # noqa: D102 -- above

    @property
    def approximate(self) -> str | None: ...  # noqa: D102 -- above

    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102 -- above

    @property
    def most_slices(self) -> int: ...  # noqa: D102 -- above

    def overview(self) -> Overview:
        """Return all requests at a glance."""

    def groups(self, by: Sequence[str], limit: int | None = None) -> Groups:
        """Return requests by the fields *by*, at most *limit* groups: those that took the most time together."""

    def slowest(self, limit: int) -> tuple[SlowRequest, ...]:
        """Return the requests that took longest."""

    def course(self, every: float) -> tuple[Slice, ...]:
        """Return the time span cut into slices of *every* seconds, which begin at whole multiples of it since 1970."""

    def outcomes(self) -> tuple[Count, ...]:
        """Return requests by outcome, the most frequent first."""

    def heat_map(self, every: float) -> HeatMap | None:
        """Return how many lines took how long when, in columns of *every* seconds; None if no line has a time."""

    def failures(self, limit: int) -> tuple[tuple[ErrorRow, ...], int]:
        """Return failed requests by what they have in common, and the number of such groups."""

    def service(self) -> str | None:
        """Return the name of the service, if all lines that name one name the same."""
