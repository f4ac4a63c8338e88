"""
How often `diff` calls a percentile different: the tables of docs/how-to/reading.md.

    make simulate-diff

Without a change no figure may be called slower or faster more often than the stated error. The simulation draws only
the durations at the ranks that `diff` looks at: those of uniform samples follow beta distributions, and the quantile
function of a shape turns them into durations.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Final

from obs_middleware.read.chance import waves
from obs_middleware.read.comparison import ERROR, QUANTILES
from obs_middleware.read.judged import Judged

SIZES: Final = (20, 50, 100, 300, 1_000, 5_000)

Shape = Callable[[float], float]
_normal: Final = NormalDist()


def _lognormal(sigma: float) -> Shape:
    return lambda u: 0.05 * math.exp(sigma * _normal.inv_cdf(u))


SHAPES: Final[dict[str, Shape]] = {
    "lognormal, sigma 0.75": _lognormal(0.75),
    "lognormal, sigma 1": _lognormal(1.0),
    "exponential": lambda u: -0.05 * math.log1p(-u),
    "Pareto, alpha 1.5": lambda u: 0.01 * (1 - u) ** (-1 / 1.5),
    "uniform": lambda u: 0.1 * u,
    "normal": lambda u: max(0.1 + 0.02 * _normal.inv_cdf(u), 0.0),
    "two humps": lambda u: 0.01 + 0.002 * u if u < 0.9 else 0.5 + u,
    "whole milliseconds": lambda u: math.floor(-20 * math.log1p(-u)) / 1_000,
}
"""Shape of the durations -> quantile function."""


def order_statistics(dice: random.Random, n: int, ranks: Sequence[int]) -> dict[int, float]:
    """Draw the values at rising *ranks* of a sorted sample of *n* uniform values."""
    found, before, value = {}, 0, 0.0
    for rank in ranks:
        value += (1 - value) * dice.betavariate(rank - before, n - rank + 1)
        found[rank] = min(value, 1 - 1e-12)
        before = rank
    return found


def called(
    dice: random.Random, sizes: tuple[int, int], pairs: int, shapes: Sequence[Shape], factor: float = 1.0
) -> dict[str, list[tuple[int, int]]]:
    """
    Return how often each figure is called faster, and slower, for each shape, out of *pairs* of samples.

    Args:
        dice: The source of chance.
        sizes: The requests before and after.
        pairs: The number of pairs of samples.
        shapes: The quantile functions.
        factor: All durations after are multiplied by this.
    """
    figures = {name: Judged(share, sizes) for name, share in QUANTILES.items()}
    counts = {name: [[0, 0] for _ in shapes] for name in figures}
    ends = {name: [one for one in judged.ends(ERROR) if one is not None] for name, judged in figures.items()}
    ranks = [sorted({one[side] for some in ends.values() for one in some}) for side in (0, 1)]
    for _ in range(pairs):
        before, after = (order_statistics(dice, n, some) for n, some in zip(sizes, ranks, strict=True))
        for number, shape in enumerate(shapes):
            values = (
                {rank: shape(u) for rank, u in before.items()},
                {rank: shape(u) * factor for rank, u in after.items()},
            )
            for name, judged in figures.items():
                judged.values = values
                if direction := judged.direction(ERROR):
                    counts[name][number][direction > 0] += 1
    return {name: [(faster, slower) for faster, slower in some] for name, some in counts.items()}


def correlated(dice: random.Random, n: int, rho: float) -> list[float]:
    """Return *n* values each of which depends on the one before it: an autoregressive series."""
    value, found = dice.gauss(0, 1), []
    for _ in range(n):
        found.append(value)
        value = rho * value + math.sqrt(1 - rho * rho) * dice.gauss(0, 1)
    return found


def has_waves(values: Sequence[float]) -> bool:
    """Return whether `diff` warns about a series that is spread evenly over 20 slices of time."""
    median = sorted(values)[len(values) // 2]
    edges = [round(number * len(values) / 20) for number in range(21)]
    slices = [values[low:high] for low, high in itertools.pairwise(edges)]
    return bool(waves([[(len(part), sum(value > median for value in part)) for part in slices]])[0])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="simulate the verdicts of diff")
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs of samples for each size and shape (10,000)")
    pairs: int = parser.parse_args().pairs
    dice = random.Random(14)
    shapes = [*SHAPES.values()]

    print(f"No change: largest share of false verdicts, {len(SIZES) ** 2} pairs of sizes, {len(shapes)} shapes\n")
    print("| before \\ after | " + " | ".join(f"{n:,}" for n in SIZES) + " |")
    print("|---:|" + "---:|" * len(SIZES))
    for m in SIZES:
        cells = []
        for n in SIZES:
            counts = called(dice, (m, n), pairs, shapes)
            cells.append(f"{max(sum(one) for some in counts.values() for one in some) / pairs:.2%}")
        print(f"| {m:,} | " + " | ".join(cells) + " |")

    print("\nAll durations x 1.5: share called slower\n\n| shape | requests | p50 | p95 | p99 |\n|---|" + "---:|" * 4)
    for name in ("lognormal, sigma 0.75", "lognormal, sigma 1", "exponential"):
        for n in (100, 200, 1_000, 5_000):
            counts = called(dice, (n, n), pairs, [SHAPES[name]], 1.5)
            print(f"| {name} | {n:,} | " + " | ".join(f"{some[0][1] / pairs:.1%}" for some in counts.values()) + " |")

    print("\nWaves: share of series with a warning\n\n| requests | independent | AR(1), 0.95 |\n|---:|---:|---:|")
    for n in (100, 300, 1_000):
        some = max(pairs // 10, 1)
        shares = (sum(has_waves(correlated(dice, n, rho)) for _ in range(some)) / some for rho in (0.0, 0.95))
        print(f"| {n:,} | " + " | ".join(f"{share:.2%}" for share in shares) + " |")


if __name__ == "__main__":
    main()
