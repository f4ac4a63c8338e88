"""The bootstrap behind `diff`: which ranks to draw, and the confidence interval of a difference."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Final

__all__ = ["CONFIDENCE", "DRAWS", "FIGURES", "interval_of", "ranks_of"]

FIGURES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""The compared quantiles, with the share of durations below each."""

DRAWS: Final = 2_000
"""Bootstrap samples of each side."""

CONFIDENCE: Final = 0.99
"""Share of the differences that the interval contains."""

_SEED: Final = 8


def ranks_of(n: int, seed: str) -> dict[str, list[float]]:
    """
    Draw the rank of each figure in `DRAWS` bootstrap samples of *n* durations.

    Returns:
        Figure -> ranks from 0 to 1. The same *seed* always gives the same ranks.
    """
    dice = random.Random(f"{_SEED} {seed}")  # noqa: S311 -- a comparison must be reproducible
    drawn = {}
    for figure, share in FIGURES.items():
        rank = min(math.floor(share * (n - 1)) + 1, n)
        drawn[figure] = [dice.betavariate(rank, n - rank + 1) for _ in range(DRAWS)]
    return drawn


def interval_of(differences: Iterable[float]) -> tuple[float, float]:
    """Return the lower and the upper end of the middle `CONFIDENCE` of *differences*."""
    ordered = sorted(differences)
    tail = round((1 - CONFIDENCE) / 2 * len(ordered))
    return ordered[tail], ordered[-1 - tail]
