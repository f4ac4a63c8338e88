"""The requests of files: each method asks the table one question."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from obs_middleware.read.answers import (
    FEW,
    Bin,
    Count,
    ErrorRow,
    Groups,
    HeatMap,
    Lines,
    Overview,
    Quantiles,
    Slice,
    SlowRequest,
    edge,
    most_time_first,
)
from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.bands import FileBands
from obs_middleware.read.files.columns import literal, quoted
from obs_middleware.read.files.database import make_table
from obs_middleware.read.files.formulas import (
    BAR,
    FAILED,
    TOTALS,
    WEIGHT,
    Chosen,
    group_of,
    quantiles,
    quantiles_of,
    totals_of,
    utc,
)
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.files.side import key_of, keys_of, same_keys, wanted_keys
from obs_middleware.read.kinds import Kind
from obs_middleware.read.where.conditions import Condition

__all__ = ["FileRequests"]

_NUMBERS: Final = itertools.count()
"""Numbers of the tables of `FileRequests.matching`."""
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)


_NOT_ODD: Final = dt.timedelta(days=30)
"""A log may have a gap as long as this. Beyond it, a few lines far from the others have a wrong time."""
_SHOWN: Final = 3


class _Times(NamedTuple):
    """The span of the lines that are not odd, the number of those that are, and the first of their times."""

    first: dt.datetime | None
    last: dt.datetime | None
    odd: int = 0
    odd_times: tuple[dt.datetime, ...] = ()


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return names and values; a time gets its zone."""
    pairs = zip(names, values, strict=True)
    return {name: utc(value) if isinstance(value, dt.datetime) else value for name, value in pairs}


