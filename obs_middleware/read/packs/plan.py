"""
The layout for the lines of a log: `layout_for`.

Read. Lines of this package get columns. Lines of others are kept as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb

from obs_middleware.read.files.columns import literal
from obs_middleware.read.files.wrappers import is_docker, parsed, program_of
from obs_middleware.read.packs.codecs import CODECS, GUESSES, PLAIN_JSON, PLAIN_TEXT
from obs_middleware.read.packs.layout import Column, Layout, names_of
from obs_middleware.read.packs.order import Keys, Path
from obs_middleware.read.schemas import SCHEMAS

__all__ = ["IS_OBJECT", "layout_for", "leaf", "structure_of"]

IS_OBJECT: Final = "CASE WHEN starts_with(line, '{') AND json_valid(line) THEN line END"
"""The SQL of a line that is an object of JSON; null for others."""

_MOST_STRUCTURES: Final = 400
_DEEPEST: Final = 50
"""Lines with objects that are nested deeper are kept as text."""
_LINES_LOOKED_AT: Final = 30_000
"""Lines of a rarer structure are kept as text. Looking at all lines takes longer than all the rest."""
_VALUES_LOOKED_AT: Final = 5_000
_SAMPLE: Final = "pack_sample"
_FITTING: Final = 0.99
"""The share of the values in the sample that a codec has to fit."""
_TEXT, _NULL = "VARCHAR", "NULL"


def layout_for(connection: duckdb.DuckDBPyConnection, lines: str) -> Layout:
    """
    Return the layout for the lines in the table *lines*.

    Args:
        connection: The connection to DuckDB.
        lines: The name of a table with the column ``line``.
    """
    _take_sample(connection, lines, _LINES_LOOKED_AT)
    keys = Keys()
    types: dict[Path, set[str]] = {}
    for structure in _structures(connection):
        if keys.add(structure):
            for path, kind in _types(structure, ()):
                types.setdefault(path, set()).add(kind)
    paths = list(keys.paths())
    if not paths:
        return Layout()
    codecs = _codecs(connection, paths, types)
    columns = tuple(
        Column(path, name, codec, _NULL in types[path])
        for path, name, codec in zip(paths, names_of(paths), codecs, strict=True)
    )
    return _with_message(columns)


def _structures(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Yield the structures of the lines of this package, the most frequent first."""
    found = connection.execute(
        f"SELECT json_structure({IS_OBJECT})::VARCHAR AS structure, any_value(line)"
        f" FROM {_SAMPLE} GROUP BY structure HAVING structure IS NOT NULL"
        f" ORDER BY count(*) DESC, structure LIMIT {_MOST_STRUCTURES}"
    ).fetchall()
    for text, line in found:
        structure, record = parsed(text), parsed(line)
        if isinstance(structure, dict) and not is_docker(record) and program_of(record) is None and _is_ours(structure):
            yield structure


def _take_sample(connection: duckdb.DuckDBPyConnection, lines: str, most: int) -> None:
    """Make the table `_SAMPLE` of at most about *most* lines from all parts of the log, the same each time."""
    (total,) = connection.execute(f"SELECT count(*) FROM {lines}").fetchone() or (0,)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_SAMPLE} AS SELECT line FROM {lines} WHERE rowid % {max(total // most, 1)} = 0"
    )


def _is_ours(structure: dict[str, Any]) -> bool:
    try:
        paths = {path for path, _ in _types(structure, ())}
    except RecursionError:
        return False
    return max(map(len, paths), default=0) <= _DEEPEST and any(
        {schema.places[field].path for field in ("timestamp", "level", "message")} <= paths
        for schema in SCHEMAS.values()
    )


def _types(structure: dict[str, Any], parent: Path) -> Iterator[tuple[Path, str]]:
    for key, inner in structure.items():
        path = (*parent, key)
        if isinstance(inner, dict):
            yield from _types(inner, path)
        else:
            yield path, inner if isinstance(inner, str) else "LIST"


def structure_of(paths: Sequence[Path]) -> str:
    """Return the SQL literal of the structure for ``json_transform``, with the texts of JSON as values."""
    tree: dict[str, Any] = {}
    for path in paths:
        here = tree
        for key in path[:-1]:
            here = here.setdefault(key, {})
        here[path[-1]] = "JSON"
    return literal(json.dumps(tree))


def leaf(path: Path) -> str:
    """Return the SQL of the text at *path* in ``j``, the result of ``json_transform``."""
    return f"CAST(j{''.join(f'[{literal(key)}]' for key in path)} AS VARCHAR)"


def _codecs(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], types: dict[Path, set[str]]) -> list[str]:
    """Return the codec for each path: the first that fits nearly all values in a sample."""
    tests = []
    for path in paths:
        value = leaf(path)
        tests.append(f"count({value})")
        for name in GUESSES:
            coded = CODECS[name].decode.format(f"({CODECS[name].encode.format(value)})")
            tests.append(f"count(*) FILTER ({coded} = {value})")
    counts = (
        connection.execute(
            f"SELECT {', '.join(tests)} FROM (SELECT TRY(json_transform({IS_OBJECT}, {structure_of(paths)})) AS j"
            f" FROM (FROM {_SAMPLE} LIMIT {_VALUES_LOOKED_AT}))"
        ).fetchone()
        or ()
    )
    step = 1 + len(GUESSES)
    found = []
    for number, path in enumerate(paths):
        total, *fitting = counts[number * step : (number + 1) * step]
        plain = PLAIN_TEXT if types[path] <= {_TEXT, _NULL} else PLAIN_JSON
        fits = (name for name, n in zip(GUESSES, fitting, strict=True) if total and n >= _FITTING * total)
        found.append(next(fits, plain))
    return found


def _with_message(columns: tuple[Column, ...]) -> Layout:
    """Return the layout with the duration taken out of the message, if there is one of both."""
    known = {column.path: column for column in columns}
    for schema in SCHEMAS.values():
        message = known.get(schema.places["message"].path)
        place = schema.places["duration_seconds"]
        duration = known.get(place.path)
        if message and duration and message.codec == PLAIN_TEXT and duration.codec in {"whole", "decimal"}:
            return Layout(columns, message.name, duration.name, 1e9 if place.form == "ns" else 1.0)
    return Layout(columns)
