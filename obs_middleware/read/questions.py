"""
The questions about requests that files and an index answer alike: `Requests`.

Read. The answers are in `obs_middleware.read.answers`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Protocol

from obs_middleware.read.answers import (
    Count,
    ErrorRow,
    Group,
    Groups,
    HeatMap,
    Keys,
    Lines,
    Overview,
    Ranked,
    Slice,
    SliceCount,
    SlowRequest,
)
from obs_middleware.read.bands import Bands, Places
from obs_middleware.read.kinds import Kind
from obs_middleware.read.where.conditions import Condition

__all__ = ["Requests", "Side"]


class Side(Protocol):
    """One side of a comparison."""

    def ranking(self, by: Sequence[str]) -> Mapping[Keys, Ranked]:
        """Return all groups by the fields *by*."""

    def figures(self, by: Sequence[str], groups: Sequence[Ranked]) -> Mapping[Keys, Group]:
        """Return the figures of *groups*, which `ranking` returned. They have no share."""

    def durations_at(
        self, by: Sequence[str], ranks: Mapping[Ranked, Sequence[int]]
    ) -> Mapping[Keys, Mapping[int, float]]:
        """Return the durations of groups, in seconds, at *ranks*, which are from 1 to the number of lines."""

    def span(self) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the times of the first and the last line; None if no line has a time."""

    def slices(
        self, by: Sequence[str], medians: Mapping[Ranked, float], every: dt.timedelta
    ) -> Mapping[Keys, Mapping[int, SliceCount]]:
        """
        Return counts of the requests of groups in slices of *every*, numbered from 0, the time of the first line.

        Args:
            by: The fields that *medians* are grouped by.
            medians: The groups, with the median of each, in seconds.
            every: The length of a slice, a whole number of milliseconds.
        """

    def rank_error(self, share: float) -> float:
        """Return how far the rank of the duration at *share* may be off, as a share of all ranks; 0 if it is exact."""


class Requests(Side, Protocol):
    """
    The requests that a command asks about, in files or in an index.

    Attributes:
        sources: The names of the files, or the URL of the index.
        kind: The kind of the units of work: requests, unless the user asked for another.
        lines: The lines that were read; None if a search engine was asked.
        n: The number of request lines that pass the filters.
        approximate: How percentiles are computed, if they are not exact.
        most_slices: The largest number of slices for `course`.
    """

    @property
    def kind(self) -> Kind: ...  # noqa: D102 -- above

    @property
    def sources(self) -> tuple[str, ...]: ...  # noqa: D102 -- above

    @property
    def lines(self) -> Lines | None: ...  # noqa: D102 -- above

    @property
    def n(self) -> int: ...  # noqa: D102 -- above

    @property
    def approximate(self) -> str | None: ...  # noqa: D102 -- above

    @property
    def most_slices(self) -> int: ...  # noqa: D102 -- above

    def starts(self, field: str) -> Mapping[str, dt.datetime]:
        """Return the time of the first line with each value of *field*."""

    def matching(self, condition: Condition) -> Requests:
        """
        Return those of the requests that match *condition*.

        Raises:
            SourceError: There are none.
        """

    def overview(self) -> Overview:
        """Return all requests at a glance."""

    def groups(self, by: Sequence[str], limit: int | None = None) -> Groups:
        """Return requests by the fields *by*, at most *limit* groups: those that took the most time together."""

    def slowest(self, limit: int | None) -> tuple[SlowRequest, ...]:
        """Return the requests that took longest, at most *limit*."""

    def course(self, every: float) -> tuple[Slice, ...]:
        """
        Return the time span cut into slices of *every* seconds, empty ones too.

        Slices begin at whole multiples of *every* since 1970. Lines without a time are in no slice.
        """

    def outcomes(self) -> tuple[Count, ...]:
        """Return requests by outcome, the most frequent first."""

    def heat_map(self, every: float) -> HeatMap | None:
        """Return how many lines took how long when, in columns of *every* seconds; None if no line has a time."""

    def failures(self, limit: int) -> tuple[tuple[ErrorRow, ...], int]:
        """Return failed requests by type, status, outcome and keys, and the number of such groups."""

    def bands(self, by: Sequence[str], groups: Sequence[Ranked], blocks: Sequence[str]) -> Mapping[Keys, Bands]:
        """
        Return the slow and the ordinary requests of *groups*, with the fields of timed blocks.

        Args:
            by: The fields that `ranking` grouped by.
            groups: Some of the groups that it returned.
            blocks: Fields of the application, see `Session.blocks`.
        """

    def places(self, by: Sequence[str], groups: Sequence[Ranked], field: str, most: int) -> Mapping[Keys, Places]:
        """Return the places that *field* of *groups* names, one of `PLACES`, at most *most* for each."""

    def worst(self, field: str, names: Sequence[str]) -> tuple[int, SlowRequest | None]:
        """Return the number of lines with *field*, and the request with the largest one, with the fields *names*."""

    def services(self) -> tuple[Count, ...]:
        """Return the services that the lines name with their numbers of lines, the most frequent first."""
