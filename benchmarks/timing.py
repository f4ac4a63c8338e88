"""Compare rows in rounds. Every round times a batch of every row, so a disturbance of the machine affects all rows."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.processes import workers

__all__ = ["Cost", "Times", "costs", "time_rows"]

Times = dict[str, list[float]]
"""The nanoseconds of each row, one item a round. The rounds of all rows belong together."""


def time_rows(rows: Sequence[str], driver: str, *, handler: str, rounds: int, generations: int) -> Times:
    """
    Return the times of *rows* over *rounds* rounds.

    The rounds are spread over *generations* of processes, because the memory layout makes a process a little faster or
    slower for its whole life.
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
    The cost that a row adds.

    Attributes:
        microseconds: The difference to the row ``nothing``: the median of the rounds.
        ratio: The same as a multiple of what another row adds: the median of the ratios of the rounds.
        low: The lower quartile of the ratios.
        high: The upper quartile of the ratios.
    """

    microseconds: float
    ratio: float
    low: float
    high: float


def costs(times: Times, unit: str = "seed") -> dict[str, Cost]:
    """Return the cost that each row adds, also as a multiple of the row *unit*, compared round by round."""
    result = {}
    for row, values in times.items():
        added = [value - nothing for value, nothing in zip(values, times["nothing"], strict=True)]
        units = [value - nothing for value, nothing in zip(times[unit], times["nothing"], strict=True)]
        ratios = [one / other for one, other in zip(added, units, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        result[row] = Cost(statistics.median(added) / 1000, middle, low, high)
    return result
