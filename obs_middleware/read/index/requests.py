"""
The requests of an index: each method asks the search engine one question.

Read. The search engine aggregates; no documents are downloaded to be counted here.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from obs_middleware.read.answers import (
    SLOW_FIELDS,
    Count,
    ErrorRow,
    Group,
    Groups,
    HeatMap,
    Keys,
    Overview,
    Quantiles,
    Ranked,
    Slice,
    SlowRequest,
    most_time_first,
)
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.index.client import Client, understands_answers
from obs_middleware.read.index.dsl import Query, query
from obs_middleware.read.index.fields import Fields, value_in
from obs_middleware.read.index.formulas import (
    APPROXIMATE,
    MOST_RATES,
    Figures,
    bins_of,
    group_of,
    quantiles_of,
    rank_error,
    seconds_of,
    totals_of,
    weight_of,
)
from obs_middleware.read.index.grouping import grouping_of
from obs_middleware.read.schemas import TYPES
from obs_middleware.read.where.conditions import Condition
from obs_middleware.read.where.reasons import none_passes

__all__ = ["PAGE", "IndexRequests"]

MOST_GROUPS: Final = 100_000
"""More groups would amount to a download."""

MOST_HITS: Final = 10_000
"""Documents that a search engine returns at most in one answer (``index.max_result_window``)."""

PAGE: Final = 1_000
"""Groups or documents in one answer."""

_DIGESTS: Final = 50
"""Groups whose percentiles are asked for at once. Each digest takes memory of the search engine."""

_LOOKED_UP: Final = 200
"""Ranks for which the search engine is asked; other ranks take the nearest of these."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@understands_answers
class IndexRequests:
    """
    The requests of an index.

    Args:
        client: The connection to the search engine.
        index: The name of the index, a pattern, or several of these with commas between them.
        fields: The fields of the index.
        condition: The filters.

    Raises:
        SourceError: No request passes the filters.
    """

    def __init__(self, client: Client, index: str, fields: Fields, condition: Condition) -> None:
        self._client, self._index, self._fields = client, index, fields
        self._names = {field: fields.name(field) for field in TYPES}
        requests = [{"exists": {"field": self._names[field]}} for field in ("outcome", "duration_seconds")]
        self._query: Query = {"bool": {"filter": [*requests, query(condition, fields.find)]}}
        time = {"field": self._names["timestamp"]}
        answer = self._ask({"first": {"min": time}, "last": {"max": time}, "rates": Figures(self._names).rates})
        self._n: int = answer["doc_count"]
        if not self._n:
            raise SourceError(f"{self.sources[0]}: {_why_none(client, index, fields, requests, condition)}")
        if answer["rates"].get("sum_other_doc_count"):
            raise SourceError(f"{self.sources[0]}: more than {MOST_RATES:,} different sample rates: narrow the filters")
        self._sampled = any(0 < one["key"] < 1 for one in answer["rates"]["buckets"])
        self._figures = Figures(self._names, self._sampled)
        self._first, self._last = (_moment(answer[name]["value"]) for name in ("first", "last"))

    @property
    def sources(self) -> tuple[str, ...]:
        """The URL of the index, without secrets."""
        return (f"{self._client.url}/{self._index}",)

    @property
    def lines(self) -> None:
        """No lines were read."""

    @property
    def n(self) -> int:
        """The number of request lines that pass the filters."""
        return self._n

    @property
    def approximate(self) -> str:
        """How percentiles are computed."""
        return APPROXIMATE

    @property
    def most_slices(self) -> int:
        """A limit that keeps the digests in the memory of the search engine."""
        return 1_000

    def overview(self) -> Overview:
        """Return all requests at a glance."""
        classes = [{"key": f"{n}xx", "from": n * 100, "to": n * 100 + 100} for n in range(1, 6)]
        statuses = {"range": {"field": self._names["status"], "ranges": classes}, "aggs": self._figures.weighted({})}
        answer = self._ask({**self._figures.all, "statuses": statuses, "bars": self._figures.bars})
        requests, errors, seconds = totals_of(answer)
        counts = (Count(one["key"], round(weight_of(one))) for one in answer["statuses"]["buckets"])
        return Overview(
            requests,
            errors,
            seconds,
            estimated=self._sampled,
            first=self._first,
            last=self._last,
            durations=quantiles_of(answer),
            histogram=bins_of([answer["bars"]["buckets"]])[0],
            statuses=tuple(one for one in counts if one.count),
        )

    def groups(self, by: Sequence[str], limit: int | None = None) -> Groups:
        """
        Return requests by the fields *by*, those first that took the most time together.

        Raises:
            SourceError: There are too many groups, or the index cannot group by a field.
        """
        ranking = sorted(self.ranking(by).values(), key=most_time_first)
        everything = math.fsum(one.seconds for one in ranking)
        kept = ranking if limit is None else ranking[:limit]
        rest = None
        if len(kept) < len(ranking):
            grouping = grouping_of(by, self._fields)
            others: Query = {"bool": {"must_not": [grouping.query(one.raw) for one in kept]}}
            rest = group_of((), self._ask(self._figures.all, others), everything)
        return Groups(tuple(by), tuple(self._rows(by, kept, everything)), rest, len(ranking))

    def ranking(self, by: Sequence[str]) -> dict[Keys, Ranked]:
        """Return all groups by the fields *by*."""
        return {
            keys: Ranked(keys, seconds_of(bucket), raw)
            for bucket, keys, raw in self._every_group(by, self._figures.seconds)
        }

    def figures(self, by: Sequence[str], groups: Sequence[Ranked]) -> dict[Keys, Quantiles]:
        """Return the durations of *groups*."""
        return {row.keys: row.durations for row in self._rows(by, groups, None)}

    def durations_at(
        self, by: Sequence[str], group: Ranked, ranks: Mapping[str, Sequence[float]]
    ) -> dict[str, list[float]]:
        """Return the durations of a group at *ranks*, or at the nearest of `_LOOKED_UP` ranks among them."""
        wanted = {figure: _looked_up(one) for figure, one in ranks.items()}
        answer = self._ask(
            {figure: self._figures.digest([100 * one for one in few]) for figure, (few, _) in wanted.items()},
            grouping_of(by, self._fields).query(group.raw),
        )
        found = {}
        for figure, (_, nearest) in wanted.items():
            values = [one["value"] / 1e9 for one in answer[figure]["values"]]
            found[figure] = [values[one] for one in nearest]
        return found

    def rank_error(self, share: float) -> float:
        """Return the error of the t-digest."""
        return rank_error(share)

    def slowest(self, limit: int | None) -> tuple[SlowRequest, ...]:
        """
        Return the requests that took longest, at most *limit*.

        Raises:
            ExpressionError: *limit* is more than a search engine returns.
        """
        wanted = self._n if limit is None else limit
        if wanted > MOST_HITS:
            raise ExpressionError(
                f"invalid --limit {limit or 0}: a search engine returns at most {MOST_HITS:,} requests: use a smaller "
                "number, or narrow the filters"
            )
        body = {
            "size": wanted,
            "query": self._query,
            "sort": [{self._names["duration_seconds"]: "desc"}, *self._fields.order()],
            "_source": [self._source(field) for field in SLOW_FIELDS],
        }
        found = []
        for hit in self._client.search(self._index, body)["hits"]["hits"]:
            fields = {field: self._value(hit.get("_source"), field) for field in SLOW_FIELDS}
            found.append(SlowRequest(hit["sort"][0] / 1e9, **fields))
        return tuple(found)

    def course(self, every: float) -> tuple[Slice, ...]:
        """Return the time span cut into slices of *every* seconds, to the millisecond."""
        step = max(round(every * 1_000), 1)
        answer = self._ask({"times": self._figures.times(step, self._figures.all)})
        slices = []
        for one in answer["times"]["buckets"]:
            start, end = (_EPOCH + dt.timedelta(milliseconds=moment) for moment in (one["key"], one["key"] + step))
            if one["doc_count"]:
                requests, errors, _ = totals_of(one)
                slices.append(Slice(start, end, requests, errors, quantiles_of(one)))
            else:
                slices.append(Slice(start, end, 0, None, Quantiles(0)))
        return tuple(slices)

    def outcomes(self) -> tuple[Count, ...]:
        """Return requests by outcome, the most frequent first."""
        names = {"terms": {"field": self._names["outcome"], "size": 100}, "aggs": self._figures.weighted({})}
        buckets = self._ask({"names": names})["names"]["buckets"]
        found = [Count(one["key"], round(weight_of(one))) for one in buckets]
        return tuple(sorted(found, key=lambda one: (-one.count, one.name)))

    def heat_map(self, every: float) -> HeatMap | None:
        """Return how many lines took how long when, in columns of *every* seconds; None if no line has a time."""
        step = max(math.ceil(every * 1_000), 1)
        columns = self._ask({"times": self._figures.times(step, {"bars": self._figures.bars})})["times"]["buckets"]
        histograms = bins_of([column["bars"]["buckets"] for column in columns])
        if not histograms:
            return None
        moments = [*(column["key"] for column in columns), columns[-1]["key"] + step]
        return HeatMap(
            tuple(_EPOCH + dt.timedelta(milliseconds=moment) for moment in moments),
            (*(one.low for one in histograms[0]), histograms[0][-1].high),
            tuple(tuple(one.count for one in histogram) for histogram in histograms),
        )

    def failures(self, limit: int) -> tuple[tuple[ErrorRow, ...], int]:
        """Return failed requests by type, status, method and route, the most frequent first, and the number of rows."""
        by = ("error_type", "status", "outcome", "method", "route")
        newest = ("error_message", "timestamp", "request_id")
        hit = {"size": 1, "sort": [{"@timestamp": "desc"}], "_source": [self._source(field) for field in newest]}
        aggregations = self._figures.weighted({"newest": {"top_hits": hit}})
        found = []
        for bucket, keys, _ in self._every_group(by, aggregations, self._figures.failed):
            source = bucket["newest"]["hits"]["hits"][0].get("_source")
            row = dict(zip(by, keys, strict=True)) | {field: self._value(source, field) for field in newest}
            row["last_seen"] = row.pop("timestamp")
            row["status"] = None if row["status"] is None else int(row["status"])
            found.append(ErrorRow(round(weight_of(bucket)), **row))
        found.sort(key=lambda one: (-one.count, str(one.error_type), str(one.status), str(one.route)))
        return tuple(found[:limit]), len(found)

    def service(self) -> str | None:
        """Return the name of the service, if all lines that name a service name the same."""
        answer = self._ask({"names": {"terms": {"field": self._names["service"], "size": 2}}})
        names = [one["key"] for one in answer["names"]["buckets"]]
        return str(names[0]) if len(names) == 1 else None

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
                yield group_of(one.keys, answer["groups"]["buckets"][f"g{number}"], everything)

    def _source(self, field: str) -> str:
        """Return the name of *field* in a document, which has no keyword beside a text."""
        return self._names[field].removesuffix(".keyword")

    def _value(self, document: Any, field: str) -> Any:
        value = value_in(document, self._source(field).split("."))
        if field == "timestamp" and isinstance(value, str):
            return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        return value


def _why_none(client: Client, index: str, fields: Fields, requests: list[Query], condition: Condition) -> str:
    """Return why no request passes the filters; *requests* are the queries that every request line matches."""

    def count(*also: Query) -> int:
        return client.count(index, {"bool": {"filter": [*requests, *also]}})

    lines = count()
    if not lines:
        return "no request line"
    return none_passes(lines, condition, lambda one: count(query(one, fields.find)) > 0)


def _looked_up(ranks: Sequence[float]) -> tuple[list[float], list[int]]:
    """Return `_LOOKED_UP` of *ranks*, rising and evenly chosen, and for each rank the index of the nearest of them."""
    rising = sorted(range(len(ranks)), key=ranks.__getitem__)
    step = max(len(ranks) // _LOOKED_UP, 1)
    few = [ranks[one] for one in rising[step // 2 :: step]]
    nearest = [0] * len(ranks)
    for place, one in enumerate(rising):
        nearest[one] = min(place // step, len(few) - 1)
    return few, nearest


def _moment(milliseconds: float | None) -> dt.datetime | None:
    return None if milliseconds is None else _EPOCH + dt.timedelta(milliseconds=milliseconds)
