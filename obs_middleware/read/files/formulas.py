"""
The SQL of the figures of requests, and what the columns of its rows mean.

Read. All quantiles are exact, with linear interpolation between the two nearest durations (``quantile_cont``; type 7 of
Hyndman and Fan, the default of numpy and of spreadsheets).
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from obs_middleware.read.answers import BARS, FAILED_OUTCOMES, FAILED_STATUS, PER_DECADE, SHARES, Group, Quantiles
from obs_middleware.read.files.columns import literal

__all__ = [
    "BAR",
    "FAILED",
    "QUANTILES",
    "TOTALS",
    "WEIGHT",
    "Chosen",
    "finite_mean",
    "group_of",
    "quantiles",
    "quantiles_of",
    "totals_of",
    "utc",
]

_MOST: Final = sys.float_info.max  # a damaged line may claim any duration, and the sum of two must not be infinite
WEIGHT: Final = "CASE WHEN sample_rate > 0 AND sample_rate <= 1 THEN 1 / sample_rate ELSE 1 END"
FAILED: Final = (
    f"(coalesce(status >= {FAILED_STATUS}, false)"
    f" OR coalesce(outcome IN ({', '.join(map(literal, FAILED_OUTCOMES))}), false))"
)
BAR: Final = f"least(floor(log10(greatest(duration_seconds, 1e-6)) * {PER_DECADE} + 1e-9), {BARS[-1]})::INTEGER"
"""The bar of `BARS` that a duration belongs to."""

Chosen = Mapping[str, float]
"""Percentiles beside `SHARES`: name -> share of the durations below it."""


def finite_mean(value: str) -> str:
    """Return the SQL of the mean of *value*, which is never infinite."""
    return f"least(avg({value}), {_MOST})"


def quantiles(chosen: Chosen) -> str:
    """Return four columns, which `quantiles_of` reads."""
    shares = [*SHARES.values(), *chosen.values()]
    return (
        f"count(duration_seconds), quantile_cont(duration_seconds, {shares}),"
        f" max(duration_seconds), {finite_mean('duration_seconds')}"
    )


QUANTILES: Final = quantiles({})
"""The same without chosen percentiles."""

TOTALS: Final = (
    f"sum({WEIGHT}), sum({WEIGHT}) FILTER ({FAILED}),"
    " count(*) FILTER (status IS NOT NULL OR outcome IS NOT NULL),"
    f" least(sum(duration_seconds * {WEIGHT}), {_MOST})"
)
"""Four columns, which `totals_of` reads."""


def quantiles_of(row: Sequence[Any], chosen: Chosen = MappingProxyType({})) -> Quantiles:
    """Return the columns of `quantiles`."""
    n, values, largest, mean = row
    if not n:
        return Quantiles(0)
    own, others = values[: len(SHARES)], values[len(SHARES) :]
    named = dict(zip(chosen, others, strict=True))
    return Quantiles(n, **dict(zip(SHARES, own, strict=True)), max=largest, mean=mean, chosen=named)


def totals_of(row: Sequence[Any]) -> tuple[int, int | None, float]:
    """Return the columns of `TOTALS`: requests, errors (None if no line has a status or an outcome), seconds."""
    requests, errors, known, seconds = row
    return round(requests or 0), round(errors or 0) if known else None, seconds or 0.0


def group_of(
    keys: Sequence[str | None],
    row: Sequence[Any],
    everything: float | None,
    chosen: Chosen = MappingProxyType({}),
) -> Group:
    """Return the group of the columns of `TOTALS` and `quantiles`; *everything* is the time of all requests."""
    requests, errors, seconds = totals_of(row[:4])
    share = seconds / everything if everything else None
    return Group(tuple(keys), requests, errors, seconds, share, quantiles_of(row[4:8], chosen))


def utc(moment: dt.datetime | None) -> dt.datetime | None:
    """Return a time from DuckDB with its zone."""
    return None if moment is None else moment.replace(tzinfo=dt.UTC)
