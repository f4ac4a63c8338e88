"""
Lines that match a condition, unchanged: `matching_lines` and `lines_by_request`.

Read. A file that cannot be read does not keep the others from being read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb

from obs_middleware.read.errors import UnreadableError
from obs_middleware.read.files.lines import line_rows, lines_of, raise_if_out_of_memory
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.sources import Source, copy_of
from obs_middleware.read.remarks import Remarks

__all__ = ["lines_by_request", "matching_lines"]

_Match = tuple[str, dt.datetime | None, str | None]
"""A line, its time and its request id."""


def matching_lines(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    remarks: Remarks | None = None,
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
        others: Whether lines of other programs are among them, if they match.

    Raises:
        SourceError: No file can be read.
    """
    for line, _, _ in _of_all(connection, sources, predicate, scratch, None, remarks, others=others):
        yield line


def lines_by_request(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    containing: str,
    remarks: Remarks | None = None,
) -> dict[str, list[str]]:
    """
    Return the original lines that match *predicate* and have a request id: id -> lines, in the order of time.

    Args:
        connection: The connection to DuckDB.
        sources: The files.
        predicate: The condition.
        scratch: Folder for copies of damaged files.
        containing: A text that every match contains, to exclude other lines cheaply.
        remarks: Gets the files that cannot be read.

    Raises:
        SourceError: No file cannot be read.
    """
    # A line without a time stays behind the line before it.
    latest, keyed = dt.datetime.min, []  # noqa: DTZ901 -- times from DuckDB are UTC, without a zone
    for line, when, request_id in _of_all(connection, sources, predicate, scratch, containing, remarks):
        latest = when or latest
        keyed.append((latest, request_id, line))
    found: dict[str, list[str]] = {}
    for _, request_id, line in sorted(keyed, key=lambda one: one[0]):
        if request_id is not None:
            found.setdefault(request_id, []).append(line)
    return found


def _of_all(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    containing: str | None,
    remarks: Remarks | None,
    *,
    others: bool = False,
) -> Iterator[_Match]:
    remarks = Remarks() if remarks is None else remarks
    faults: list[str] = []
    for source in sources:
        try:
            yield from _matching(connection, source, predicate, scratch, containing, remarks, others=others)
        except UnreadableError as error:
            faults.append(str(error))
    if faults and len(faults) == len(sources):
        raise UnreadableError("; ".join(faults))
    remarks.faults.extend(faults)


def _matching(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    predicate: Predicate,
    scratch: Path,
    containing: str | None,
    remarks: Remarks,
    *,
    others: bool,
) -> Iterator[_Match]:
    """Yield the lines of a source that match, with their times and request ids."""
    connection.execute("SET preserve_insertion_order = true")
    fields = frozenset({"timestamp", "request_id", *predicate.fields})
    condition, parameters = ("true", []) if containing is None else ("contains(line, ?)", [containing])
    rows = line_rows(fields, lines_of([source], condition), keep=True)
    try:
        result = connection.execute(
            f'SELECT _obs_line, "timestamp", request_id FROM ({rows})'
            f" WHERE ({others} OR _obs_request OR level IS NOT NULL) AND ({predicate.sql})",
            [*parameters, *predicate.parameters],
        )
    except duckdb.Error as error:
        raise_if_out_of_memory(error)
        if source.path.parent == scratch and source.compression == "none":
            raise UnreadableError(f"{source.name}: {str(error).splitlines()[0]}") from error
        copy = copy_of(source, scratch, remarks)
        yield from _matching(connection, copy, predicate, scratch, containing, remarks, others=others)
        return
    while batch := result.fetchmany(_BATCH):
        yield from batch


_BATCH: Final = 1_000
