"""
Axes: the position of a value, and the values that get a label.

Positions go from 0 to 1, so that charts can be as wide as the page.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from collections.abc import Sequence
from typing import Final

__all__ = ["DurationAxis", "TimeAxis", "round_up"]

_STEPS: Final = tuple(
    dt.timedelta(seconds=seconds)
    for seconds in (
        *(1, 2, 5, 10, 15, 30),
        *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
        *(3600 * hours for hours in (1, 2, 3, 6, 12)),
        *(86400 * days for days in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
    )
)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class DurationAxis:
    """
    An axis of durations whose intervals all have the same width. Inside an interval the scale is logarithmic.

    Args:
        edges: Starts of the intervals in seconds, rising, and the end of the last. The first may be 0.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = edges

    def at(self, seconds: float) -> float:
        """Return the position of *seconds*; 0 or 1 if it is outside."""
        last = len(self.edges) - 1
        if seconds <= self.edges[0]:
            return 0.0
        if seconds >= self.edges[-1]:
            return 1.0
        index = bisect.bisect_right(self.edges, seconds) - 1
        low, high = self.edges[index], self.edges[index + 1]
        inside = math.log(seconds / low) / math.log(high / low) if low > 0 else seconds / high
        return (index + inside) / last

    def ticks(self) -> list[float]:
        """Return the powers of ten on the axis. If there are fewer than three, add their multiples by 2 and 5."""
        low = next((edge for edge in self.edges if edge > 0), 1.0)
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(max(self.edges[-1], low))) + 1)
        for factors in ((1,), (1, 2, 5)):
            ticks = [factor * 10.0**power for power in powers for factor in factors]
            # 10.0**-3 may differ from an edge in the last digits.
            ticks = [tick for tick in ticks if low * 0.999 <= tick <= self.edges[-1] * 1.001]
            if len(ticks) > 2:
                break
        return ticks


class TimeAxis:
    """An axis of time from *start* to *end*."""

    def __init__(self, start: dt.datetime, end: dt.datetime) -> None:
        self.start, self.end = start, end

    def at(self, time: dt.datetime) -> float:
        """Return the position of *time*; 0 if the axis has no length."""
        length = self.end - self.start
        return (time - self.start) / length if length else 0.0

    def ticks(self) -> tuple[list[dt.datetime], dt.timedelta]:
        """Return at most eight round times on the axis, and the step between them."""
        length = self.end - self.start
        step = next((step for step in _STEPS if length / step <= 7), _STEPS[-1])
        first = -((_EPOCH - self.start) // step)
        return [_EPOCH + step * number for number in range(first, (self.end - _EPOCH) // step + 1)][:8], step


def round_up(value: float) -> float:
    """Return the smallest of ..., 0.5, 1, 2, 5, 10, ... that is at least *value*; 1 if *value* is 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.9999)
