"""
The questions, asked of a search engine: one method, one answer, computed by its aggregations.

Read. Nothing is downloaded to be counted here. Counts, sums, extremes and histograms are exact. Percentiles are those
of a t-digest, off by what `rank_error` says: at most a few ranks in a thousand in the middle, less towards the ends.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.read.answers import (
    FAILED_OUTCOMES,
    FAILED_STATUS,
    Bin,
    Count,
    ErrorRow,
    Group,
    Groups,
    HeatMap,
    Overview,
    Quantiles,
    Slice,
    SlowRequest,
)
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.files.requests import PER_DECADE, SLOW_FIELDS
from obs_middleware.read.index.client import Engine, Fields
from obs_middleware.read.index.dsl import IndexField, Query
from obs_middleware.read.schemas import TYPES
from obs_middleware.read.show.numbers import count

__all__ = ["COMPRESSION", "EngineRequests", "order", "rank_error"]

COMPRESSION: Final = 1_000
"""Of the t-digest; an engine takes 100 if nobody asks, and is ten times as far off then."""

MOST_GROUPS: Final = 100_000
"""Beyond that the groups themselves are a download."""

MOST_HITS: Final = 10_000
"""What an engine gives at most in one answer (``index.max_result_window``)."""

PAGE: Final = 1_000
_DIGESTS: Final = 50
"""Groups whose percentiles are asked for at once; each digest takes memory of the engine."""
_RATES: Final = 1_000

_SHARES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# The bars of the histogram from a microsecond to eleven days. A round edge is exactly that, as it is for files.
_BARS: Final = range(-6 * PER_DECADE, 6 * PER_DECADE)
_EDGES: Final = [round(10 ** (step / PER_DECADE) * 1e9) for step in (*_BARS, _BARS[-1] + 1)]


def rank_error(share: float) -> float:
    """
    Return how far the rank of a percentile may be off, as a share of all ranks; one rank it may be in any case.

    A centroid holds about 4 q (1 - q) / compression of all values (Dunning and Ertl, Computing extremely accurate
    quantiles using t-digests). Between centroids an engine interpolates, and merges those of shards: this is five times
    as much, and twice what was found with two far-apart humps on one shard and on three.
    """
    return 5 * 4 * share * (1 - share) / COMPRESSION


APPROXIMATE: Final = "approximate, by the engine (t-digest): off by one rank or, of the ranks, by " + ", ".join(
    f"{rank_error(_SHARES[name]):.2%} at {name}" for name in ("p50", "p95", "p99")
)


def order(fields: Fields) -> list[dict[str, str]]:
    """Return the sort order by time, then by a field that no two lines share, if the index has one."""
    tie = fields.tie()
    return [{"@timestamp": "asc"}, *([{tie.name: "asc"}] if tie else [])]


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A group: its keys as text and as the index has them, and the time that it took together."""

    keys: tuple[str | None, ...]
    raw: tuple[Any, ...]
    seconds: float


