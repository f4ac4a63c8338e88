"""
Lines that match a condition: `matching_lines` without their fields, `parsed_lines` with them.

Read. A file that cannot be read does not keep the others from being read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final

import duckdb

from obs_middleware.read.errors import UnreadableError
from obs_middleware.read.files.columns import literal, quoted
from obs_middleware.read.files.lines import containing_sql, line_rows, lines_of, packed_lines, raise_if_out_of_memory
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.sources import Source, copy_of
from obs_middleware.read.files.together import is_small, together
from obs_middleware.read.kinds import KINDS, REQUEST
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.where.texts import Texts

__all__ = ["matching_lines", "parsed_lines"]

_Match = tuple[str, str | None, *tuple[Any, ...]]
"""A line, the name of its kind if it is the line of a unit of work, and its fields."""


def matching_lines(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    remarks: Remarks | None = None,
    containing: Texts = (),
    *,
    others: bool = False,
) -> Iterator[str]:
    """
    Yield the original lines that match *predicate*, in the order of the files.

    Args:
        connection: The connection to DuckDB.
        sources: The files.
        predicate: The condition.
        scratch: Folder for copies of damaged files.
        remarks: Gets the files that cannot be read.
        containing: Texts that every match contains, to exclude other lines cheaply; see `texts_in`.
        others: Whether lines of other programs are among them, if they match.

    Raises:
        SourceError: No file can be read.
    """
    for line, *_ in _of_all(connection, sources, predicate, scratch, remarks, (), containing, others=others):
        yield line


def parsed_lines(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    fields: Sequence[str],
    containing: Texts = (),
    remarks: Remarks | None = None,
) -> list[ParsedLine]:
    """
    Return the lines that match *predicate*, with *fields*, in the order of time.

    Args:
        connection: The connection to DuckDB.
        sources: The files.
        predicate: The condition.
        scratch: Folder for copies of damaged files.
        fields: The fields, with ``timestamp`` among them.
        containing: Texts that every match contains, to exclude other lines cheaply; see `texts_in`.
        remarks: Gets the files that cannot be read.

    Raises:
        SourceError: No file can be read.
    """
    found = [
        ParsedLine(line, dict(zip(fields, values, strict=True)), KINDS.get(kind or "", REQUEST) if kind else None)
        for line, kind, *values in _of_all(connection, sources, predicate, scratch, remarks, fields, containing)
    ]
    # A line without a time stays behind the line before it.
    latest, times = dt.datetime.min, []  # noqa: DTZ901 -- times from DuckDB are UTC, without a zone
    for one in found:
        latest = one.fields["timestamp"] or latest
        times.append(latest)
    return [one for _, one in sorted(zip(times, found, strict=True), key=lambda pair: pair[0])]


def _of_all(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    remarks: Remarks | None,
    fields: Sequence[str] = (),
    containing: Texts = (),
    *,
    others: bool = False,
) -> Iterator[_Match]:
    remarks = Remarks() if remarks is None else remarks
    rows = _Rows(connection, predicate, scratch, remarks, fields, containing, others)
    faults: list[str] = []
    for _, neighbours in groupby(sources, is_small):  # the order of the files is that of the lines
        with together([*neighbours], scratch) as files:
            for source in files:
                try:
                    yield from rows.of(source)
                except UnreadableError as error:
                    faults.append(str(error))
    if faults and len(faults) == len(sources):
        raise UnreadableError("; ".join(faults))
    remarks.faults.extend(faults)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of the lines that match."""

    connection: duckdb.DuckDBPyConnection
    predicate: Predicate
    scratch: Path
    remarks: Remarks
    fields: Sequence[str]
    containing: Texts
    others: bool

    def of(self, source: Source) -> Iterator[_Match]:
        """Yield the rows of *source*."""
        self.connection.execute("SET preserve_insertion_order = true")
        inside = frozenset({*self.fields, *self.predicate.fields})
        parameters: list[str | float | bool] = [*chain.from_iterable(self.containing)]
        if source.layout is None:
            lines = lines_of([source], containing_sql(self.containing))
        else:
            parameters = [*self.predicate.parameters]
            lines = packed_lines(source, self.predicate)
        rows = line_rows(inside, lines, keep=True)
        kind = f"CASE WHEN _obs_unit AND duration_seconds >= 0 THEN coalesce(kind, {literal(REQUEST.name)}) END"
        columns = ", ".join(["_obs_line", kind, *map(quoted, self.fields)])
        try:
            result = self.connection.execute(
                f"SELECT {columns} FROM ({rows})"
                f" WHERE ({self.others} OR _obs_unit OR level IS NOT NULL) AND ({self.predicate.sql})",
                [*parameters, *self.predicate.parameters],
            )
        except duckdb.Error as error:
            raise_if_out_of_memory(error)
            if source.path.parent == self.scratch and source.compression == "none":
                raise UnreadableError(f"{source.name}: {str(error).splitlines()[0]}") from error
            yield from self.of(copy_of(source, self.scratch, self.remarks))
            return
        while batch := result.fetchmany(_BATCH):
            yield from batch


_BATCH: Final = 1_000
