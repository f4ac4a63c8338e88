"""The slow and the ordinary requests of an index, and the places that their lines name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from obs_middleware.read.answers import Keys, Ranked, SlowRequest
from obs_middleware.read.bands import CUTS, PARTS, PLACES, STREAMED, Band, Bands, Place, Places
from obs_middleware.read.index.client import understands_answers
from obs_middleware.read.index.dsl import NUMBERS, IndexField, Query
from obs_middleware.read.index.fields import value_in
from obs_middleware.read.index.side import IndexSide

__all__ = ["IndexBands"]

_SLOW, _ORDINARY = "slow", "ordinary"


@understands_answers
class IndexBands(IndexSide):
    """The requests of an index, in bands and by place."""

    def bands(self, by: Sequence[str], groups: Sequence[Ranked], blocks: Sequence[str]) -> dict[Keys, Bands]:
        """
        Return the slow and the ordinary requests of *groups*.

        Three questions, each for many groups at once: the ends of the bands, the sums, and the lines above the means.
        """
        fields = [*PARTS, "queue_seconds", *blocks]
        found = {one: name for one in fields if (name := self._summable(one)) is not None}
        cuts = {group: {"took": self._figures.digest([100 * cut for cut in CUTS])} for group in groups}
        bands = {
            group: self._filters(*(one["value"] for one in bucket["took"]["values"]))
            for group, bucket in self._each(by, cuts)
        }
        sums = {
            group: {name: {**band, "aggs": self._sums(found)} for name, band in both.items()}
            for group, both in bands.items()
        }
        measured = {
            group: {name: self._band(bucket[name], fields, found) for name in both}
            for (group, bucket), both in zip(self._each(by, sums), bands.values(), strict=True)
        }
        above = {
            group: {name: {**band, "aggs": _above(measured[group], found)} for name, band in both.items()}
            for group, both in bands.items()
        }
        counted = dict(self._each(by, above))
        return {
            group.keys: Bands(
                *(_with_counts(both[name], fields, found, counted[group][name]) for name in (_SLOW, _ORDINARY))
            )
            for group, both in measured.items()
        }

    def _filters(self, low: float, high: float, slow: float) -> dict[str, Query]:
        name = self._names["duration_seconds"]
        # A slow request is never an ordinary one, also if many durations are the same.
        ordinary: Query = {"bool": {"filter": [_range(name, gte=low), _range(name, lte=high), _range(name, lt=slow)]}}
        return {_SLOW: {"filter": _range(name, gte=slow)}, _ORDINARY: {"filter": ordinary}}

    def _sums(self, fields: Mapping[str, str]) -> Query:
        duration, first = self._names["duration_seconds"], self._names["first_byte_seconds"]
        streamed = {"seconds": {"sum": {"field": duration}}, "first": {"sum": {"field": first}}}
        return {
            "seconds": {"sum": {"field": duration}},
            "streamed": {"filter": {"exists": {"field": first}}, "aggs": streamed},
            **{f"sum_{number}": {"sum": {"field": name}} for number, name in enumerate(fields.values())},
            **{f"n_{number}": {"value_count": {"field": name}} for number, name in enumerate(fields.values())},
        }

    def _band(self, bucket: Mapping[str, Any], fields: Sequence[str], found: Mapping[str, str]) -> Band:
        n = bucket["doc_count"]
        if not n:
            return Band()
        means, known = dict.fromkeys(fields, 0.0), dict.fromkeys(fields, 0)
        for number, name in enumerate(found):
            means[name] = max(bucket[f"sum_{number}"]["value"] / n, 0.0)
            known[name] = bucket[f"n_{number}"]["value"]
        streamed = bucket["streamed"]
        seconds = streamed["seconds"]["value"] / 1e9 - streamed["first"]["value"]
        means[STREAMED], known[STREAMED] = max(seconds / n, 0.0), streamed["doc_count"]
        return Band(n, bucket["seconds"]["value"] / 1e9 / n, means, known)

    def places(self, by: Sequence[str], groups: Sequence[Ranked], field: str, most: int) -> dict[Keys, Places]:
        """Return the places that *field* of *groups* names, at most *most* for each."""
        place = self._fields.groupable(field)
        if place is None:
            return {group.keys: Places() for group in groups}
        figures = {name: self._summable(name) for name in (PLACES[field], "db_queries")}
        inner: Query = {}
        for name, known in figures.items():
            if known is not None:
                inner |= {f"{name}_mean": {"avg": {"field": known}}, f"{name}_most": {"max": {"field": known}}}
        terms = {"terms": {"field": place.name, "size": most, "order": [{"_count": "desc"}, {"_key": "asc"}]}}
        answers = self._each(by, {group: {"places": {**terms, "aggs": inner}} for group in groups})
        return {group.keys: self._places(bucket["places"], PLACES[field]) for group, bucket in answers}

    def _places(self, answer: Mapping[str, Any], figure: str) -> Places:
        scale = 1e9 if figure == "duration_seconds" else 1

        def value(bucket: Mapping[str, Any], name: str, over: float = 1) -> float | None:
            number = bucket.get(name, {}).get("value")
            return None if number is None else number / over

        rows = [
            Place(
                str(one["key"]),
                one["doc_count"],
                value(one, f"{figure}_mean", scale),
                value(one, f"{figure}_most", scale),
                value(one, "db_queries_mean"),
            )
            for one in answer["buckets"]
        ]
        return Places(tuple(rows), answer.get("sum_other_doc_count", 0))

    def worst(self, field: str, names: Sequence[str]) -> tuple[int, SlowRequest | None]:
        """Return the number of lines with *field*, and the request with the largest one, with the fields *names*."""
        name = self._summable(field)
        if name is None:
            return 0, None
        wanted = [*names, field, "duration_seconds"]
        body = {
            "size": 1,
            "track_total_hits": True,
            "query": {"bool": {"filter": [self._query, {"exists": {"field": name}}]}},
            "sort": [{name: "desc"}, *self._fields.order()],
            "_source": [self._source(one) for one in wanted],
        }
        answer = self._client.search(self._index, body)["hits"]
        for hit in answer["hits"]:
            found = {one: value_in(hit.get("_source"), self._source(one).split(".")) for one in wanted}
            return answer["total"]["value"], SlowRequest(found.pop("duration_seconds") / 1e9, found)
        return 0, None

    def _source(self, field: str) -> str:
        """Return the name of *field* in a document, which has no keyword beside a text."""
        return self._names[field].removesuffix(".keyword")

    def _summable(self, field: str) -> str | None:
        """Return the name of *field* in the index; None if the index does not have it as a number."""
        found: IndexField | None = self._fields.find(field)
        return found.name if found is not None and found.type in NUMBERS else None


def _range(name: str, **ends: float) -> Query:
    return {"range": {name: ends}}


def _above(bands: Mapping[str, Band], fields: Mapping[str, str]) -> Query:
    """Return the aggregations that count the lines above the mean of both bands together."""
    n = sum(band.n for band in bands.values()) or 1
    pooled = {one: sum(band.means.get(one, 0.0) * band.n for band in bands.values()) / n for one in fields}
    return {
        f"above_{number}": {"filter": _range(name, gt=pooled[one])} for number, (one, name) in enumerate(fields.items())
    }


def _with_counts(
    band: Band, fields: Sequence[str], found: Mapping[str, str], counted: Mapping[str, Mapping[str, int]]
) -> Band:
    """Return *band* with the numbers of lines above the means; a field that the index does not have is on none."""
    above = dict.fromkeys(fields, 0)
    above |= {name: counted[f"above_{number}"]["doc_count"] for number, name in enumerate(found)}
    return replace(band, above=above) if band.n else band