class EngineRequests:
    """
    The requests of an index.

    Args:
        engine: Where it is.
        index: Its name; a pattern, or several with commas between.
        fields: Its fields.
        filters: What the requests must be, beside being requests.

    Raises:
        SourceError: There is none.
    """

    def __init__(self, engine: Engine, index: str, fields: Fields, filters: Query) -> None:
        self._engine, self._index, self._fields = engine, index, fields
        self._names = {field: fields.name(field) for field in TYPES}
        self._duration = self._names["duration_seconds"]
        requests = [{"exists": {"field": self._names[field]}} for field in ("outcome", "duration_seconds")]
        self._query: Query = {"bool": {"filter": [*requests, filters]}}
        answer = self._ask(
            {
                "first": {"min": {"field": self._names["timestamp"]}},
                "last": {"max": {"field": self._names["timestamp"]}},
                "rates": {"terms": {"field": self._names["sample_rate"], "size": _RATES}},
            }
        )
        self._n: int = answer["doc_count"]
        if not self._n:
            some = engine.count(index, {"bool": {"filter": requests}})
            where = self.sources[0]
            raise SourceError(
                f"{where}: none of the {count(some)} request lines passes the filters"
                if some
                else f"{where}: no request line"
            )
        if answer["rates"].get("sum_other_doc_count"):
            raise SourceError(f"{self.sources[0]}: there are more than {count(_RATES)} different sample rates")
        self._sampled = any(0 < one["key"] < 1 for one in answer["rates"]["buckets"])
        self._first, self._last = (_moment(answer[name]["value"]) for name in ("first", "last"))

    @property
    def sources(self) -> tuple[str, ...]:
        """The URL of the index, without secrets."""
        return (f"{self._engine.url}/{self._index}",)

    @property
    def lines(self) -> None:
        """Nothing was read."""

    @property
    def approximate(self) -> str:
        """How percentiles are computed."""
        return APPROXIMATE

    @property
    def most_slices(self) -> int:
        """How many digests an engine can be asked for."""
        return 1_000

    @property
    def notes(self) -> tuple[str, ...]:
        """What was counted."""
        return (f"{count(self._n)} request lines of {self.sources[0]}",)

    def overview(self) -> Overview:
        """Return all requests at a glance."""
        status = self._names["status"]
        classes = [{"key": f"{n}xx", "from": n * 100, "to": n * 100 + 100} for n in range(1, 6)]
        answer = self._ask(
            {
                **self._figures(),
                "statuses": {"range": {"field": status, "ranges": classes}, "aggs": self._weights({})},
                "bars": self._bars(),
            }
        )
        requests, errors, seconds = self._totals(answer)
        statuses = (Count(one["key"], round(_weighted(one))) for one in answer["statuses"]["buckets"])
        bars = [one["doc_count"] for one in answer["bars"]["buckets"]]
        filled = [number for number, bar in enumerate(bars) if bar]
        return Overview(
            requests,
            errors,
            seconds,
            estimated=self._sampled,
            first=self._first,
            last=self._last,
            durations=_quantiles(answer),
            histogram=tuple(_bin(number, bars[number]) for number in range(filled[0], filled[-1] + 1)),
            statuses=tuple(one for one in statuses if one.count),
        )

    def groups(self, by: Sequence[str], limit: int | None = None) -> Groups:
        """
        Return requests by the fields *by*, those first that took the most time together.

        Raises:
            SourceError: There are too many, or the index cannot group by it.
        """
        ranking = sorted(self.ranking(by).values(), key=lambda one: (-one.seconds, [key or "" for key in one.keys]))
        everything = math.fsum(one.seconds for one in ranking)
        kept = ranking if limit is None else ranking[:limit]
        rows = self.figures(by, kept, everything)
        rest = None
        if len(kept) < len(ranking):
            others: Query = {"bool": {"must_not": [self._group(by, one.raw) for one in kept]}}
            answer = self._ask(self._figures(), others)
            rest = self._row((), answer, everything)
        return Groups(tuple(by), rows, rest, len(ranking))

    def slowest(self, limit: int) -> tuple[SlowRequest, ...]:
        """
        Return the requests that took longest.

        Raises:
            ExpressionError: They are more than an engine gives.
        """
        if limit > MOST_HITS:
            raise ExpressionError(f"--limit {limit}: a search engine gives {count(MOST_HITS)} at most.")
        sort = [{self._duration: "desc"}, *order(self._fields)]
        body = {
            "size": limit,
            "query": self._query,
            "sort": sort,
            "_source": [self._source(field) for field in SLOW_FIELDS],
        }
        hits = self._engine.search(self._index, body)["hits"]["hits"]
        found = []
        for hit in hits:
            fields = {field: self._value(hit.get("_source"), field) for field in SLOW_FIELDS}
            found.append(SlowRequest(hit["sort"][0] / 1e9, **fields))
        return tuple(found)

    def course(self, every: float) -> tuple[Slice, ...]:
        """Return the time span cut into slices, to the millisecond."""
        step = max(round(every * 1_000), 1)
        answer = self._ask({"times": self._times(step, self._figures())})
        slices = []
        for one in answer["times"]["buckets"]:
            start = _EPOCH + dt.timedelta(milliseconds=one["key"])
            end = start + dt.timedelta(milliseconds=step)
            if one["doc_count"]:
                requests, errors, _ = self._totals(one)
                slices.append(Slice(start, end, requests, errors, _quantiles(one)))
            else:
                slices.append(Slice(start, end, 0, None, Quantiles(0)))
        return tuple(slices)

    def outcomes(self) -> tuple[Count, ...]:
        """Return requests by outcome, the most frequent first."""
        by_name = {"terms": {"field": self._names["outcome"], "size": 100}, "aggs": self._weights({})}
        found = [Count(one["key"], round(_weighted(one))) for one in self._ask({"names": by_name})["names"]["buckets"]]
        return tuple(sorted(found, key=lambda one: (-one.count, one.name)))

    def heat_map(self, every: float) -> HeatMap | None:
        """Return how many lines took how long when; None if no line has a time."""
        step = max(math.ceil(every * 1_000), 1)
        answer = self._ask({"times": self._times(step, {"bars": self._bars()})})
        columns = answer["times"]["buckets"]
        counts = [[bar["doc_count"] for bar in column["bars"]["buckets"]] for column in columns]
        filled = [number for number in range(len(_EDGES) - 1) if any(column[number] for column in counts)]
        if not filled:
            return None
        up = range(filled[0], filled[-1] + 1)
        starts = [_EPOCH + dt.timedelta(milliseconds=column["key"]) for column in columns]
        return HeatMap(
            (*starts, starts[-1] + dt.timedelta(milliseconds=step)),
            tuple(_edge(number) for number in (*up, up[-1] + 1)),
            tuple(tuple(column[number] for number in up) for column in counts),
        )

    def failures(self, limit: int) -> tuple[tuple[ErrorRow, ...], int]:
        """Return failed requests by what they have in common, and the number of such groups."""
        by = ("error_type", "status", "outcome", "method", "route")
        newest = ("error_message", "timestamp", "request_id")
        hit = {"size": 1, "sort": [{"@timestamp": "desc"}], "_source": [self._source(field) for field in newest]}
        found = []
        for bucket, keys, _ in self._every_group(by, self._weights({"newest": {"top_hits": hit}}), self._failed()):
            source = bucket["newest"]["hits"]["hits"][0].get("_source")
            message, last, request_id = (self._value(source, field) for field in newest)
            error_type, status, outcome, method, route = keys
            number = round(_weighted(bucket))
            found.append(
                ErrorRow(
                    number,
                    error_type,
                    message,
                    None if status is None else int(status),
                    outcome,
                    method,
                    route,
                    last,
                    request_id,
                )
            )
        found.sort(key=lambda one: (-one.count, str(one.error_type), str(one.status), str(one.route)))
        return tuple(found[:limit]), len(found)

    def service(self) -> str | None:
        """Return the name of the service, if all lines that name one name the same."""
        answer = self._ask({"names": {"terms": {"field": self._names["service"], "size": 2}}})
        names = [one["key"] for one in answer["names"]["buckets"]]
        return str(names[0]) if len(names) == 1 else None

    # What a comparison needs

    def ranking(self, by: Sequence[str]) -> dict[tuple[str | None, ...], _Ranked]:
        """Return all groups, by their keys, with the time that each took together."""
        seconds = self._weights({"seconds": {"sum": {"field": self._duration}}})
        return {
            keys: _Ranked(keys, raw, _weighted(bucket, lambda one: float(one["seconds"]["value"])) / 1e9)
            for bucket, keys, raw in self._every_group(by, seconds)
        }

    def figures(self, by: Sequence[str], ranked: Sequence[_Ranked], everything: float | None) -> tuple[Group, ...]:
        """Return all figures of these groups; *everything* is the time that a share is of."""
        rows = []
        for start in range(0, len(ranked), _DIGESTS):
            part = ranked[start : start + _DIGESTS]
            filters = {f"g{number}": self._group(by, one.raw) for number, one in enumerate(part)}
            answer = self._ask({"groups": {"filters": {"filters": filters}, "aggs": self._figures()}})
            buckets = answer["groups"]["buckets"]
            rows += [self._row(one.keys, buckets[f"g{number}"], everything) for number, one in enumerate(part)]
        return tuple(rows)

    def durations_at(
        self, by: Sequence[str], group: _Ranked, ranks: Mapping[str, Sequence[float]]
    ) -> dict[str, list[float]]:
        """Return the durations of a group, in seconds, at *ranks* from 0 to 1, rising, for each figure."""
        answer = self._ask(
            {name: self._digest([100 * rank for rank in wanted]) for name, wanted in ranks.items()},
            self._group(by, group.raw),
        )
        return {name: [one["value"] / 1e9 for one in answer[name]["values"]] for name in ranks}

    # Parts of questions

    def _ask(self, aggregations: Query, also: Query | None = None) -> dict[str, Any]:
        """Return the answers over all requests, as if they were one bucket."""
        wanted = {"bool": {"filter": [self._query, also]}} if also else self._query
        body = {"size": 0, "track_total_hits": True, "query": wanted, "aggs": aggregations}
        answer = self._engine.search(self._index, body)
        return {"doc_count": answer["hits"]["total"]["value"], **answer["aggregations"]}

    def _failed(self) -> Query:
        status = {"range": {self._names["status"]: {"gte": FAILED_STATUS}}}
        outcome = {"terms": {self._names["outcome"]: list(FAILED_OUTCOMES)}}
        return {"bool": {"should": [status, outcome], "minimum_should_match": 1}}

    def _weights(self, aggregations: Query) -> Query:
        """Return *aggregations*, and if lines have a sample rate the same by rate."""
        if not self._sampled:
            return aggregations
        rates = {"terms": {"field": self._names["sample_rate"], "size": _RATES}}
        inner = {name: one for name, one in aggregations.items() if name in {"failed", "seconds"}}
        return {**aggregations, "rates": {**rates, **({"aggs": inner} if inner else {})}}

    def _figures(self) -> Query:
        return {
            **self._weights({"failed": {"filter": self._failed()}, "seconds": {"sum": {"field": self._duration}}}),
            "longest": {"max": {"field": self._duration}},
            "took": self._digest([100 * share for share in _SHARES.values()]),
        }

    def _digest(self, percents: Sequence[float]) -> Query:
        digest = {"compression": COMPRESSION}
        return {"percentiles": {"field": self._duration, "percents": percents, "keyed": False, "tdigest": digest}}

    def _bars(self) -> Query:
        edges = [0, *_EDGES[1:-1]]  # durations below a microsecond go to the first, weeks to the last
        ranges = [{"from": low, "to": high} for low, high in itertools.pairwise(edges)]
        return {"range": {"field": self._duration, "ranges": [*ranges, {"from": edges[-1]}]}}

    def _times(self, step: int, aggregations: Query) -> Query:
        histogram = {"field": self._names["timestamp"], "fixed_interval": f"{step}ms", "min_doc_count": 0}
        return {"date_histogram": histogram, "aggs": aggregations}

    def _by(self, by: Sequence[str]) -> list[IndexField | None]:
        if "timestamp" in by:
            raise ExpressionError("--by timestamp: the command time shows the course over time.")
        return [self._fields.summed_up(field) for field in by]

    def _group(self, by: Sequence[str], raw: Sequence[Any]) -> Query:
        """Return the query for one group."""
        has: list[Query] = []
        has_not: list[Query] = []
        for field, value in zip(self._by(by), raw, strict=True):
            if field is not None and value is None:
                has_not.append({"exists": {"field": field.name}})
            elif field is not None:
                has.append({"term": {field.name: {"value": value}}})
        return {"bool": {"filter": has, "must_not": has_not}}

    def _every_group(
        self, by: Sequence[str], aggregations: Query, also: Query | None = None
    ) -> Iterator[tuple[dict[str, Any], tuple[str | None, ...], tuple[Any, ...]]]:
        """Yield the bucket of each group with its keys, as text and as the index has them."""
        fields = self._by(by)
        known = {f"k{number}": field for number, field in enumerate(fields) if field is not None}
        if not known:
            answer = self._ask(aggregations, also)
            nothing = tuple(None for _ in by)
            yield answer, nothing, nothing
            return
        sources = [{name: {"terms": {"field": one.name, "missing_bucket": True}}} for name, one in known.items()]
        groups: dict[str, Any] = {"size": PAGE, "sources": sources}
        total = 0
        while True:
            answer = self._ask({"groups": {"composite": groups, "aggs": aggregations}}, also)["groups"]
            for bucket in answer["buckets"]:
                raw = tuple(bucket["key"].get(f"k{number}") for number in range(len(by)))
                yield bucket, tuple(map(_text, fields, raw)), raw
            total += len(answer["buckets"])
            if "after_key" not in answer or len(answer["buckets"]) < PAGE:
                return
            if total >= MOST_GROUPS:
                raise SourceError(f"more than {count(MOST_GROUPS)} groups by {', '.join(by)}: narrow it down")
            groups["after"] = answer["after_key"]

    # Parts of answers

    def _totals(self, bucket: Mapping[str, Any]) -> tuple[int, int | None, float]:
        return (
            round(_weighted(bucket)),
            round(_weighted(bucket, lambda one: int(one["failed"]["doc_count"]))),
            _weighted(bucket, lambda one: float(one["seconds"]["value"])) / 1e9,
        )

    def _row(self, keys: tuple[str | None, ...], bucket: Mapping[str, Any], everything: float | None) -> Group:
        requests, errors, seconds = self._totals(bucket)
        return Group(keys, requests, errors, seconds, seconds / everything if everything else None, _quantiles(bucket))

    def _source(self, field: str) -> str:
        """Return what *field* is called in a document, where there is no keyword beside a text."""
        return self._names[field].removesuffix(".keyword")

    def _value(self, source: Mapping[str, Any], field: str) -> Any:
        """Return the value of *field* in a document, whose keys may have dots in them."""
        value = _dug(source, self._source(field).split("."))
        if field == "timestamp" and isinstance(value, str):
            return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        return value


