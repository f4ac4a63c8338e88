"""
What chance alone does to counts and ranks: the tests behind `diff`.

Read. All of them rest on one distribution: *drawn* things out of a *population* without replacement, of which some are
*marked*. If nothing changed, the requests before and after are such a draw, whatever the distribution of durations. The
probabilities are exact for durations that never repeat; equal durations make a change harder to find, never easier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import NormalDist
from typing import Final

__all__ = ["at_least", "chance_of_shares", "levels", "nearest_ranks", "strictest_level", "waves"]

_NORMAL: Final = NormalDist()
_NEGLIGIBLE: Final = 1e-4
"""A sum of probabilities may be too large by this share, never too small."""
_STEPS: Final = 8
"""Steps in the search for the nearest ranks, after which they are within 0.1 % of their distance."""


def at_least(k: int, population: int, marked: int, drawn: int, limit: float = 0.0) -> float:
    """
    Return the probability that at least *k* of *drawn* things are marked, of a *population* with *marked* ones.

    Args:
        k: The number of marked things.
        population: All things.
        marked: The marked ones among them.
        drawn: The things that are drawn.
        limit: If you only ask whether the probability is at most this, fewer terms are summed up. The result is on the
            right side of it.
    """
    least, most = max(0, drawn + marked - population), min(marked, drawn)
    if k <= least:
        return 1.0
    if k > most:
        return 0.0
    rest = population - marked - drawn
    term = total = math.exp(
        _log_choices(marked, k) + _log_choices(population - marked, drawn - k) - _log_choices(population, drawn)
    )
    for number in range(k, most):
        ratio = (marked - number) * (drawn - number) / ((number + 1) * (rest + number + 1))
        term *= ratio
        total += term
        if 0 < limit < total:
            break
        # The ratios fall, so the terms that are left are together less than a geometric series.
        if ratio < 1 and ((left := term * ratio / (1 - ratio)) <= total * _NEGLIGIBLE or total + left <= limit):
            total += left
            break
    return min(total, 1.0)


def _log_choices(of: int, chosen: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)


def nearest_ranks(share: float, n_above: int, n_below: int, error: float) -> tuple[int, int] | None:
    """
    Return a rank above a quantile in one sample, and a rank below it in another one.

    Both are equally many standard errors away from the quantile. They are the nearest ranks for which this holds: if
    both samples come from one distribution, the value at the rank *below* in the other sample is larger than the value
    at the rank *above* in the first with a probability of at most *error*.

    The reason: it is larger if and only if, among the ``above + below - 1`` smallest values of both samples, at least
    ``above`` come from the first one.

    Args:
        share: The share of values below the quantile, between 0 and 1.
        n_above: The size of the sample with the rank above.
        n_below: The size of the sample with the rank below.
        error: The probability.

    Returns:
        The ranks from 1 (above, below); None if a sample is too small to have such a rank.
    """
    spread_above, spread_below = (math.sqrt(n * share * (1 - share)) for n in (n_above, n_below))

    def ranks(distance: float) -> tuple[int, int]:
        above = math.ceil(share * n_above + 0.5 + distance * spread_above)
        return above, math.floor(share * n_below + 0.5 - distance * spread_below)

    def are_far(pair: tuple[int, int]) -> bool:
        above, below = pair
        return at_least(above, n_above + n_below, n_above, above + below - 1, error) <= error

    if not n_above or not n_below:
        return None
    farthest = min(((1 - share) * n_above - 0.5) / spread_above, (share * n_below - 0.5) / spread_below) - 1e-9
    expected = -_NORMAL.inv_cdf(error) * math.hypot(spread_above / n_above, spread_below / n_below)
    expected /= spread_above / n_above + spread_below / n_below
    near, far = 0.0, min(1.05 * expected, farthest)
    if far < 0 or not are_far(ranks(far)):
        near, far = far, farthest
        if far < 0 or not are_far(ranks(far)):
            return None
    too_near, found = ranks(near), ranks(far)
    for step in range(_STEPS):
        middle = (near + far) / 2 if step else max(near, 0.95 * far)
        pair = ranks(middle)
        if pair == found or (pair != too_near and are_far(pair)):
            far, found = middle, pair
        else:
            near, too_near = middle, pair
    return found


def chance_of_shares(before: tuple[int, int], after: tuple[int, int]) -> tuple[float, float]:
    """
    Return how probable it is that two shares differ as much as they do, if nothing changed (Fisher's exact test).

    Args:
        before: The number of things that count, and of all.
        after: The same for the other side.

    Returns:
        The probabilities that the share *after* is at least as high, and that it is at least as low.
    """
    (few, m), (many, n) = before, after
    return at_least(many, m + n, few + many, n), at_least(few, m + n, few + many, m)


# Several figures


def levels(error: float, figures: int) -> list[float]:
    """Return the levels among which `strictest_level` chooses, the strictest first."""
    numbers = [2**power for power in range(max(figures, 1).bit_length()) if 2**power < figures]
    return [error * number / max(figures, 1) for number in (*numbers, max(figures, 1))]


def strictest_level(error: float, figures: int, found_at: Callable[[float], int]) -> float:
    """
    Return the level at which each of several figures is judged (Benjamini and Hochberg).

    If nothing changed, the probability that any figure is called different is at most *error*. If something changed, at
    most this share of the figures that are called different is chance, on average.

    Args:
        error: The error of all figures together.
        figures: The number of figures.
        found_at: Returns how many figures are called different at a level.
    """
    possible = levels(error, figures)
    for level in reversed(possible):
        if found_at(level) >= round(level * figures / error):
            return level
    return possible[0]


# Requests that are not independent

_BLOCKS: Final = 20
_LEAST_IN_BLOCK: Final = 5
_STRONG: Final = 2.0
_STRONG_TOGETHER: Final = 1.25
_WAVES_ERROR: Final = 0.001


def waves(series: Sequence[Sequence[tuple[int, int]]]) -> tuple[set[int], bool]:
    """
    Return which series of durations come in waves: slow requests follow slow ones, and fast ones fast ones.

    The slices of a series are merged into at most `_BLOCKS` blocks. If requests are independent, the requests above the
    median spread evenly over the blocks, and the chi-squared statistic is about its degrees of freedom.

    Args:
        series: For each series, its slices in the order of time: (requests, those above the median).

    Returns:
        The numbers of the series in which the statistic is at least twice that, and whether all series together have
        waves that are weaker.
    """
    spread = [_chi_squared(_blocks(one)) for one in series]
    limit = -_NORMAL.inv_cdf(_WAVES_ERROR / max(len(series), 1))
    strong = {number for number, one in enumerate(spread) if _is_uneven(*one, _STRONG, limit)}
    together = sum(one[0] for one in spread), sum(one[1] for one in spread)
    return strong, _is_uneven(*together, _STRONG_TOGETHER, limit)


def _blocks(slices: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge neighbours, so that each block has enough requests."""
    size = max(_LEAST_IN_BLOCK, math.ceil(sum(n for n, _ in slices) / _BLOCKS))
    blocks = []
    requests = above = 0
    for n, more in slices:
        requests, above = requests + n, above + more
        if requests >= size:
            blocks.append((requests, above))
            requests = above = 0
    return blocks


def _chi_squared(blocks: Iterable[tuple[int, int]]) -> tuple[float, int]:
    """Return the chi-squared statistic and its degrees of freedom."""
    filled = list(blocks)
    requests, above = sum(n for n, _ in filled), sum(more for _, more in filled)
    if len(filled) < 2 or not 0 < above < requests:
        return 0.0, 0
    share = above / requests
    return sum((more - n * share) ** 2 / (n * share * (1 - share)) for n, more in filled), len(filled) - 1


def _is_uneven(statistic: float, freedom: int, ratio: float, limit: float) -> bool:
    if not freedom or statistic < ratio * freedom:
        return False
    spread = 2 / (9 * freedom)  # Wilson and Hilferty: the cube root is about normal
    return bool(((statistic / freedom) ** (1 / 3) - 1 + spread) / math.sqrt(spread) > limit)
