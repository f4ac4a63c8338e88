"""
The rows of a pack: `encoded` makes them of lines, `lines_in` makes lines of them.

Read. Columns are used only for a line that they give back character for character.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from obs_middleware.read.errors import UnreadableError
from obs_middleware.read.files.columns import literal, quoted
from obs_middleware.read.packs.codecs import CODECS
from obs_middleware.read.packs.layout import FORM, KEY, LINE, NULLS, RAW, SAME, Layout, rows_of
from obs_middleware.read.packs.plan import IS_OBJECT, leaf, structure_of
from obs_middleware.read.packs.text import ODD
from obs_middleware.read.schemas import SCHEMAS

__all__ = ["PARQUET", "encoded", "have_different_ids", "kept_lines", "layout_of", "lines_in", "save"]

PARQUET: Final = b"PAR1"
"""The first bytes of a Parquet file."""

_BATCH: Final = 10_000
_SAMPLE: Final = 200
_OPTIONS: Final = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 9, PARQUET_VERSION V2, ROW_GROUP_SIZE 200000"


def save(connection: duckdb.DuckDBPyConnection, lines: str, layout: Layout, path: Path) -> None:
    """Write *lines*, which is SQL of a query with the column ``line``, as a pack."""
    about = f"KV_METADATA {{{quoted(KEY)}: {literal(layout.json())}}}"
    connection.execute(f"COPY ({encoded(lines, layout)}) TO {literal(str(path))} ({_OPTIONS}, {about})")


def have_different_ids(connection: duckdb.DuckDBPyConnection, lines: str, layout: Layout, day: dt.date) -> bool:
    """
    Return whether *lines* with an event id have different ids and times of the *day*.

    Then no reader needs to look for lines that are there twice. It is false if that is not easy to say.
    """
    known = {column.path for column in layout.columns}
    ids, times = ([path for path in _places_of(field) if path in known] for field in ("event_id", "timestamp"))
    if len(ids) != 1 or len(times) != 1:
        return False
    of_day = f"starts_with(time, {literal(json.dumps(str(day))[:-1])})"
    found = connection.execute(
        f"SELECT count(*) = count(DISTINCT id) AND count(*) = count(*) FILTER ({of_day})"
        f" FROM (SELECT {leaf(ids[0])} AS id, {leaf(times[0])} AS time"
        " FROM (SELECT CASE WHEN starts_with(line, '{') THEN"
        f" TRY(json_transform(line, {structure_of([*ids, *times])})) END AS j FROM ({lines})))"
        " WHERE id IS NOT NULL"
    ).fetchone()
    return bool(found and found[0])


def _places_of(field: str) -> list[tuple[str, ...]]:
    """Return the places of a field in all schemas."""
    found = (places[field].path for row in SCHEMAS.values() for places in (row.places, row.second) if field in places)
    return list(dict.fromkeys(found))


def layout_of(connection: duckdb.DuckDBPyConnection, path: Path) -> Layout | None:
    """
    Return the layout of a pack; None for any other Parquet file.

    Raises:
        UnreadableError: It is damaged, or in a form that this version does not know.
    """
    try:
        found = connection.execute(
            "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?", [_one(path), KEY]
        ).fetchone()
    except duckdb.Error as error:
        raise UnreadableError(f"{path}: {str(error).splitlines()[0]}") from error
    if found is None:
        return None
    about = json.loads(found[0])
    if about["form"] != FORM:
        raise UnreadableError(f"{path}: packed by another version: update obs-middleware")
    return Layout.of(about)


def encoded(lines: str, layout: Layout) -> str:
    """Return the SQL of the rows of a pack for *lines*, which is SQL of a query with the column ``line``."""
    if not layout.columns:
        return f"SELECT line AS {quoted(RAW)} FROM ({lines})"
    values = []
    for column in layout.columns:
        codec = CODECS[column.codec]
        value = codec.encode.format(leaf(column.path))
        if column.name == layout.message:
            (duration,) = (one for one in layout.columns if one.name == layout.duration)
            value = layout.emptied(value, leaf(duration.path))
        values.append(f"{value} AS {quoted(column.name)}")
    nulls = [
        f"CASE WHEN contains({LINE}, {literal(_null_text(column.path[-1]))}) THEN {literal(layout.null_of(column))} END"
        for column in layout.columns
        if column.nullable
    ]
    values.append(f"nullif(concat({', '.join(['NULL::VARCHAR', *nulls])}), '') AS {quoted(NULLS)}")
    names = [*(column.name for column in layout.columns), NULLS]
    kept = ", ".join(f"CASE WHEN {SAME} THEN {quoted(name)} END AS {quoted(name)}" for name in names)
    return (
        f"WITH opened AS (SELECT line AS {LINE}, TRY(json_transform({IS_OBJECT},"
        f" {structure_of([column.path for column in layout.columns])})) AS j FROM ({lines})),"
        f" coded AS (SELECT {LINE}, {', '.join(values)}, NULL::VARCHAR AS {quoted(RAW)} FROM opened),"
        f" compared AS (SELECT *, coalesce({layout.line()} = {LINE}, false) AS {SAME} FROM coded)"
        f" SELECT {kept}, CASE WHEN NOT {SAME} THEN {LINE} END AS {quoted(RAW)} FROM compared"
    )


def _null_text(key: str) -> str:
    return f'"{key}":null'


def lines_in(connection: duckdb.DuckDBPyConnection, path: Path, layout: Layout) -> Iterator[str]:
    """Yield the lines of a pack, in their order."""
    cursor = connection.cursor()
    cursor.execute("SET preserve_insertion_order = true")
    result = cursor.execute(layout.lines("?"), [_one(path)])
    while batch := result.fetchmany(_BATCH):
        for (line,) in batch:
            yield line


def kept_lines(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Return some of the lines that a pack keeps as text, those that are not text first."""
    found = connection.execute(
        f"SELECT {quoted(RAW)} FROM {rows_of('?')} WHERE {quoted(RAW)} IS NOT NULL"
        f" ORDER BY NOT starts_with({quoted(RAW)}, ?) LIMIT {_SAMPLE}",
        [_one(path), ODD],
    )
    return [line for (line,) in found.fetchall()]


def _one(path: Path) -> str:
    """Return the name for DuckDB, with brackets around the characters that it reads as patterns."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))
