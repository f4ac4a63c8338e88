"""
The columns of a pack as the objects that `json_rows` reads: `packed_objects`.

Read. Only columns that a question needs are read, and times and numbers need no parsing.
"""

from __future__ import annotations

from typing import Any, Final

from obs_middleware.read.files.columns import Columns, quoted, type_text
from obs_middleware.read.packs.layout import KEPT, LINE, RAW, Column, Layout, Path, rows_of
from obs_middleware.read.schemas import SCHEMAS

__all__ = ["packed_objects", "schemas_in"]

_TIME, _NUMBER = "time", "whole"
_NUMBERS: Final = frozenset({_NUMBER, "decimal"})
_OUTCOMES: Final = frozenset(schema.places["outcome"].path for schema in SCHEMAS.values())


def schemas_in(layout: Layout) -> tuple[str, ...]:
    """Return the schemas of the lines in the columns."""
    codecs = {column.path: column.codec for column in layout.columns}
    found = []
    for name, schema in SCHEMAS.items():
        timestamp, level, message = (schema.places[field].path for field in ("timestamp", "level", "message"))
        # The level of one schema is in the place of the status of another. A number is a status.
        if {timestamp, message} <= codecs.keys() and codecs.get(level, _NUMBER) not in _NUMBERS:
            found.append(name)
    return tuple(found)


def packed_objects(layout: Layout, columns: Columns, paths: str, *, spoken: bool) -> tuple[Columns, str]:
    """
    Return the columns and the SQL of a table of them, with `LINE` and `KEPT`.

    The columns differ from *columns* only where a pack has times.

    Args:
        layout: The layout of the packs.
        columns: Key -> SQL type, or a mapping of the same kind for an object.
        paths: The packs, a list in SQL.
        spoken: Whether messages are needed where the line has an outcome.
    """
    known = {column.path: column for column in layout.columns}
    reader = _Reader(layout, known, spoken)
    found = {key: reader.typed((key,), node) for key, node in columns.items()}
    values = ", ".join(f"{reader.value((key,), node)} AS {quoted(key)}" for key, node in found.items())
    whole = f"{layout.line()} AS {LINE}, {quoted(RAW)} IS NOT NULL AS {KEPT}"
    return found, f"(SELECT {values}, {whole} FROM {rows_of(paths)})"


class _Reader:
    def __init__(self, layout: Layout, known: dict[Path, Column], spoken: bool) -> None:
        self._layout = layout
        self._known = known
        self._spoken = spoken

    def typed(self, path: Path, node: Any) -> Any:
        """Return *node* with the type of times as the pack has it."""
        if isinstance(node, dict):
            return {key: self.typed((*path, key), inner) for key, inner in node.items()}
        column = self._known.get(path)
        return "TIMESTAMP" if column is not None and column.codec == _TIME and node == "VARCHAR" else node

    def value(self, path: Path, node: Any) -> str:
        """Return the SQL of the value at *path*."""
        if isinstance(node, dict):
            inside = ", ".join(f"{quoted(key)}: {self.value((*path, key), inner)}" for key, inner in node.items())
            return f"{{{inside}}}"
        column = self._known.get(path)
        if column is None:
            return self._missing(path, node)
        if node == "JSON":
            return f"({self._layout.json_of(column)})::JSON"
        if node == "TIMESTAMP":
            return quoted(column.name)
        if column.codec in _NUMBERS and node != "VARCHAR":
            return f"try_cast({quoted(column.name)} AS {node})"
        text = self._text(column)
        return text if node == "VARCHAR" else f"try_cast({text} AS {node})"

    def _missing(self, path: Path, node: str) -> str:
        """Return the SQL for a path without a column: an object is wanted as text, or there is no value."""
        if node == "JSON" and any(one[: len(path)] == path for one in self._known):
            return f"({self._layout.object_at(path)})::JSON"
        return f"NULL::{type_text(node)}"

    def _text(self, column: Column) -> str:
        """Return the SQL of a value as text; of a message only where it is needed, because it is put together."""
        text = self._layout.text_of(column)
        if column.name != self._layout.message or self._spoken:
            return text
        outcomes = [quoted(self._known[path].name) for path in _OUTCOMES if path in self._known]
        missing = " AND ".join(f"{name} IS NULL" for name in outcomes) or "true"
        return f"CASE WHEN ({missing}) OR {quoted(self._layout.duration)} IS NULL THEN {text} END"
