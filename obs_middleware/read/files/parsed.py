"""
The fields of lines that are in memory: `LineParser`.

Read. It understands the same lines as the files, one batch after the other, so that a pipe is shown as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from obs_middleware.read.files.columns import quoted
from obs_middleware.read.files.lines import line_rows
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.files.wrappers import line_inside, parsed, records_in
from obs_middleware.read.kinds import KINDS, REQUEST
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.where.conditions import Condition

__all__ = ["LineParser"]


class LineParser:
    """
    Parses lines and drops those that do not pass a condition. Without a condition, it keeps lines of any program.

    Args:
        connection: The connection to DuckDB. The parser works beside other queries on it.
        condition: The filters.
        fields: The fields that `ParsedLine` has, with ``level`` and ``duration_seconds`` among them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, condition: Condition, fields: Sequence[str]) -> None:
        self._fields = fields
        wanted = predicate(condition)
        self._filters = bool(wanted.fields)
        # The parameters of the condition come before the lines in the text of the query.
        self._parameters = wanted.parameters
        rows = line_rows(frozenset({*fields, *wanted.fields}), "SELECT unnest(?::VARCHAR[]) AS line", keep=True)
        self._query = (
            f"SELECT _obs_line, CASE WHEN _obs_unit AND duration_seconds >= 0"
            f" THEN coalesce(kind, '{REQUEST.name}') END, ({wanted.sql}) IS TRUE,"
            f" {', '.join(map(quoted, fields))} FROM ({rows})"
        )
        self._connection = connection.cursor()
        for setting in ("TimeZone = 'UTC'", "preserve_insertion_order = true", "threads = 1"):
            self._connection.execute(f"SET {setting}")

    def parse(self, lines: Sequence[str]) -> Iterator[ParsedLine]:
        """Yield the lines that pass, in their order."""
        whole = [inner for line in lines for inner in _lines_inside(line)]
        found = self._connection.execute(self._query, [*self._parameters, whole]).fetchall()
        for text, kind, passes, *values in found:
            line = ParsedLine(text, dict(zip(self._fields, values, strict=True)), KINDS.get(kind, kind and REQUEST))
            if not self._filters or (line.is_event and passes):
                yield line


def _lines_inside(line: str) -> list[str]:
    """Return the lines inside the wrapper of another program, or *line* itself."""
    if not line.startswith("{"):
        return [line]
    return [line_inside(record, line) for record in records_in(parsed(line))]
