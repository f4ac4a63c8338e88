"""Rows against rows, in rounds: every round times a batch of every row, so what disturbs the machine disturbs all."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.processes import workers

__all__ = ["Cost", "Times", "costs", "time_rows"]

Times = dict[str, list[float]]
"""Row -> nanoseconds for one, an item a round; the rounds of all rows go together."""


def time_rows(rows: Sequence[str], driver: str, *, handler: str, rounds: int, generations: int) -> Times:
    """
    Return the times of *rows* over *rounds* rounds.

    They are spread over *generations* of processes: where a process finds its memory makes it a little quicker or
    slower for life.
    """
    times: Times = {row: [] for row in rows}
    order = random.Random(0)  # noqa: S311 -- an order, not a secret
    for _ in range(generations):
        with workers(rows, driver, handler, "time") as running:
            for _ in range(max(1, rounds // generations)):
                for worker in order.sample(running, len(running)):
                    times[worker.row].append(round(worker.ask("time")))
    return times


@dataclass(frozen=True)
class Cost:
    """
    What a row adds.

    Attributes:
        microseconds: More than with nothing; the median of the rounds.
        ratio: The same in units of what another row adds: the median of the rounds' ratios.
        low: Their lower quartile.
        high: Their upper quartile.
    """

    microseconds: float
    ratio: float
    low: float
    high: float


def costs(times: Times, unit: str = "seed") -> dict[str, Cost]:
    """Return what each row adds to ``nothing``, as a multiple of what the row *unit* adds, compared round by round."""
    result = {}
    for row, values in times.items():
        added = [value - nothing for value, nothing in zip(values, times["nothing"], strict=True)]
        units = [value - nothing for value, nothing in zip(times[unit], times["nothing"], strict=True)]
        ratios = [one / other for one, other in zip(added, units, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        result[row] = Cost(statistics.median(added) / 1000, middle, low, high)
    return result
