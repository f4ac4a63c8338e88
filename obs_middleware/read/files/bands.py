"""The slow and the ordinary requests of files, and the places that their lines name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from obs_middleware.read.answers import Keys, Ranked, SlowRequest
from obs_middleware.read.bands import CUTS, PARTS, PLACES, STREAMED, Band, Bands, Place, Places
from obs_middleware.read.files.columns import quoted
from obs_middleware.read.files.formulas import finite_mean
from obs_middleware.read.files.side import FileSide, key_columns, same_keys, unnested, wanted_keys
from obs_middleware.read.schemas import type_of

__all__ = ["FileBands"]

_SLOW, _ORDINARY = 1, 0
_MOST: Final = 1e9
"""Seconds. A damaged line may claim any number."""


class FileBands(FileSide):
    """The requests of files, in bands and by place. Each question is one query for all groups."""

    __slots__ = ()

    def bands(self, by: Sequence[str], groups: Sequence[Ranked], blocks: Sequence[str]) -> dict[Keys, Bands]:
        """Return the slow and the ordinary requests of *groups*."""
        fields = [*PARTS, "queue_seconds", *blocks]
        streamed = _seconds("duration_seconds - first_byte_seconds")
        values = {**{name: _seconds(_number(name)) for name in fields}, STREAMED: streamed}
        named = ", ".join(f"{value} AS v{number}" for number, value in enumerate(values.values()))
        pooled = ", ".join(f"avg(coalesce(v{number}, 0)) AS m{number}" for number in range(len(fields)))
        figures = ", ".join(
            [
                *(f"avg(coalesce(v{number}, 0)), count(v{number})" for number in range(len(values))),
                *(f"count(*) FILTER (v{number} > m{number})" for number in range(len(fields))),
            ]
        )
        rows = self._rows(
            f"WITH wanted AS (SELECT generate_subscripts(?::VARCHAR[], 1) AS number, {unnested(by)}),"
            f" cut AS (SELECT number, quantile_cont(duration_seconds, {list(CUTS)}) AS q"
            f" FROM {self._table} AS r JOIN wanted ON {same_keys(by)} GROUP BY ALL),"
            f" lines AS (SELECT number, CASE WHEN duration_seconds >= q[3] THEN {_SLOW}"
            f" WHEN duration_seconds BETWEEN q[1] AND q[2] THEN {_ORDINARY} END AS band, duration_seconds, {named}"
            f" FROM {self._table} AS r JOIN wanted ON {same_keys(by)} JOIN cut USING (number)),"
            f" pooled AS (SELECT number, {pooled} FROM lines WHERE band IS NOT NULL GROUP BY ALL)"
            f" SELECT number, band, count(*), {finite_mean('duration_seconds')}, {figures}"
            " FROM lines JOIN pooled USING (number) WHERE band IS NOT NULL GROUP BY ALL",
            [[""] * len(groups), *key_columns(by, [group.keys for group in groups])],
        )
        found: dict[Keys, dict[int, Band]] = {group.keys: {} for group in groups}
        for number, band, n, seconds, *cells in rows:
            pairs, above = cells[: 2 * len(values)], cells[2 * len(values) :]
            means = dict(zip(values, pairs[::2], strict=True))
            known = dict(zip(values, pairs[1::2], strict=True))
            found[groups[number - 1].keys][band] = Band(n, seconds, means, known, dict(zip(fields, above, strict=True)))
        return {keys: Bands(one.get(_SLOW, Band()), one.get(_ORDINARY, Band())) for keys, one in found.items()}

    def places(self, by: Sequence[str], groups: Sequence[Ranked], field: str, most: int) -> dict[Keys, Places]:
        """Return the places that *field* of *groups* names, at most *most* for each."""
        figure = _seconds(PLACES[field])
        rows = self._rows(
            f"WITH wanted AS (SELECT {unnested(by)}),"
            f" places AS (SELECT {wanted_keys(by)}, {quoted(field)} AS place, count(*) AS n, avg({figure}) AS mean,"
            f" max({figure}) AS most, avg(db_queries) AS queries FROM {self._table} AS r JOIN wanted ON {same_keys(by)}"
            f" WHERE {quoted(field)} IS NOT NULL GROUP BY ALL)"
            " SELECT place, n, mean, most, queries, sum(n) OVER same,"
            f" {', '.join(f'k{number}' for number in range(len(by)))} FROM places"
            f" WINDOW same AS (PARTITION BY {', '.join(f'k{number}' for number in range(len(by)))})"
            f" QUALIFY row_number() OVER (PARTITION BY {', '.join(f'k{number}' for number in range(len(by)))}"
            f" ORDER BY n DESC, place) <= {int(most)} ORDER BY n DESC, place",
            key_columns(by, [group.keys for group in groups]),
        )
        found: dict[Keys, list[Place]] = {group.keys: [] for group in groups}
        every: dict[Keys, int] = {}
        for place, n, mean, largest, queries, together, *keys in rows:
            found[tuple(keys)].append(Place(place, n, mean, largest, queries))
            every[tuple(keys)] = int(together)
        return {
            keys: Places(tuple(shown), every.get(keys, 0) - sum(one.n for one in shown))
            for keys, shown in found.items()
        }

    def worst(self, field: str, names: Sequence[str]) -> tuple[int, SlowRequest | None]:
        """Return the number of lines with *field*, and the request with the largest one, with the fields *names*."""
        rows = self._rows(
            f"SELECT count(*) OVER (), duration_seconds, {', '.join(map(quoted, [field, *names]))} FROM {self._table}"
            f" WHERE {quoted(field)} IS NOT NULL ORDER BY 3 DESC, timestamp LIMIT 1"
        )
        for n, seconds, value, *others in rows:
            return n, SlowRequest(seconds, {**dict(zip(names, others, strict=True)), field: value})
        return 0, None


def _number(field: str) -> str:
    """Return the SQL for a field as a number; a field of the application is text."""
    name = quoted(field)
    return name if type_of(field) != "VARCHAR" else f"try_cast({name} AS DOUBLE)"


def _seconds(value: str) -> str:
    """Return the SQL for a value, or null if it is none that a line may have."""
    return f"CASE WHEN {value} >= 0 AND {value} < {_MOST} THEN {value} END"
