"""One run of a command over files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.blocks import block_fields
from obs_middleware.read.files.database import connect
from obs_middleware.read.files.hints import hint_of
from obs_middleware.read.files.matching import matching_lines, parsed_lines
from obs_middleware.read.files.predicate import Predicate, check_predicate, predicate
from obs_middleware.read.files.requests import FileRequests
from obs_middleware.read.files.sources import Source, find_sources, scratch_folder
from obs_middleware.read.files.table import read_log
from obs_middleware.read.kinds import REQUEST, Kind
from obs_middleware.read.parsed_line import ParsedLine
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.where.conditions import Condition, Every, Missing, Not, fields_of
from obs_middleware.read.where.reasons import none_passes
from obs_middleware.read.where.texts import texts_in

__all__ = ["FileSession", "open_files"]

Watch = Callable[[duckdb.DuckDBPyConnection], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class FileSession:
    """
    One run of a command over files: a DuckDB connection and a folder for data that does not fit into memory.

    Attributes:
        connection: The connection to DuckDB.
        scratch: The folder.
        condition: The filters.
        now: The time that ``--since 2h`` counts back from.
        kind: The kind of the units of work that `requests` returns.
        watch: Called with the connection; the result is entered while files are read, to show the progress.
        remarks: Remarks about the files that were read so far.
    """

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    condition: Condition
    now: dt.datetime
    kind: Kind = REQUEST
    watch: Watch = nullcontext
    remarks: Remarks = field(default_factory=Remarks)
    _tables: list[str] = field(default_factory=list)
    _sources: dict[tuple[str, ...], list[Source]] = field(default_factory=dict)

    def sources(self, names: Iterable[str]) -> list[Source]:
        """Return the files that match *names*; see `find_sources`. A pipe is read only once."""
        key = tuple(names)
        if key not in self._sources:
            self._sources[key] = find_sources(key, self.scratch, remarks=self.remarks)
        return self._sources[key]

    def requests(
        self, names: Sequence[str], fields: Iterable[str], chosen: Mapping[str, float] | None = None
    ) -> FileRequests:
        """
        Read the files that match *names*. Every call fills a new table.

        Raises:
            SourceError: There is no request line, or none passes the filters.
        """
        self._tables.append(f"requests_{len(self._tables)}")
        sources = self.sources(names)
        with self.watch(self.connection):
            log = read_log(
                self.connection,
                sources,
                fields,
                predicate(self.condition),
                self.scratch,
                self._tables[-1],
                self.remarks,
                self.kind,
            )
        if not log.requests:
            where = ", ".join(log.sources)
            if log.filtered:
                why = none_passes(log.filtered, self.condition, self._unfiltered(sources), self.kind.name)
                raise SourceError(f"{where}: {why}")
            lines = f"{log.lines:,} line{'' if log.lines == 1 else 's'}"
            hint = _elsewhere(log.elsewhere) or hint_of(sources)
            raise SourceError(f"{where}: no {self.kind.name} line among {lines}{hint}")
        return FileRequests(log, chosen or {})

    def blocks(self, names: Sequence[str]) -> list[str]:
        """Return the fields that may be timed blocks; see `block_fields`."""
        return block_fields(self.connection, self.sources(names), self.scratch)

    def _unfiltered(self, sources: Sequence[Source]) -> Callable[[Condition], bool]:
        """Return a function that tells whether any request in *sources* matches a condition, without the filters."""
        fields = fields_of(self.condition)
        table = f"{self._tables[-1]}_unfiltered"
        read_log(self.connection, sources, fields, Predicate(), self.scratch, table, kind=self.kind)

        def has(condition: Condition) -> bool:
            wanted = predicate(condition)
            sql = f"SELECT 1 FROM {table} WHERE {wanted.sql} LIMIT 1"
            return self.connection.execute(sql, list(wanted.parameters)).fetchone() is not None

        return has

    def lines(self, condition: Condition, names: Sequence[str], *, others: bool = False) -> Iterator[str]:
        """Yield the original lines that match *condition* and the filters; see `matching_lines`."""
        both = Every((condition, self.condition))
        wanted = predicate(both)
        check_predicate(self.connection, wanted)
        yield from matching_lines(
            self.connection, self.sources(names), wanted, self.scratch, self.remarks, texts_in(both), others=others
        )

    def parsed(
        self, condition: Condition, names: Sequence[str], fields: Sequence[str], containing: Sequence[str] = ()
    ) -> list[ParsedLine]:
        """Return the lines that match *condition* and the filters, with *fields*; see `parsed_lines`."""
        both = Every((condition, self.condition))
        texts = [*texts_in(both), *([containing] if containing else [])]
        return parsed_lines(
            self.connection, self.sources(names), predicate(both), self.scratch, fields, texts, self.remarks
        )

    def unknown_fields(self, condition: Condition, names: Sequence[str]) -> list[str]:
        """Return the fields in *condition* that no line has, whatever the filters are."""
        unfiltered = replace(self, condition=Every(), remarks=Remarks())
        fields = sorted(fields_of(condition))
        return [one for one in fields if next(unfiltered.lines(Not(Missing(one)), names), None) is None]

    def count(self, condition: Condition, names: Sequence[str]) -> int:
        """Count the lines that `lines` would yield."""
        return sum(1 for _ in self.lines(condition, names))


def _elsewhere(found: Mapping[Kind, int]) -> str:
    """Return a hint on the units of other kinds, or nothing if there are none."""
    if not found:
        return ""
    lines = " and ".join(f"{n:,} {kind.name} line{'' if n == 1 else 's'}" for kind, n in found.items())
    return f", but {lines}: add --kind {next(iter(found)).name}"


@contextmanager
def open_files(
    condition: Condition,
    now: dt.datetime,
    memory: str | None = None,
    watch: Watch = nullcontext,
    kind: Kind = REQUEST,
) -> Iterator[FileSession]:
    """
    Open a `FileSession`, whose database and folder exist until the end of the block.

    Args:
        condition: The filters.
        now: The time that ``--since 2h`` counts back from.
        memory: Memory that DuckDB may use; see `connect`.
        watch: Shows the progress; see `FileSession`.
        kind: The kind of the units of work that are asked for.

    Raises:
        ExpressionError: *memory* is not a size, or DuckDB rejects *condition*.
    """
    with scratch_folder() as scratch, connect(scratch, memory) as connection:
        check_predicate(connection, predicate(condition))
        yield FileSession(connection, scratch, condition, now, kind, watch)
