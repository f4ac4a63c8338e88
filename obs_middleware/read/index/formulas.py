"""
The aggregations of the figures of requests, and what the buckets of the answers mean.

Read. Counts, sums, extremes and histograms are exact. Percentiles come from a t-digest; `rank_error` is their error: at
most a few ranks in a thousand in the middle, less towards the ends.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from obs_middleware.read.answers import (
    BARS,
    FAILED_OUTCOMES,
    FAILED_STATUS,
    SHARES,
    Bin,
    Group,
    Keys,
    Quantiles,
    edge,
)
from obs_middleware.read.index.dsl import Query

__all__ = [
    "APPROXIMATE",
    "COMPRESSION",
    "MOST_RATES",
    "Figures",
    "bins_of",
    "rank_error",
    "seconds_of",
    "totals_of",
    "weight_of",
]

COMPRESSION: Final = 1_000
"""Compression of the t-digest. The default of search engines is 100, which is ten times less exact."""

MOST_RATES: Final = 1_000
"""Different sample rates that are weighted."""

_EDGES: Final = [0, *(round(edge(bar) * 1e9) for bar in BARS[1:])]
"""The beginnings of `BARS` in nanoseconds."""


def rank_error(share: float) -> float:
    """
    Return how far the rank of the percentile at *share* may be off, as a share of all ranks.

    The error is at least one rank. A centroid has about 4 q (1 - q) / compression of all values (Dunning and Ertl,
    Computing extremely accurate quantiles using t-digests). Search engines interpolate between centroids, and merge the
    digests of shards. The result is five times the size of a centroid, and twice the largest error that was measured
    with two distant humps on one shard and on three.
    """
    return 5 * 4 * share * (1 - share) / COMPRESSION


APPROXIMATE: Final = "approximate (t-digest of the search engine): off by one rank, or by " + ", ".join(
    f"{rank_error(SHARES[name]):.2%}{' of the ranks' if name == 'p50' else ''} at {name}"
    for name in ("p50", "p95", "p99")
)


@dataclass(frozen=True, slots=True)
class Figures:
    """
    The aggregations for one index.

    Attributes:
        names: Field of the package -> its name in the index.
        sampled: Whether lines have a sample rate, so that they must be weighted.
        chosen: Percentiles beside `SHARES`: name -> share of the durations below it.
    """

    names: Mapping[str, str]
    sampled: bool = False
    chosen: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> Query:
        """The query for failed requests."""
        status = {"range": {self.names["status"]: {"gte": FAILED_STATUS}}}
        outcome = {"terms": {self.names["outcome"]: list(FAILED_OUTCOMES)}}
        return {"bool": {"should": [status, outcome], "minimum_should_match": 1}}

    @property
    def seconds(self) -> Query:
        """The time of the requests together."""
        return self.weighted({"seconds": {"sum": {"field": self.names["duration_seconds"]}}})

    @property
    def all(self) -> Query:
        """All that `totals_of`, `quantiles_of` and `group_of` read."""
        duration = {"field": self.names["duration_seconds"]}
        return {
            **self.weighted({"failed": {"filter": self.failed}, "seconds": {"sum": duration}}),
            "longest": {"max": duration},
            "took": self.digest([100 * share for share in self._shares.values()]),
        }

    @property
    def _shares(self) -> dict[str, float]:
        """All percentiles in rising order, which is that of the answers."""
        both = {**SHARES, **self.chosen}
        return dict(sorted(both.items(), key=lambda one: one[1]))

    @property
    def rates(self) -> Query:
        """The different sample rates."""
        return {"terms": {"field": self.names["sample_rate"], "size": MOST_RATES}}

    @property
    def bars(self) -> Query:
        """The bars of the histogram, which `bins_of` reads."""
        ranges = [{"from": low, "to": high} for low, high in itertools.pairwise(_EDGES)]
        return {
            "range": {"field": self.names["duration_seconds"], "ranges": [*ranges, {"from": _EDGES[-1]}]},
        }

    def weighted(self, aggregations: Query) -> Query:
        """Return *aggregations*, which `weight_of` reads: with the same by sample rate, if lines have one."""
        if not self.sampled:
            return aggregations
        inner = {name: one for name, one in aggregations.items() if name in {"failed", "seconds"}}
        return {**aggregations, "rates": {**self.rates, **({"aggs": inner} if inner else {})}}

    def digest(self, percents: Sequence[float]) -> Query:
        """Return the aggregation for the durations at *percents*."""
        digest = {"compression": COMPRESSION}
        field = self.names["duration_seconds"]
        return {"percentiles": {"field": field, "percents": percents, "keyed": False, "tdigest": digest}}

    def times(self, step: int, aggregations: Query, offset: int = 0) -> Query:
        """Return *aggregations* in slices of *step* milliseconds; one of them begins at *offset*."""
        histogram = {"field": self.names["timestamp"], "fixed_interval": f"{step}ms", "min_doc_count": 0}
        if offset:
            histogram["offset"] = f"{offset}ms"
        return {"date_histogram": histogram, "aggs": aggregations}

    def quantiles_of(self, bucket: Mapping[str, Any]) -> Quantiles:
        """Return the durations of a bucket of `all`."""
        n = bucket["doc_count"]
        if not n:
            return Quantiles(0)
        values = [one["value"] / 1e9 for one in bucket["took"]["values"]]
        named = dict(zip(self._shares, values, strict=True))
        chosen = {name: named.pop(name) for name in self.chosen}
        mean = bucket["seconds"]["value"] / 1e9 / n
        return Quantiles(n, **named, max=bucket["longest"]["value"] / 1e9, mean=mean, chosen=chosen)

    def group_of(self, keys: Keys, bucket: Mapping[str, Any], everything: float | None) -> Group:
        """Return the group of a bucket of `all`; *everything* is the time of all requests."""
        requests, errors, seconds = totals_of(bucket)
        share = seconds / everything if everything else None
        return Group(keys, requests, errors, seconds, share, self.quantiles_of(bucket))


def weight_of(bucket: Mapping[str, Any], value: Callable[[Any], float] = lambda one: one["doc_count"]) -> float:
    """Return the *value* of a bucket, in which a line with a sample rate counts 1 / rate."""
    rates = [one for one in bucket.get("rates", {"buckets": ()})["buckets"] if 0 < one["key"] <= 1]
    return math.fsum([value(bucket), *((1 / one["key"] - 1) * value(one) for one in rates)])


def seconds_of(bucket: Mapping[str, Any]) -> float:
    """Return the time of the requests together."""
    return weight_of(bucket, lambda one: float(one["seconds"]["value"])) / 1e9


def totals_of(bucket: Mapping[str, Any]) -> tuple[int, int | None, float]:
    """Return requests, errors and seconds."""
    errors = weight_of(bucket, lambda one: int(one["failed"]["doc_count"]))
    return round(weight_of(bucket)), round(errors), seconds_of(bucket)


def bins_of(buckets: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[tuple[Bin, ...], ...]:
    """Return several histograms with the same bars, from the first bar that is not empty to the last one."""
    counts = [[bar["doc_count"] for bar in one] for one in buckets]
    filled = [number for number in range(len(BARS)) if any(one[number] for one in counts)]
    if not filled:
        return ()
    bars = range(filled[0], filled[-1] + 1)
    return tuple(tuple(Bin(edge(BARS[bar]), edge(BARS[bar] + 1), one[bar]) for bar in bars) for one in counts)
