"""
Slow and ordinary requests of a group, and the places that their lines name: `Bands` and `Places`.

Plain data. A request means a unit of work of any kind. Durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["CUTS", "MOST_BLOCKS", "PARTS", "PLACES", "STREAMED", "WHY_FIELDS", "Band", "Bands", "Place", "Places"]

CUTS: Final = (0.25, 0.75, 0.9)
"""
The ends of the bands, as shares of the durations of a group.

Ordinary requests are between the first two, both included. Slow requests are at the last one or above it.
"""

PARTS: Final = ("db_seconds", "http_seconds", "blocked_seconds")
"""The fields of the package that are a part of the duration."""

MOST_BLOCKS: Final = 20
"""Timed blocks that are looked at."""

STREAMED: Final = "streamed_seconds"
"""The name, in `Band.means`, of the time after the first byte. No line has such a field."""

PLACES: Final[Mapping[str, str]] = {
    "db_repeated_at": "db_repeats",
    "blocked_at": "blocked_seconds",
    "slow_at": "duration_seconds",
}
"""The fields that contain a place in the code -> the figure that says how bad it was there."""

WHY_FIELDS: Final = (*PARTS, "first_byte_seconds", "queue_seconds", "db_queries", "db_repeats", *PLACES)
"""The fields that `Requests.bands` and `Requests.places` need beside `STATS_FIELDS`."""


@dataclass(frozen=True, slots=True)
class Band:
    """
    The slow or the ordinary requests of a group.

    Attributes:
        n: The number of lines.
        seconds: The mean of the durations.
        means: Field -> mean of its values. A line without the field counts as 0.
        known: Field -> number of lines that have it.
        above: Field -> number of lines with a value above the mean of both bands together. Not for `STREAMED`.
    """

    n: int = 0
    seconds: float = 0.0
    means: Mapping[str, float] = field(default_factory=dict)
    known: Mapping[str, int] = field(default_factory=dict)
    above: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bands:
    """The slow and the ordinary requests of a group."""

    slow: Band = Band()
    ordinary: Band = Band()


@dataclass(frozen=True, slots=True)
class Place:
    """
    A place in the code that lines name.

    Attributes:
        place: The place, ``shop/views.py:88 in order_lines``.
        n: The number of lines that name it.
        mean: The mean of their figure, see `PLACES`; None if they do not have it.
        most: The largest figure.
        queries: The mean of their `db_queries`.
    """

    place: str
    n: int
    mean: float | None = None
    most: float | None = None
    queries: float | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """
    The places that one field of a group names.

    Attributes:
        rows: The most frequent ones, those first.
        elsewhere: The number of lines that name others.
    """

    rows: tuple[Place, ...] = ()
    elsewhere: int = 0

    @property
    def lines(self) -> int:
        """The number of lines that name a place."""
        return sum(one.n for one in self.rows) + self.elsewhere