@dataclass(frozen=True, slots=True)
class FileRequests(FileBands):
    """
    The requests of files, which were read into a table.

    Attributes:
        chosen: Percentiles beside `SHARES` for the overview, the groups and the course.
    """

    chosen: Chosen = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The kind of the units of work."""
        return self.log.kind

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the files."""
        return self.log.sources

    @property
    def lines(self) -> Lines:
        """The lines that were read."""
        kinds = (
            *(Count(f"{kind.name} lines", number) for kind, number in self.log.elsewhere.items()),
            Count("other log lines", self.log.others),
            Count("repeated, with the same event_id", self.log.repeated),
            Count("skipped, not understood", self.log.skipped),
        )
        return Lines(self.log.lines, self.log.requests, self.log.filtered, tuple(kind for kind in kinds if kind.count))

    @property
    def approximate(self) -> None:
        """Nothing is approximate."""

    @property
    def most_slices(self) -> int:
        """A limit that keeps the answer in memory."""
        return 100_000

    @property
    def n(self) -> int:
        """The number of request lines that pass the filters."""
        return self.log.requests

    def starts(self, field: str) -> dict[str, dt.datetime]:
        """Return the time of the first line with each value of *field*."""
        rows = self._rows(
            f"SELECT {key_of(field)}, min(timestamp) FROM {self._table}"
            f" WHERE {quoted(field)} IS NOT NULL AND timestamp IS NOT NULL GROUP BY 1"
        )
        return {value: first.replace(tzinfo=dt.UTC) for value, first in rows}

    def matching(self, condition: Condition) -> FileRequests:
        """
        Return those of the requests that match *condition*.

        Raises:
            SourceError: There are none.
        """
        wanted = predicate(condition)
        table = f"{self._table}_{next(_NUMBERS)}"
        query = f"SELECT * FROM {self._table} WHERE {wanted.sql}"
        make_table(self.log.connection, table, query, wanted.parameters)
        ((n,),) = self._rows(f"SELECT count(*) FROM {table}")
        if not n:
            raise SourceError(f"{', '.join(self.sources)}: no {self.kind.name} on one side")
        filtered = self.log.filtered + self.log.requests - n
        return FileRequests(replace(self.log, table=table, requests=n, filtered=filtered))

    def overview(self) -> Overview:
        """Return all requests at a glance."""
        ((*row, sampled),) = self._rows(
            f"SELECT {TOTALS}, {self._quantiles}, bool_or(sample_rate < 1) FROM {self._table}"
        )
        times = self._times()
        classes = self._rows(
            f"SELECT status // 100, sum({WEIGHT}) FROM {self._table} WHERE status IS NOT NULL GROUP BY 1 ORDER BY 1"
        )
        requests, errors, seconds = totals_of(row[:4])
        return Overview(
            requests,
            errors,
            seconds,
            estimated=bool(sampled),
            first=utc(times.first),
            last=utc(times.last),
            durations=quantiles_of(row[4:], self.chosen),
            histogram=self._histogram(),
            statuses=tuple(Count(f"{number}xx", round(weight)) for number, weight in classes),
            odd=times.odd,
            odd_times=tuple(moment.replace(tzinfo=dt.UTC) for moment in times.odd_times),
        )

    def _times(self) -> _Times:
        """Return the time span. A few lines far away from the others are odd, and not in the span."""
        ((first, last, n),) = self._rows(f"SELECT min(timestamp), max(timestamp), count(timestamp) FROM {self._table}")
        if n < FEW or last - first <= _NOT_ODD:
            return _Times(first, last)
        (((low, high),),) = self._rows(f"SELECT quantile_disc(epoch_us(timestamp), [0.25, 0.75]) FROM {self._table}")
        margin = max(_NOT_ODD // dt.timedelta(microseconds=1), 10 * (high - low))
        inside = f"epoch_us(timestamp) BETWEEN {low - margin} AND {high + margin}"
        ((inner_first, inner_last, odd, odd_times),) = self._rows(
            f"SELECT min(timestamp) FILTER ({inside}), max(timestamp) FILTER ({inside}),"
            f" count(*) FILTER (NOT {inside}), min(timestamp, {_SHOWN}) FILTER (NOT {inside})"
            f" FROM {self._table} WHERE timestamp IS NOT NULL"
        )
        if not 0 < odd <= max(1, n // 100):
            return _Times(first, last)
        return _Times(inner_first, inner_last, odd, tuple(odd_times))

    def _in_span(self) -> str:
        """Return the condition that a line has a time and is not odd."""
        times = self._times()
        if not times.odd:
            return "timestamp IS NOT NULL"
        return f"timestamp BETWEEN {literal(str(times.first))}::TIMESTAMP AND {literal(str(times.last))}::TIMESTAMP"

    def _histogram(self) -> tuple[Bin, ...]:
        counts = dict(self._rows(f"SELECT {BAR}, count(*) FROM {self._table} GROUP BY 1"))
        if not counts:
            return ()
        bars = range(min(counts), max(counts) + 1)
        return tuple(Bin(edge(bar), edge(bar + 1), counts.get(bar, 0)) for bar in bars)

    def groups(self, by: Sequence[str], limit: int | None = None) -> Groups:
        """Return requests by the fields *by*, at most *limit* groups, those first that took the most time together."""
        if limit is None or self._are_few(by, limit):
            rows = self._rows(f"SELECT {keys_of(by)}, {TOTALS}, {self._quantiles} FROM {self._table} GROUP BY ALL")
            if limit is None or len(rows) <= limit:
                everything = sum(row[len(by) + 3] or 0.0 for row in rows)
                found = (group_of(row[: len(by)], row[len(by) :], everything, self.chosen) for row in rows)
                return Groups(tuple(by), tuple(sorted(found, key=most_time_first)), None, len(rows))
        return self._best_groups(by, limit)

    def _are_few(self, by: Sequence[str], limit: int) -> bool:
        """Return whether there are probably few groups. An estimate costs much less than a count."""
        keys = ", ".join(map(key_of, by))
        ((estimate,),) = self._rows(f"SELECT approx_count_distinct(hash({keys})) FROM {self._table}")
        return bool(estimate <= 2 * limit)

    def _best_groups(self, by: Sequence[str], limit: int) -> Groups:
        """Return *limit* groups, and the others as one row, without fetching the figures of each group."""
        ranking = f"SELECT {keys_of(by)}, sum(duration_seconds * {WEIGHT}) AS together FROM {self._table} GROUP BY ALL"
        ((total, everything),) = self._rows(f"SELECT count(*), sum(together) FROM ({ranking})")
        tie = ", ".join(f"k{number} NULLS LAST" for number in range(len(by)))
        rows = self._rows(
            f"WITH wanted AS ({ranking} ORDER BY together DESC, {tie} LIMIT {int(limit)})"
            f" SELECT {wanted_keys(by)}, {TOTALS}, {self._quantiles}, wanted.together IS NULL"
            f" FROM {self._table} AS r LEFT JOIN wanted ON {same_keys(by)} GROUP BY ALL"
        )
        kept, others = [], None
        for row in rows:
            group = group_of(row[: len(by)], row[len(by) :], everything, self.chosen)
            if row[-1]:
                others = group
            else:
                kept.append(group)
        return Groups(tuple(by), tuple(sorted(kept, key=most_time_first)), others, total)

    def slowest(self, limit: int | None) -> tuple[SlowRequest, ...]:
        """Return the requests that took longest, at most *limit*."""
        names = self.kind.slow_fields
        rows = self._rows(
            f"SELECT duration_seconds, {', '.join(map(quoted, names))} FROM {self._table}"
            f" ORDER BY duration_seconds DESC, timestamp, {self.kind.id} LIMIT ?",
            [limit],
        )
        return tuple(SlowRequest(seconds, _named(names, values)) for seconds, *values in rows)

    def course(self, every: float) -> tuple[Slice, ...]:
        """Return the time span cut into slices of *every* seconds. A line without a time, or an odd one, is in none."""
        step = max(round(every * 1_000_000), 1)
        rows = self._rows(
            f"SELECT epoch_us(timestamp) // {step}, {TOTALS}, {self._quantiles} FROM {self._table}"
            f" WHERE {self._in_span()} GROUP BY 1"
        )
        if not rows:
            return ()
        found = {row[0]: row[1:] for row in rows}
        slices = []
        for number in range(min(found), max(found) + 1):
            start, end = (_EPOCH + dt.timedelta(microseconds=one * step) for one in (number, number + 1))
            if number in found:
                requests, errors, _ = totals_of(found[number][:4])
                slices.append(Slice(start, end, requests, errors, quantiles_of(found[number][4:], self.chosen)))
            else:
                slices.append(Slice(start, end, 0, None, Quantiles(0)))
        return tuple(slices)

    def outcomes(self) -> tuple[Count, ...]:
        """Return requests by outcome, the most frequent first."""
        rows = self._rows(
            f"SELECT outcome, sum({WEIGHT}) FROM {self._table} WHERE outcome IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return tuple(Count(name, round(weight)) for name, weight in rows)

    def heat_map(self, every: float) -> HeatMap | None:
        """Return how many lines took how long when, in columns of *every* seconds; None if no line has a time."""
        step = max(math.ceil(every * 1_000_000), 1)
        rows = self._rows(
            f"SELECT epoch_us(timestamp) // {step}, {BAR}, count(*) FROM {self._table}"
            f" WHERE {self._in_span()} GROUP BY 1, 2"
        )
        if not rows:
            return None
        counts = {(column, bar): number for column, bar, number in rows}
        columns, bars = ({key[axis] for key in counts} for axis in (0, 1))
        across = range(min(columns), max(columns) + 1)
        up = range(min(bars), max(bars) + 1)
        return HeatMap(
            tuple(_EPOCH + dt.timedelta(microseconds=number * step) for number in (*across, across[-1] + 1)),
            tuple(edge(bar) for bar in (*up, up[-1] + 1)),
            tuple(tuple(counts.get((column, bar), 0) for bar in up) for column in across),
        )

    def failures(self, limit: int) -> tuple[tuple[ErrorRow, ...], int]:
        """Return failed requests by type, status and keys, the most frequent first, and the number of rows."""
        by = ("error_type", "status", "outcome", *self.kind.by)
        keys = ", ".join(by)
        ((total,),) = self._rows(f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {self._table} WHERE {FAILED})")
        rows = self._rows(
            f"SELECT sum({WEIGHT}), {keys}, arg_max(error_message, timestamp), max(timestamp),"
            f" arg_max({self.kind.id}, timestamp) FROM {self._table} WHERE {FAILED}"
            f" GROUP BY {keys} ORDER BY 1 DESC, {keys} LIMIT ?",
            [limit],
        )
        found = [
            ErrorRow(round(weight), error, message, status, outcome, tuple(own), utc(last), newest)
            for weight, error, status, outcome, *own, message, last, newest in rows
        ]
        return tuple(found), total

    def services(self) -> tuple[Count, ...]:
        """Return the services that the lines name with their numbers of lines, the most frequent first."""
        rows = self._rows(
            f"SELECT service, count(*) FROM {self._table} WHERE service IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return tuple(Count(name, lines) for name, lines in rows)

    @property
    def _quantiles(self) -> str:
        return quantiles(self.chosen)
