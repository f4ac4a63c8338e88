"""A figure of two samples that is compared by ranks: `Judged`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from obs_middleware.read.chance import nearest_ranks

__all__ = ["Ends", "Judged"]

Ends = tuple[tuple[int, int] | None, tuple[int, int] | None]
"""For each end of an interval the ranks from 1 (before, after) that it is the difference of; None without this end."""


@dataclass(slots=True)
class Judged:
    """
    A quantile of some values, before and after.

    Attributes:
        share: The share of values below the quantile.
        sizes: The number of values, before and after.
        slack: How far a rank may be off, before and after.
        values: The values by rank, before and after.
    """

    share: float
    sizes: tuple[int, int]
    slack: tuple[int, int] = (0, 0)
    values: tuple[Mapping[int, float], Mapping[int, float]] = ({}, {})
    _ends: dict[float, Ends] = field(default_factory=dict)

    def ends(self, level: float) -> Ends:
        """Return the ranks of the lower and of the upper end of the interval whose error is *level*."""
        if level not in self._ends:
            (before, after), (off_before, off_after) = self.sizes, self.slack
            low = high = None
            if (found := nearest_ranks(self.share, before, after, level / 2)) is not None:
                low = self._inside(found[0] + off_before, found[1] - off_after)
            if (found := nearest_ranks(self.share, after, before, level / 2)) is not None:
                high = self._inside(found[1] - off_before, found[0] + off_after)
            self._ends[level] = low, high
        return self._ends[level]

    def _inside(self, before: int, after: int) -> tuple[int, int] | None:
        return (before, after) if 1 <= before <= self.sizes[0] and 1 <= after <= self.sizes[1] else None

    def interval(self, level: float) -> tuple[float | None, float | None]:
        """Return the interval for the difference *after* - *before*; None for an end that too few values support."""
        before, after = self.values
        low, high = (None if ranks is None else after[ranks[1]] - before[ranks[0]] for ranks in self.ends(level))
        return low, high

    def direction(self, level: float) -> int | None:
        """Return 1 or -1 if the interval excludes zero, 0 if it does not, None if it lacks the end that would tell."""
        low, high = self.interval(level)
        if low is not None and low > 0:
            return 1
        if high is not None and high < 0:
            return -1
        return None if low is None or high is None else 0
