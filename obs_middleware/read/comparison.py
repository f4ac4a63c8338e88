"""
The comparison behind `diff`: `compare`, with a bootstrap interval for each difference.

The interval contains `CONFIDENCE` of the differences between `DRAWS` bootstrap samples of each side. No sample is
really drawn: the quantile of a sample of n out of n durations is the duration at a rank that follows a beta
distribution, so only the rank is drawn, and the duration looked up.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from obs_middleware.read.answers import FEW, SHARES, Keys, Quantiles, Ranked, most_time_first
from obs_middleware.read.questions import Side

__all__ = ["CONFIDENCE", "DRAWS", "FIGURES", "Change", "compare", "interval_of", "ranks_of"]

FIGURES: Final = {name: SHARES[name] for name in ("p50", "p95", "p99")}
"""The compared quantiles, with the share of durations below each."""

DRAWS: Final = 2_000
"""Bootstrap samples of each side."""

CONFIDENCE: Final = 0.99
"""Share of the differences that the interval contains."""

_SEED: Final = 8
_SIDES: Final = ("before", "after")
_UNKNOWN: Final = (None, None)


@dataclass(frozen=True, slots=True)
class Change:
    """
    A quantile of one group, before and after.

    Attributes:
        keys: The values that the requests of the group have in common.
        figure: ``p50``, ``p95`` or ``p99``.
        low: Lower end of the interval for the difference *after* - *before*; None if a side has too few requests.
        high: Its upper end.
    """

    keys: Keys
    figure: str
    n_before: int
    n_after: int
    before: float | None
    after: float | None
    low: float | None = None
    high: float | None = None

    @property
    def real(self) -> bool | None:
        """Whether the change is more than chance: zero is outside the interval. None if there are too few requests."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


def compare(before: Side, after: Side, by: Sequence[str], limit: int | None = None) -> tuple[Change, ...]:
    """
    Return how each figure of each group differs between two sides, with an interval for the difference.

    Args:
        before: The first side.
        after: The second side.
        by: The fields to group by.
        limit: The largest number of groups; those are kept that took the most time together on either side.

    Returns:
        A change for each figure of each group. A group with fewer than `FEW` requests on a side has no interval.
    """
    sides = (before, after)
    rankings = [side.ranking(by) for side in sides]
    kept = _most_time(rankings)[:limit]
    figures = [
        side.figures(by, [ranking[keys] for keys in kept if keys in ranking])
        for side, ranking in zip(sides, rankings, strict=True)
    ]
    found = []
    for keys in kept:
        old, new = (one.get(keys, Quantiles(0)) for one in figures)
        intervals = {}
        if old.n >= FEW and new.n >= FEW:
            drawn = [
                side.durations_at(by, ranking[keys], ranks_of(one.n, f"{name} {keys}", side.rank_error))
                for name, side, ranking, one in zip(_SIDES, sides, rankings, (old, new), strict=True)
            ]
            intervals = _intervals(*drawn)
        for figure in FIGURES:
            low, high = intervals.get(figure, _UNKNOWN)
            found.append(Change(keys, figure, old.n, new.n, getattr(old, figure), getattr(new, figure), low, high))
    return tuple(found)


def _most_time(rankings: Iterable[Mapping[Keys, Ranked]]) -> list[Keys]:
    """Return the keys of all groups, in the order of the larger of their two times."""
    larger: dict[Keys, Ranked] = {}
    for ranking in rankings:
        for keys, group in ranking.items():
            if keys not in larger or larger[keys].seconds < group.seconds:
                larger[keys] = group
    return [group.keys for group in sorted(larger.values(), key=most_time_first)]


def _intervals(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, float]]:
    return {
        figure: interval_of(new - old for old, new in zip(before[figure], after[figure], strict=True))
        for figure in FIGURES
    }


def ranks_of(n: int, seed: str, rank_error: Callable[[float], float] = lambda _: 0.0) -> dict[str, list[float]]:
    """
    Draw the rank of each figure in `DRAWS` bootstrap samples of *n* durations.

    Args:
        n: The number of durations.
        seed: The same seed always gives the same ranks.
        rank_error: Returns the error of the ranks at a share. It is drawn too, so that it makes the interval wider.

    Returns:
        Figure -> ranks from 0 to 1.
    """
    dice = random.Random(f"{_SEED} {seed}")  # noqa: S311 -- a comparison must be reproducible
    drawn = {}
    for figure, share in FIGURES.items():
        rank = min(math.floor(share * (n - 1)) + 1, n)
        ranks = [dice.betavariate(rank, n - rank + 1) for _ in range(DRAWS)]
        error = rank_error(share)
        drawn[figure] = [min(max(one + dice.uniform(-error, error), 0.0), 1.0) for one in ranks] if error else ranks
    return drawn


def interval_of(differences: Iterable[float]) -> tuple[float, float]:
    """Return the lower and the upper end of the middle `CONFIDENCE` of *differences*."""
    ordered = sorted(differences)
    tail = round((1 - CONFIDENCE) / 2 * len(ordered))
    return ordered[tail], ordered[-1 - tail]
