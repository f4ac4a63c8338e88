"""
The answers to questions about requests, from files or from an index.

Read. Plain data without behaviour, and `Requests`, which answers the questions. An unknown value is None, never 0;
durations are in seconds, times in UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from obs_middleware.read.figures import Bin, Count, ErrorRow, HeatMap, Lines, Quantiles, Slice, SlowRequest

__all__ = ["FEW", "Change", "Group", "Groups", "Overview", "Requests", "Verdict"]

FEW = 20
"""Below so many requests a p95 is little more than the largest of them; such figures are marked."""


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
