"""The requests of an index as one side of a comparison, and how a search engine is asked about groups."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from obs_middleware.read.answers import Group, Keys, Ranked, SliceCount
from obs_middleware.read.errors import SourceError
from obs_middleware.read.index.client import Client, understands_answers
from obs_middleware.read.index.dsl import Query, query
from obs_middleware.read.index.fields import Fields
from obs_middleware.read.index.formulas import MOST_RATES, Figures, rank_error, seconds_of, weight_of
from obs_middleware.read.index.grouping import grouping_of
from obs_middleware.read.kinds import REQUEST, Kind
from obs_middleware.read.schemas import TYPES
from obs_middleware.read.where.conditions import Condition
from obs_middleware.read.where.reasons import none_passes

__all__ = ["PAGE", "IndexSide", "moment_of"]

MOST_GROUPS: Final = 100_000
"""More groups would amount to a download."""

PAGE: Final = 1_000
"""Groups or documents in one answer."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DIGESTS: Final = 50
"""Groups whose percentiles are asked for at once. Each digest takes memory of the search engine."""


@understands_answers
class IndexSide:
    """
    The requests of an index as one side of a comparison.

    Args:
        client: The connection to the search engine.
        index: The name of the index, a pattern, or several of these with commas between them.
        fields: The fields of the index.
        condition: The filters.
        kind: The kind of the units of work.
        chosen: Percentiles beside `SHARES`.

    Raises:
        SourceError: No request passes the filters.
    """

    def __init__(  # noqa: PLR0913 -- each is needed
        self,
        client: Client,
        index: str,
        fields: Fields,
        condition: Condition,
        kind: Kind = REQUEST,
        chosen: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._client, self._index, self._fields, self._condition = client, index, fields, condition
        self.kind = kind
        self._names = {field: fields.name(field) for field in TYPES}
        requests: list[Query] = [
            *({"exists": {"field": self._names[field]}} for field in ("outcome", "duration_seconds")),
            query(kind.condition, fields.find),
        ]
        self._query: Query = {"bool": {"filter": [*requests, query(condition, fields.find)]}}
        time = {"field": self._names["timestamp"]}
        answer = self._ask({"first": {"min": time}, "last": {"max": time}, "rates": Figures(self._names).rates})
        self._n: int = answer["doc_count"]
        if not self._n:
            raise SourceError(f"{self.sources[0]}: {_why_none(client, index, fields, requests, condition, kind)}")
        if answer["rates"].get("sum_other_doc_count"):
            raise SourceError(f"{self.sources[0]}: more than {MOST_RATES:,} different sample rates: narrow the filters")
        self._sampled = any(0 < one["key"] < 1 for one in answer["rates"]["buckets"])
        self._figures = Figures(self._names, self._sampled, chosen)
        self._first, self._last = (moment_of(answer[name]["value"]) for name in ("first", "last"))

    @property
    def sources(self) -> tuple[str, ...]:
        """The URL of the index, without secrets."""
        return (f"{self._client.url}/{self._index}",)

    @property
    def n(self) -> int:
        """The number of request lines that pass the filters."""
        return self._n

    def ranking(self, by: Sequence[str]) -> dict[Keys, Ranked]:
        """Return all groups by the fields *by*."""
        return {
            keys: Ranked(keys, seconds_of(bucket), raw, bucket["doc_count"])
            for bucket, keys, raw in self._every_group(by, self._figures.seconds)
        }

    def figures(self, by: Sequence[str], groups: Sequence[Ranked]) -> dict[Keys, Group]:
        """Return the figures of *groups*. They have no share."""
        return {row.keys: row for row in self._rows(by, groups, None)}

    def durations_at(self, by: Sequence[str], ranks: Mapping[Ranked, Sequence[int]]) -> dict[Keys, dict[int, float]]:
        """Return the durations of groups at *ranks*, which may be off by `rank_error`."""
        percents = {
            group: {"took": self._figures.digest([100 * (rank - 0.5) / group.n for rank in wanted])}
            for group, wanted in ranks.items()
        }
        return {
            group.keys: {
                rank: one["value"] / 1e9 for rank, one in zip(ranks[group], bucket["took"]["values"], strict=True)
            }
            for group, bucket in self._each(by, percents)
        }

    def rank_error(self, share: float) -> float:
        """Return the error of the t-digest."""
        return rank_error(share)

    def span(self) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the times of the first and the last line; None if no line has a time."""
        return None if self._first is None or self._last is None else (self._first, self._last)

    def slices(
        self, by: Sequence[str], medians: Mapping[Ranked, float], every: dt.timedelta
    ) -> dict[Keys, dict[int, SliceCount]]:
        """Return counts of the requests of groups in slices of *every*."""
        if self._first is None:
            return {}
        step = every // dt.timedelta(milliseconds=1)
        start = (self._first - _EPOCH) // dt.timedelta(milliseconds=1)
        times = {
            group: {"times": self._figures.times(step, self._figures.weighted(self._above(median)), start % step)}
            for group, median in medians.items()
        }
        return {
            group.keys: {
                (one["key"] - start) // step: SliceCount(weight_of(one), one["doc_count"], one["above"]["doc_count"])
                for one in bucket["times"]["buckets"]
            }
            for group, bucket in self._each(by, times)
        }

    def _above(self, seconds: float) -> Query:
        """Return the aggregation that counts the requests that took longer."""
        return {"above": {"filter": {"range": {self._names["duration_seconds"]: {"gt": round(seconds * 1e9)}}}}}

    def _each(self, by: Sequence[str], aggregations: Mapping[Ranked, Query]) -> Iterator[tuple[Ranked, dict[str, Any]]]:
        """Yield each group with the answers to its own aggregations."""
        grouping = grouping_of(by, self._fields)
        groups = [*aggregations]
        for start in range(0, len(groups), _DIGESTS):
            part = {f"g{number}": one for number, one in enumerate(groups[start : start + _DIGESTS])}
            answer = self._ask(
                {name: {"filter": grouping.query(one.raw), "aggs": aggregations[one]} for name, one in part.items()}
            )
            yield from ((one, answer[name]) for name, one in part.items())

    def _ask(self, aggregations: Query, also: Query | None = None) -> dict[str, Any]:
        """Return the answers over all requests that match *also*, as if they were one bucket."""
        wanted = {"bool": {"filter": [self._query, also]}} if also else self._query
        body = {"size": 0, "track_total_hits": True, "query": wanted, "aggs": aggregations}
        answer = self._client.search(self._index, body)
        return {"doc_count": answer["hits"]["total"]["value"], **answer["aggregations"]}

    def _every_group(
        self, by: Sequence[str], aggregations: Query, also: Query | None = None
    ) -> Iterator[tuple[dict[str, Any], Keys, tuple[Any, ...]]]:
        """Yield the bucket of each group with its keys, as text and with the types of the index."""
        grouping = grouping_of(by, self._fields)
        if not grouping.sources:
            nothing = grouping.raw({})
            yield self._ask(aggregations, also), nothing, nothing
            return
        composite: dict[str, Any] = {"size": PAGE, "sources": grouping.sources}
        total = 0
        while True:
            answer = self._ask({"groups": {"composite": composite, "aggs": aggregations}}, also)["groups"]
            for bucket in answer["buckets"]:
                raw = grouping.raw(bucket["key"])
                yield bucket, grouping.keys(raw), raw
            total += len(answer["buckets"])
            if "after_key" not in answer or len(answer["buckets"]) < PAGE:
                return
            if total >= MOST_GROUPS:
                raise SourceError(f"more than {MOST_GROUPS:,} groups by {', '.join(by)}: narrow the filters")
            composite["after"] = answer["after_key"]

    def _rows(self, by: Sequence[str], groups: Sequence[Ranked], everything: float | None) -> Iterator[Group]:
        """Yield *groups* with all their figures; *everything* is the time of all requests."""
        grouping = grouping_of(by, self._fields)
        for start in range(0, len(groups), _DIGESTS):
            part = groups[start : start + _DIGESTS]
            filters = {f"g{number}": grouping.query(one.raw) for number, one in enumerate(part)}
            answer = self._ask({"groups": {"filters": {"filters": filters}, "aggs": self._figures.all}})
            for number, one in enumerate(part):
                yield self._figures.group_of(one.keys, answer["groups"]["buckets"][f"g{number}"], everything)


def _why_none(  # noqa: PLR0913 -- each is needed
    client: Client, index: str, fields: Fields, requests: list[Query], condition: Condition, kind: Kind
) -> str:
    """Return why no request passes the filters; *requests* are the queries that every request line matches."""

    def count(*also: Query) -> int:
        return client.count(index, {"bool": {"filter": [*requests, *also]}})

    lines = count()
    if not lines:
        return f"no {kind.name} line"
    return none_passes(lines, condition, lambda one: count(query(one, fields.find)) > 0, kind.name)


def moment_of(milliseconds: float | None) -> dt.datetime | None:
    """Return a time of a search engine, which is in milliseconds."""
    return None if milliseconds is None else _EPOCH + dt.timedelta(milliseconds=milliseconds)
