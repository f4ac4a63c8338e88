"""
The columns of a pack: `Layout`, which also makes the SQL that puts lines together again.

Read. The order of the columns is the order of the keys in a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from obs_middleware.read.files.columns import literal, quoted
from obs_middleware.read.packs.codecs import CODECS

__all__ = ["FORM", "KEPT", "KEY", "LINE", "NULLS", "RAW", "SAME", "Column", "Layout", "names_of", "rows_of"]

RAW: Final = "_line"
"""The column of lines that are kept as text."""
NULLS: Final = "_null"
"""The column with the numbers of the columns whose value is null in the line, which is not the same as missing."""
KEY: Final = "obs_middleware.pack"
"""The key of the description in the metadata of the Parquet file."""
LINE, KEPT, SAME = "_obs_line", "_obs_kept", "_obs_same"
"""In queries: the line, whether the pack keeps it as text, and whether the columns give it back."""
FORM: Final = 1
"""The form of packs. A reader refuses others."""
_FILL: Final = "{}"
"""In a message, in the place of the duration."""

Path = tuple[str, ...]


class Column(NamedTuple):
    """
    A column of a pack.

    Attributes:
        path: The keys from the root of a line to the value.
        name: The name of the column.
        codec: One of `CODECS`.
        nullable: Whether some lines have null as the value.
    """

    path: Path
    name: str
    codec: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """
    The columns of a pack, in the order of the keys.

    Attributes:
        columns: The columns.
        message: The name of the column whose texts have `_FILL` for the duration; empty without one.
        duration: The column of the duration in the message.
        scale: The duration's units in a second.
        day: The day of all lines of the pack that have an event id, if these ids are all different; empty otherwise.
            Layouts with different days are equal.
    """

    columns: tuple[Column, ...] = ()
    message: str = ""
    duration: str = ""
    scale: float = 1.0
    day: str = field(default="", compare=False)

    def json(self) -> str:
        """Return the description for the metadata of the file."""
        return json.dumps(
            {
                "form": FORM,
                "columns": self.columns,
                "message": self.message,
                "duration": self.duration,
                "scale": self.scale,
                "day": self.day,
            }
        )

    @classmethod
    def of(cls, found: dict[str, Any]) -> Layout:
        """Return the layout that `json` has described."""
        columns = tuple(Column(tuple(path), *others) for path, *others in found["columns"])
        fields = ("message", "duration", "scale")
        return cls(columns, **{name: found[name] for name in fields}, day=found.get("day", ""))

    def filled(self, column: Column, value: str) -> str:
        """Return the SQL of *value*, a value of *column*, with the duration in its place."""
        if column.name != self.message:
            return value
        return f"replace({value}, {literal(_FILL)}, {self._seconds()})"

    def emptied(self, value: str, seconds: str) -> str:
        """Return the SQL of the text *value* without its *seconds*, if `filled` can bring them back."""
        shown = f"printf('%.4f', try_cast({seconds} AS DOUBLE) / {self.scale})"
        return (
            f"CASE WHEN contains({value}, {literal(_FILL)}) THEN NULL"
            f" ELSE coalesce(replace({value}, {shown}, {literal(_FILL)}), {value}) END"
        )

    def _seconds(self) -> str:
        (column,) = (one for one in self.columns if one.name == self.duration)
        number = CODECS[column.codec].decode.format(quoted(column.name))
        return f"coalesce(printf('%.4f', try_cast({number} AS DOUBLE) / {self.scale}), {literal(_FILL)})"

    def json_of(self, column: Column) -> str:
        """Return the SQL of the text of JSON of a value."""
        codec = CODECS[column.codec]
        value = codec.decode.format(self.filled(column, quoted(column.name)))
        if not column.nullable:
            return value
        return (
            f"coalesce({value}, CASE WHEN contains({quoted(NULLS)}, {literal(self.null_of(column))}) THEN 'null' END)"
        )

    def null_of(self, column: Column) -> str:
        """Return what `NULLS` contains if the value is null."""
        return f",{self.columns.index(column)},"

    def text_of(self, column: Column) -> str:
        """Return the SQL of a value as text."""
        return CODECS[column.codec].text.format(self.filled(column, quoted(column.name)))

    def line(self) -> str:
        """Return the SQL of a line: the text that was kept, or else the object that the columns make."""
        return f"coalesce({quoted(RAW)}, {self.object_at(())})"

    def lines(self, paths: str, condition: str = "true") -> str:
        """Return the SQL of the lines of packs in their order, in the column ``line``; *paths* is a list in SQL."""
        return f"SELECT {self.line()} AS line FROM {rows_of(paths)} WHERE {condition}"

    def object_at(self, parent: Path) -> str:
        """Return the SQL of the object at *parent*; null if none of its keys is there."""
        pieces = []
        for key in dict.fromkeys(one.path[len(parent)] for one in self.columns if one.path[: len(parent)] == parent):
            path = (*parent, key)
            leaf = next((one for one in self.columns if one.path == path), None)
            value = self.object_at(path) if leaf is None else self.json_of(leaf)
            pieces.append(f"{literal(json.dumps(key, ensure_ascii=False) + ':')} || {value} || ','")
        if not pieces:
            return "NULL::VARCHAR"
        # concat leaves out what is null, and the last comma goes.
        return f"'{{' || nullif(concat({', '.join(pieces)}), '')[:-2] || '}}'"


def rows_of(paths: str) -> str:
    """Return the SQL of the rows of packs; *paths* is a list in SQL."""
    # Folders like day=2026-11-02 and tenant=acme would hide the columns with these names.
    return f"read_parquet({paths}, hive_partitioning = false)"


def names_of(paths: Iterable[Path]) -> list[str]:
    """Return a name for the column of each path, different from the others in any letter case."""
    taken = {RAW, NULLS, LINE, KEPT, SAME}
    names = []
    for path in paths:
        name = whole = ".".join(path)
        number = 2
        while name.lower() in taken:
            name, number = f"{whole}_{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names
