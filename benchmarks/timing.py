"""Rows against rows, in rounds: every round times a batch of every row, so what disturbs the machine disturbs all."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import workers

__all__ = ["Cost", "costs", "time_rows"]

Times = dict[str, list[float]]
"""Row -> nanoseconds a request, one item a round."""


def time_rows(
    rows: Sequence[str], driver: str, *, handler: str, rounds: int, batch: int, generations: int
) -> Times:
    """
    Return the times of *rows* over *generations* x *rounds* rounds.

    Each generation has new processes: where a process finds its memory makes it a little quicker or slower for life.
    """
    times: Times = {row: [] for row in rows}
    order = random.Random(0)
    for _ in range(generations):
        with (
            tempfile.TemporaryDirectory() as folder,
            workers(list(rows), driver, Path(folder), handler) as running,
        ):
            for _ in range(rounds):
                for worker in order.sample(running, len(running)):
                    times[worker.row].append(worker.ask("time", batch))
    return times


@dataclass(frozen=True)
class Cost:
    """
    What a row adds to a request.

    Attributes:
        added_us: Microseconds more than with nothing.
        ratio: The same in units of what the seed adds: the median of the rounds' ratios.
        low: Their lower quartile.
        high: Their upper quartile.
    """

    added_us: float
    ratio: float
    low: float
    high: float


def costs(times: Times, *, nothing: str = "nothing", unit: str = "seed") -> dict[str, Cost]:
    """Return what each row adds, compared round by round."""
    result = {}
    for row, values in times.items():
        added = [value - base for value, base in zip(values, times[nothing], strict=True)]
        units = [value - base for value, base in zip(times[unit], times[nothing], strict=True)]
        ratios = [ours / theirs for ours, theirs in zip(added, units, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        result[row] = Cost(statistics.median(added) / 1000, middle, low, high)
    return result