def _weighted(bucket: Mapping[str, Any], value: Any = lambda one: one["doc_count"]) -> float:
    """Return the *value* of a bucket, in which a line with a sample rate counts 1 / rate."""
    more = (
        (1 / one["key"] - 1) * value(one) for one in bucket.get("rates", {"buckets": ()})["buckets"] if _is_rate(one)
    )
    return math.fsum([value(bucket), *more])


def _is_rate(bucket: Mapping[str, Any]) -> bool:
    rate: float = bucket["key"]
    return 0 < rate <= 1


def _quantiles(bucket: Mapping[str, Any]) -> Quantiles:
    n = bucket["doc_count"]
    if not n:
        return Quantiles(0)
    values = [one["value"] / 1e9 for one in bucket["took"]["values"]]
    mean = bucket["seconds"]["value"] / 1e9 / n
    return Quantiles(n, **dict(zip(_SHARES, values, strict=True)), max=bucket["longest"]["value"] / 1e9, mean=mean)


def _edge(number: int) -> float:
    return float(10 ** (_BARS[0] / PER_DECADE + number / PER_DECADE))


def _bin(number: int, lines: int) -> Bin:
    return Bin(_edge(number), _edge(number + 1), lines)


def _moment(milliseconds: float | None) -> dt.datetime | None:
    return None if milliseconds is None else _EPOCH + dt.timedelta(milliseconds=milliseconds)


def _text(field: IndexField | None, value: Any) -> str | None:
    """Return a key as the engine for files would say it."""
    if field is None or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.nanoseconds:
        return str(value / 1e9)
    return str(value)


def _dug(source: Any, path: Sequence[str]) -> Any:
    """Return what is at *path*; a dot inside a key is a step of it too."""
    if not path:
        return source
    if not isinstance(source, Mapping):
        return None
    for length in range(1, len(path) + 1):
        key = ".".join(path[:length])
        if key in source and (found := _dug(source[key], path[length:])) is not None:
            return found
    return None
