"""The requests of files as one side of a comparison."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from obs_middleware.read.answers import Group, Keys, Ranked, SliceCount
from obs_middleware.read.files.columns import quoted
from obs_middleware.read.files.formulas import QUANTILES, TOTALS, WEIGHT, group_of, utc
from obs_middleware.read.files.table import Log

__all__ = ["FileSide", "key_columns", "key_of", "keys_of", "same_keys", "unnested", "wanted_keys"]


@dataclass(frozen=True, slots=True)
class FileSide:
    """
    The requests of files as one side of a comparison. Each question is one query for all groups.

    Attributes:
        log: The table, and the counts of the lines.
    """

    log: Log

    def ranking(self, by: Sequence[str]) -> dict[Keys, Ranked]:
        """Return all groups by the fields *by*."""
        rows = self._rows(
            f"SELECT count(*), sum(duration_seconds * {WEIGHT}), {keys_of(by)} FROM {self._table} GROUP BY ALL"
        )
        return {tuple(keys): Ranked(tuple(keys), seconds or 0.0, n=n) for n, seconds, *keys in rows}

    def figures(self, by: Sequence[str], groups: Sequence[Ranked]) -> dict[Keys, Group]:
        """Return the figures of *groups*. They have no share."""
        rows = self._rows(
            f"WITH wanted AS (SELECT {unnested(by)}) SELECT {wanted_keys(by)}, {TOTALS}, {QUANTILES}"
            f" FROM {self._table} AS r JOIN wanted ON {same_keys(by)} GROUP BY ALL",
            key_columns(by, [group.keys for group in groups]),
        )
        return {row[: len(by)]: group_of(row[: len(by)], row[len(by) :], None) for row in rows}

    def durations_at(self, by: Sequence[str], ranks: Mapping[Ranked, Sequence[int]]) -> dict[Keys, dict[int, float]]:
        """Return the durations of groups at *ranks*."""
        pairs = [(group.keys, rank) for group, wanted in ranks.items() for rank in wanted]
        same = " AND ".join(f"wanted.k{number} IS NOT DISTINCT FROM r.k{number}" for number in range(len(by)))
        # One sorted list for each group: half the cost of a window with the rank of each row.
        rows = self._rows(
            f"WITH single AS (SELECT unnest(?::BIGINT[]) AS rank, {unnested(by)}),"
            " wanted AS (SELECT list(rank) AS ranks, * EXCLUDE (rank) FROM single GROUP BY ALL),"
            f" r AS (SELECT list_sort(list(duration_seconds)) AS durations, {keys_of(by)} FROM {self._table}"
            f" GROUP BY ALL) SELECT unnest(ranks), unnest(list_select(durations, ranks)), {wanted_keys(by)}"
            f" FROM r JOIN wanted ON {same}",
            [[rank for _, rank in pairs], *key_columns(by, [one for one, _ in pairs])],
        )
        found: dict[Keys, dict[int, float]] = {}
        for rank, seconds, *keys in rows:
            found.setdefault(tuple(keys), {})[rank] = seconds
        return found

    def rank_error(self, share: float) -> float:  # noqa: ARG002 -- the same for all
        """Return 0: all ranks are exact."""
        return 0.0

    def span(self) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the times of the first and the last line; None if no line has a time."""
        ((first, last),) = self._rows(f"SELECT min(timestamp), max(timestamp) FROM {self._table}")
        start, end = utc(first), utc(last)
        return None if start is None or end is None else (start, end)

    def slices(
        self, by: Sequence[str], medians: Mapping[Ranked, float], every: dt.timedelta
    ) -> dict[Keys, dict[int, SliceCount]]:
        """Return counts of the requests of groups in slices of *every*."""
        step = every // dt.timedelta(microseconds=1)
        rows = self._rows(
            f"WITH wanted AS (SELECT unnest(?::DOUBLE[]) AS median, {unnested(by)}),"
            f" start AS (SELECT min(epoch_us(timestamp)) AS moment FROM {self._table})"
            f" SELECT (epoch_us(timestamp) - start.moment) // {step}, sum({WEIGHT}), count(*),"
            f" count(*) FILTER (duration_seconds > median), {wanted_keys(by)}"
            f" FROM {self._table} AS r JOIN wanted ON {same_keys(by)}, start"
            " WHERE timestamp IS NOT NULL GROUP BY ALL",
            [[*medians.values()], *key_columns(by, [group.keys for group in medians])],
        )
        found: dict[Keys, dict[int, SliceCount]] = {}
        for number, requests, n, above, *keys in rows:
            found.setdefault(tuple(keys), {})[number] = SliceCount(requests, n, above)
        return found

    @property
    def _table(self) -> str:
        return self.log.table

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self.log.connection.execute(sql, list(parameters)).fetchall()


# Keys of groups are text: ``k0``, ``k1`` and so on. A table ``wanted`` has the keys of the groups that are asked for.


def key_of(field: str) -> str:
    """Return the SQL of a key."""
    return f"{quoted(field)}::VARCHAR"


def keys_of(by: Sequence[str]) -> str:
    """Return the columns with the keys of a row."""
    return ", ".join(f"{key_of(field)} AS k{number}" for number, field in enumerate(by))


def wanted_keys(by: Sequence[str]) -> str:
    """Return the columns with the keys of a wanted group."""
    return ", ".join(f"wanted.k{number}" for number in range(len(by)))


def same_keys(by: Sequence[str]) -> str:
    """Return the condition that joins the rows of a table ``r`` with the wanted groups."""
    return " AND ".join(f"wanted.k{number} IS NOT DISTINCT FROM r.{key_of(field)}" for number, field in enumerate(by))


def unnested(by: Sequence[str]) -> str:
    """Return the columns of a table ``wanted``, whose parameters are `key_columns`."""
    return ", ".join(f"unnest(?::VARCHAR[]) AS k{number}" for number in range(len(by)))


def key_columns(by: Sequence[str], keys: Sequence[Keys]) -> list[list[str | None]]:
    """Return the parameters of `unnested`: for each field a list with the keys of the groups."""
    return [[one[number] for one in keys] for number in range(len(by))]
