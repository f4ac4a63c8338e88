"""
The requests of an index: each method asks the search engine one question.

Read. The search engine aggregates; no documents are downloaded to be counted here.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, Final

from obs_middleware.read.answers import (
    Count,
    ErrorRow,
    Groups,
    HeatMap,
    Overview,
    Quantiles,
    Slice,
    SlowRequest,
    most_time_first,
)
from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.index.bands import IndexBands
from obs_middleware.read.index.client import understands_answers
from obs_middleware.read.index.dsl import Query
from obs_middleware.read.index.fields import value_in
from obs_middleware.read.index.formulas import (
    APPROXIMATE,
    bins_of,
    totals_of,
    weight_of,
)
from obs_middleware.read.index.grouping import grouping_of
from obs_middleware.read.index.side import moment_of
from obs_middleware.read.where.conditions import Condition, Every

__all__ = ["IndexRequests"]

MOST_HITS: Final = 10_000
"""Documents that a search engine returns at most in one answer (``index.max_result_window``)."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@understands_answers
class IndexRequests(IndexBands):
    """The requests of an index."""

    @property
    def lines(self) -> None:
        """No lines were read."""

    @property
    def approximate(self) -> str:
        """How percentiles are computed."""
        return APPROXIMATE

    @property
    def most_slices(self) -> int:
        """A limit that keeps the digests in the memory of the search engine."""
        return 1_000

    def starts(self, field: str) -> dict[str, dt.datetime]:
        """Return the time of the first line with each value of *field*."""
        first: Query = {"first": {"min": {"field": self._names["timestamp"]}}}
        found = {}
        for bucket, (value,), _ in self._every_group((field,), first):
            start = moment_of(bucket["first"]["value"])
            if value is not None and start is not None:
                found[value] = start
        return found

    def matching(self, condition: Condition) -> IndexRequests:
        """
        Return those of the requests that match *condition*.

        Raises:
            SourceError: There are none.
        """
        return IndexRequests(self._client, self._index, self._fields, Every((self._condition, condition)), self.kind)

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
            durations=self._figures.quantiles_of(answer),
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
            rest = self._figures.group_of((), self._ask(self._figures.all, others), everything)
        return Groups(tuple(by), tuple(self._rows(by, kept, everything)), rest, len(ranking))

    def slowest(self, limit: int | None) -> tuple[SlowRequest, ...]:
        """
        Return the requests that took longest, at most *limit*.

        Raises:
            ExpressionError: *limit* is more than a search engine returns.
        """
        wanted = self._n if limit is None else limit
        if wanted > MOST_HITS:
            raise ExpressionError(
                f"invalid --limit {limit or 0}: a search engine returns at most {MOST_HITS:,} {self.kind.plural}: "
                "use a smaller number, or narrow the filters"
            )
        names = self.kind.slow_fields
        body = {
            "size": wanted,
            "query": self._query,
            "sort": [{self._names["duration_seconds"]: "desc"}, *self._fields.order()],
            "_source": [self._source(field) for field in names],
        }
        found = []
        for hit in self._client.search(self._index, body)["hits"]["hits"]:
            fields = {field: self._value(hit.get("_source"), field) for field in names}
            found.append(SlowRequest(hit["sort"][0] / 1e9, fields))
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
                slices.append(Slice(start, end, requests, errors, self._figures.quantiles_of(one)))
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
        """Return failed requests by type, status and keys, the most frequent first, and the number of rows."""
        by = ("error_type", "status", "outcome", *self.kind.by)
        newest = ("error_message", "timestamp", self.kind.id)
        hit = {"size": 1, "sort": [{"@timestamp": "desc"}], "_source": [self._source(field) for field in newest]}
        aggregations = self._figures.weighted({"newest": {"top_hits": hit}})
        found = []
        for bucket, keys, _ in self._every_group(by, aggregations, self._figures.failed):
            source = bucket["newest"]["hits"]["hits"][0].get("_source")
            message, last, of_newest = (self._value(source, field) for field in newest)
            error, status, outcome, *own = keys
            number = None if status is None else int(status)
            found.append(
                ErrorRow(round(weight_of(bucket)), error, message, number, outcome, tuple(own), last, of_newest)
            )
        found.sort(key=lambda one: (-one.count, str(one.error_type), str(one.status), *map(str, one.keys)))
        return tuple(found[:limit]), len(found)

    def services(self) -> tuple[Count, ...]:
        """Return the services that the lines name with their numbers of lines, the most frequent first."""
        answer = self._ask({"names": {"terms": {"field": self._names["service"], "size": 100}}})
        return tuple(Count(str(one["key"]), one["doc_count"]) for one in answer["names"]["buckets"])

    def _value(self, document: Any, field: str) -> Any:
        value = value_in(document, self._source(field).split("."))
        if field == "timestamp" and isinstance(value, str):
            return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        return value
