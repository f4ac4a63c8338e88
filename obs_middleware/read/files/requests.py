"""
The questions, asked of a table of requests: one function, one answer.

Read. All quantiles are exact, with linear interpolation between the two nearest durations (``quantile_cont``; Hyndman
and Fan's type 7, as numpy and spreadsheets have it).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from obs_middleware.read.answers import (
    FAILED_OUTCOMES,
    FAILED_STATUS,
    FEW,
    Bin,
    Change,
    Count,
    ErrorRow,
    Group,
    Groups,
    HeatMap,
    Lines,
    Overview,
    Quantiles,
    Slice,
    SlowRequest,
)
from obs_middleware.read.bootstrap import DRAWS, FIGURES, interval_of, ranks_of
from obs_middleware.read.files.columns import literal, quoted
from obs_middleware.read.files.table import Log
from obs_middleware.read.show.numbers import count

__all__ = [
    "SLOW_FIELDS",
    "STATS_FIELDS",
    "FileRequests",
    "changes",
    "course",
    "failures",
    "groups",
    "heat_map",
    "histogram",
    "outcomes",
    "overview",
    "service",
    "slowest",
]

Connection = duckdb.DuckDBPyConnection

WEIGHT: Final = "CASE WHEN sample_rate > 0 AND sample_rate <= 1 THEN 1 / sample_rate ELSE 1 END"
FAILED: Final = (
    f"(coalesce(status >= {FAILED_STATUS}, false)"
    f" OR coalesce(outcome IN ({', '.join(map(literal, FAILED_OUTCOMES))}), false))"
)
TELLS: Final = "(status IS NOT NULL OR outcome IS NOT NULL)"
QUANTILES: Final = """count(duration_seconds),
    quantile_cont(duration_seconds, [0.5, 0.9, 0.95, 0.99, 0.999]), max(duration_seconds), avg(duration_seconds)"""
TOTALS: Final = (
    f"sum({WEIGHT}), sum({WEIGHT}) FILTER ({FAILED}), count(*) FILTER ({TELLS}), sum(duration_seconds * {WEIGHT})"
)

SLOW_FIELDS: Final = (
    "timestamp",
    "method",
    "path",
    "route",
    "status",
    "outcome",
    "db_seconds",
    "db_queries",
    "request_id",
    "user_id",
)
"""The fields that `slowest` needs beside the duration."""

STATS_FIELDS: Final = ("timestamp", "status", "outcome", "sample_rate")
"""The fields that every question needs beside the duration."""


def _utc(moment: dt.datetime | None) -> dt.datetime | None:
    return None if moment is None else moment.replace(tzinfo=dt.UTC)


def _quantiles(row: Sequence[Any]) -> Quantiles:
    n, quantiles, largest, mean = row
    if not n:
        return Quantiles(0)
    p50, p90, p95, p99, p999 = quantiles
    return Quantiles(n, p50, p90, p95, p99, p999, largest, mean)


def _totals(row: Sequence[Any]) -> tuple[int, int | None, float]:
    requests, errors, telling, seconds = row
    return round(requests or 0), round(errors or 0) if telling else None, seconds or 0.0


def overview(connection: Connection, table: str = "requests") -> Overview:
    """Return all requests at a glance."""
    row = connection.execute(
        f"SELECT {TOTALS}, bool_or(sample_rate < 1), min(timestamp), max(timestamp), {QUANTILES} FROM {table}"
    ).fetchone()
    assert row is not None  # noqa: S101 -- an aggregate always has a row
    requests, errors, seconds = _totals(row[:4])
    classes = connection.execute(
        f"SELECT status // 100, sum({WEIGHT}) FROM {table} WHERE status IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return Overview(
        requests,
        errors,
        seconds,
        estimated=bool(row[4]),
        first=_utc(row[5]),
        last=_utc(row[6]),
        durations=_quantiles(row[7:]),
        histogram=histogram(connection, table),
        statuses=tuple(Count(f"{number}xx", round(count)) for number, count in classes),
    )


PER_DECADE: Final = 4
"""Bars of the histogram for a factor of ten: each is 1.8 times as wide as the one before."""


def histogram(connection: Connection, table: str = "requests", per_decade: int = PER_DECADE) -> tuple[Bin, ...]:
    """Return how many lines took how long, on a logarithmic scale; the first bar has what took no microsecond."""
    counts = dict(
        connection.execute(
            f"SELECT floor(log10(greatest(duration_seconds, 1e-6)) * {per_decade} + 1e-9)::INTEGER, count(*)"
            f" FROM {table} GROUP BY 1"
        ).fetchall()
    )
    if not counts:
        return ()
    return tuple(
        Bin(10 ** (step / per_decade), 10 ** ((step + 1) / per_decade), counts.get(step, 0))
        for step in range(min(counts), max(counts) + 1)
    )


def groups(connection: Connection, by: Sequence[str], limit: int | None = None, table: str = "requests") -> Groups:
    """
    Return requests by the fields *by*, those first that took the most time together.

    Args:
        connection: To the engine that has the table.
        by: Names of columns.
        limit: How many groups at most; the others are one row then.
        table: Its name.
    """
    keys = ", ".join(f"{quoted(field)}::VARCHAR" for field in by)
    marked = ", ".join(f"{quoted(field)}::VARCHAR AS k{number}" for number, field in enumerate(by))
    if limit is None or _are_few(connection, keys, limit, table):
        rows = connection.execute(f"SELECT {marked}, {TOTALS}, {QUANTILES} FROM {table} GROUP BY {keys}").fetchall()
        if limit is None or len(rows) <= limit:
            together = sum(row[len(by) + 3] or 0.0 for row in rows)
            return Groups(tuple(by), _sorted(_group(row, len(by), together) for row in rows), None, len(rows))
    ranking = f"SELECT {marked}, sum(duration_seconds * {WEIGHT}) AS together FROM {table} GROUP BY {keys}"
    (total, everything) = connection.execute(f"SELECT count(*), sum(together) FROM ({ranking})").fetchone() or (0, None)
    tie = ", ".join(f"k{number} NULLS LAST" for number in range(len(by)))
    same = " AND ".join(f"best.k{n} IS NOT DISTINCT FROM r.{quoted(f)}::VARCHAR" for n, f in enumerate(by))
    rows = connection.execute(
        f"WITH best AS ({ranking} ORDER BY together DESC, {tie} LIMIT {int(limit)})"
        f" SELECT {', '.join(f'best.k{n}' for n in range(len(by)))}, {TOTALS}, {QUANTILES}, best.together IS NULL"
        f" FROM {table} AS r LEFT JOIN best ON {same} GROUP BY ALL"
    ).fetchall()
    kept = _sorted(_group(row, len(by), everything) for row in rows if not row[-1])
    rest = next((_group(row, len(by), everything) for row in rows if row[-1]), None)
    return Groups(tuple(by), kept, rest, total)


def _are_few(connection: Connection, keys: str, limit: int, table: str) -> bool:
    """Return whether there are probably few groups; an estimate costs much less than to count them."""
    row = connection.execute(f"SELECT approx_count_distinct(hash({keys})) FROM {table}").fetchone()
    return row is not None and row[0] <= 2 * limit


def _group(row: Sequence[Any], keys: int, everything: float | None) -> Group:
    requests, errors, seconds = _totals(row[keys : keys + 4])
    share = seconds / everything if everything else None
    return Group(tuple(row[:keys]), requests, errors, seconds, share, _quantiles(row[keys + 4 : keys + 8]))


def _sorted(rows: Any) -> tuple[Group, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.seconds, [key or "" for key in row.keys])))


def slowest(connection: Connection, limit: int, table: str = "requests") -> tuple[SlowRequest, ...]:
    """Return the requests that took longest."""
    names = ", ".join(map(quoted, SLOW_FIELDS))
    rows = connection.execute(
        f"SELECT duration_seconds, {names} FROM {table} ORDER BY duration_seconds DESC, timestamp, request_id LIMIT ?",
        [limit],
    ).fetchall()
    return tuple(SlowRequest(seconds, _utc(moment), *rest) for seconds, moment, *rest in rows)


def course(connection: Connection, every: float, table: str = "requests") -> tuple[Slice, ...]:
    """
    Return the time span cut into slices, those in which nothing happened too; lines without a time are in none.

    Args:
        connection: To the engine that has the table.
        table: Its name.
        every: Seconds of a slice. Slices begin at whole multiples of it since 1970.
    """
    step = max(round(every * 1_000_000), 1)
    rows = connection.execute(
        f"SELECT epoch_us(timestamp) // {step}, {TOTALS}, {QUANTILES} FROM {table}"
        " WHERE timestamp IS NOT NULL GROUP BY 1"
    ).fetchall()
    if not rows:
        return ()
    found = {row[0]: row[1:] for row in rows}
    slices = []
    for number in range(min(found), max(found) + 1):
        start = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=number * step)
        end = start + dt.timedelta(microseconds=step)
        row = found.get(number)
        if row is None:
            slices.append(Slice(start, end, 0, None, Quantiles(0)))
        else:
            requests, errors, _ = _totals(row[:4])
            slices.append(Slice(start, end, requests, errors, _quantiles(row[4:])))
    return tuple(slices)


def changes(
    connection: Connection, by: Sequence[str], before: str, after: str, limit: int | None = None
) -> tuple[Change, ...]:
    """
    Return how p50, p95 and p99 of each group differ between two tables, and an interval for the difference.

    The interval holds `CONFIDENCE` of the differences that `DRAWS` bootstrap samples of each side give. They need not
    be drawn: the quantile of a sample of n from n durations is the duration at a rank that follows a beta distribution,
    so the rank is drawn and the duration looked up. Groups with fewer than `FEW` requests on one side have none.
    """
    rows = {
        table: {group.keys: group for group in groups(connection, by, None, table).rows} for table in (before, after)
    }
    together = {
        keys: max(rows[table][keys].seconds for table in rows if keys in rows[table])
        for keys in {**rows[before], **rows[after]}
    }
    order = sorted(together, key=lambda keys: (-together[keys], [key or "" for key in keys]))[:limit]
    found = []
    for keys in order:
        old, new = (rows[table].get(keys) for table in (before, after))
        n_old, n_new = (group.durations.n if group else 0 for group in (old, new))
        drawn = None
        if n_old >= FEW and n_new >= FEW:
            sides = ((before, "before", n_old), (after, "after", n_new))
            drawn = tuple(
                _drawn(connection, table, by, keys, ranks_of(n, f"{side} {keys}")) for table, side, n in sides
            )
        for figure in FIGURES:
            low = high = None
            if drawn is not None:
                low, high = interval_of(b - a for a, b in zip(drawn[0][figure], drawn[1][figure], strict=True))
            was, now = (getattr(group.durations, figure) if group else None for group in (old, new))
            found.append(Change(keys, figure, n_old, n_new, was, now, low, high))
    return tuple(found)


def _drawn(
    connection: Connection, table: str, by: Sequence[str], keys: Sequence[str | None], drawn: dict[str, list[float]]
) -> dict[str, list[float]]:
    """Return what each figure is in `DRAWS` bootstrap samples of a group."""
    ranks = [rank for figure in FIGURES for rank in drawn[figure]]
    same = " AND ".join(f"{quoted(field)}::VARCHAR IS NOT DISTINCT FROM ?" for field in by) or "true"
    (values,) = connection.execute(
        f"SELECT quantile_disc(duration_seconds, [{', '.join(map(repr, ranks))}]) FROM {table} WHERE {same}",
        list(keys),
    ).fetchone() or ([],)
    return {figure: values[number * DRAWS : (number + 1) * DRAWS] for number, figure in enumerate(FIGURES)}


def outcomes(connection: Connection, table: str = "requests") -> tuple[Count, ...]:
    """Return requests by outcome, the most frequent first."""
    rows = connection.execute(
        f"SELECT outcome, sum({WEIGHT}) FROM {table} WHERE outcome IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return tuple(Count(name, round(number)) for name, number in rows)


def heat_map(connection: Connection, every: float, table: str = "requests") -> HeatMap | None:
    """
    Return how many lines took how long when; None if no line has a time.

    Args:
        connection: To the engine that has the table.
        table: Its name.
        every: Seconds of a column.
    """
    step = max(math.ceil(every * 1_000_000), 1)
    rows = connection.execute(
        f"SELECT epoch_us(timestamp) // {step},"
        f" floor(log10(greatest(duration_seconds, 1e-6)) * {PER_DECADE} + 1e-9)::INTEGER, count(*)"
        f" FROM {table} WHERE timestamp IS NOT NULL GROUP BY 1, 2"
    ).fetchall()
    if not rows:
        return None
    counts = {(column, row): number for column, row, number in rows}
    columns, bands = ({key[axis] for key in counts} for axis in (0, 1))
    across = range(min(columns), max(columns) + 1)
    up = range(min(bands), max(bands) + 1)
    epoch = dt.datetime.fromtimestamp(0, dt.UTC)
    return HeatMap(
        tuple(epoch + dt.timedelta(microseconds=number * step) for number in (*across, across[-1] + 1)),
        tuple(10 ** (number / PER_DECADE) for number in (*up, up[-1] + 1)),
        tuple(tuple(counts.get((column, row), 0) for row in up) for column in across),
    )


def failures(connection: Connection, limit: int, table: str = "requests") -> tuple[tuple[ErrorRow, ...], int]:
    """Return failed requests by what they have in common, the most frequent first, and the number of such groups."""
    keys = "error_type, status, outcome, method, route"
    (total,) = connection.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {table} WHERE {FAILED})"
    ).fetchone() or (0,)
    rows = connection.execute(
        f"SELECT sum({WEIGHT}), error_type, arg_max(error_message, timestamp), status, outcome, method, route,"
        f" max(timestamp), arg_max(request_id, timestamp) FROM {table} WHERE {FAILED}"
        f" GROUP BY {keys} ORDER BY 1 DESC, 2, 4, 6, 7 LIMIT ?",
        [limit],
    ).fetchall()
    return tuple(
        ErrorRow(round(number), *common, _utc(last), request_id)  # type: ignore[call-arg]  # six values in between
        for number, *common, last, request_id in rows
    ), total


def service(connection: Connection, table: str = "requests") -> str | None:
    """Return the name of the service, if all lines that name one name the same."""
    names = connection.execute(f"SELECT DISTINCT service FROM {table} WHERE service IS NOT NULL LIMIT 2").fetchall()
    return str(names[0][0]) if len(names) == 1 else None


@dataclass(frozen=True, slots=True)
class FileRequests:
    """
    The requests of files, which were read into a table.

    Attributes:
        log: What was read.
        table: The name of the table.
    """

    log: Log
    table: str = "requests"

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the files."""
        return self.log.sources

    @property
    def lines(self) -> Lines:
        """What was read."""
        kinds = (Count("other log lines", self.log.others), Count("skipped, not understood", self.log.skipped))
        return Lines(self.log.lines, self.log.requests, self.log.filtered, tuple(kind for kind in kinds if kind.count))

    @property
    def approximate(self) -> None:
        """Nothing is."""

    @property
    def most_slices(self) -> int:
        """What still fits into memory."""
        return 100_000

    @property
    def notes(self) -> tuple[str, ...]:
        """A line on what was read and is not in the answer."""
        parts = [f"{count(self.log.requests)} request lines"]
        if self.log.filtered:
            parts.append(f"{count(self.log.filtered)} filtered out")
        if self.log.others:
            parts.append(f"{count(self.log.others)} other log lines")
        if self.log.skipped:
            parts.append(f"{count(self.log.skipped)} skipped, not understood")
        return (f"{count(self.log.lines)} lines read: {', '.join(parts)}",)

    def overview(self) -> Overview:
        """Return all requests at a glance."""
        return overview(self.log.connection, self.table)

    def groups(self, by: Sequence[str], limit: int | None = None) -> Groups:
        """Return requests by the fields *by*."""
        return groups(self.log.connection, by, limit, self.table)

    def slowest(self, limit: int) -> tuple[SlowRequest, ...]:
        """Return the requests that took longest."""
        return slowest(self.log.connection, limit, self.table)

    def course(self, every: float) -> tuple[Slice, ...]:
        """Return the time span cut into slices."""
        return course(self.log.connection, every, self.table)

    def outcomes(self) -> tuple[Count, ...]:
        """Return requests by outcome."""
        return outcomes(self.log.connection, self.table)

    def heat_map(self, every: float) -> HeatMap | None:
        """Return how many lines took how long when."""
        return heat_map(self.log.connection, every, self.table)

    def failures(self, limit: int) -> tuple[tuple[ErrorRow, ...], int]:
        """Return failed requests by what they have in common."""
        return failures(self.log.connection, limit, self.table)

    def service(self) -> str | None:
        """Return the name of the service, if there is one only."""
        return service(self.log.connection, self.table)
