"""
Read files into a table: `read_log`, in one pass for all questions.

Read. DuckDB does the reading, in parallel and out of core. Measured on 1,000,000 lines of flat JSON, with DuckDB's
``quantile_cont`` by route over the same file as 1.0: two columns 0.8, the columns of ``stats`` for one schema 1.2, for
all five 1.5; lines as text with ``json_transform`` 2.2; their text alone 0.3. Hence `json_rows`, with the schemas that
were found in samples, and `line_rows` only for lines that it did not understand, or for a file with little JSON.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from obs_middleware.read.errors import UnreadableError
from obs_middleware.read.files.columns import literal, quoted
from obs_middleware.read.files.database import make_table, store_in_file
from obs_middleware.read.files.lines import (
    json_rows,
    kept_lines_of,
    line_rows,
    lines_of,
    not_opening_like,
    raise_if_out_of_memory,
)
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.sources import Source, copy_of
from obs_middleware.read.files.together import together
from obs_middleware.read.kinds import KINDS, REQUEST, Kind
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.schemas import ALL_SCHEMAS

__all__ = ["Log", "read_log"]

_LARGE_BYTES: Final = 1 << 30
"""
From this size of the logs on, their rows are in a file. DuckDB compresses it: 14 bytes a request of ``stats`` in place
of 81 in memory, for some percent more of the time to read.
"""

_TIMES_SMALLER: Final = 8
"""How much smaller a compressed log is, about."""

_AT_ONCE: Final = 2_000_000
"""How many ids are compared at once. More take more memory, and no less time."""

_UNKNOWN, _WANTED, _FILTERED, _OTHER, _UNCLEAR, _FIRST = range(6)
"""Classes of lines. From `_FIRST` on, they are units of the other kinds, in the order of `KINDS`."""
_OF_UNIT: Final = f"_obs_class IN ({_WANTED}, {_FILTERED}) OR _obs_class >= {_FIRST}"


@dataclass(frozen=True, slots=True)
class Log:
    """
    The result of reading: a table with a row for each unit of work of one kind, and counts of the lines.

    Attributes:
        connection: The connection to the DuckDB database with the table.
        table: The name of the table.
        sources: The names of the files.
        requests: The number of rows in the table.
        filtered: Lines of units of the kind that do not pass the filters.
        others: Log lines that are of no unit.
        skipped: Lines that were not understood: of other programs, or damaged.
        repeated: Lines of units that are there again, with the same id of the event. They are in none of the others.
        kind: The kind of the units.
        elsewhere: Lines of units of other kinds: kind -> number.
    """

    connection: duckdb.DuckDBPyConnection
    table: str
    sources: tuple[str, ...]
    requests: int
    filtered: int
    others: int
    skipped: int
    repeated: int = 0
    kind: Kind = REQUEST
    elsewhere: Mapping[Kind, int] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        """The number of all lines."""
        known = self.requests + self.filtered + self.others + self.skipped + self.repeated
        return known + sum(self.elsewhere.values())


def _size_of(source: Source) -> int:
    """Return about how many bytes of lines a source has; 0 if it is gone."""
    try:
        size = source.path.stat().st_size
    except OSError:
        return 0
    return size if source.compression == "none" else size * _TIMES_SMALLER


def read_log(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    fields: Iterable[str],
    predicate: Predicate,
    scratch: Path,
    table: str = "requests",
    remarks: Remarks | None = None,
    kind: Kind = REQUEST,
) -> Log:
    """
    Read *sources* and keep *fields* of the units of *kind* that match *predicate*, in *table*.

    A file that cannot be read is one of *remarks*.

    Raises:
        SourceError: No file can be read.
    """
    remarks = Remarks() if remarks is None else remarks
    reading = _Reading(
        connection, sorted({"duration_seconds", "timestamp", *fields}), predicate, scratch, table, remarks, kind
    )
    reading.run(sources)
    return reading.log(sources)


class _Reading:
    """
    The tables of one reading: one for each pass over some files.

    Attributes:
        left_out: Lines that were not given to DuckDB.
        recognised: Lines that only a later pass understood.
        _once: Whether the packs say that no line is there twice.
        _viewed: Whether packs are read again for each question.
    """

    def __init__(  # noqa: PLR0913 -- each is needed
        self,
        connection: duckdb.DuckDBPyConnection,
        fields: list[str],
        predicate: Predicate,
        scratch: Path,
        table: str,
        remarks: Remarks,
        kind: Kind,
    ) -> None:
        self._connection = connection
        self._table = table
        self._fields = fields
        self._predicate = predicate
        self._scratch = scratch
        self._remarks = remarks
        self._kind = kind
        self._faults: list[str] = []
        self._parts: dict[str, Counter[int]] = {}
        self._numbers = itertools.count()
        self._once = False
        self._viewed = False
        self.left_out = 0
        self.recognised = 0

    def log(self, sources: Sequence[Source]) -> Log:
        columns = ", ".join(["_obs_class", "_obs_event", *map(quoted, self._fields)])
        rows = " UNION ALL ".join(f"SELECT {columns} FROM {part}" for part in self._parts)
        counts = sum(self._parts.values(), Counter[int]())
        repeated = 0
        if self._are_repeated(rows, counts.total()):
            name = f"{self._table}_once"
            same = "PARTITION BY _obs_event, _obs_class, timestamp, duration_seconds"
            first = f"_obs_event IS NULL OR NOT ({_OF_UNIT}) OR row_number() OVER ({same}) = 1"
            make_table(self._connection, name, f"SELECT * FROM ({rows}) QUALIFY {first}")
            rows = f"FROM {name}"
            once = self._counts(rows)
            repeated, counts = counts.total() - once.total(), once
        # Without other lines, there is no need to read what tells them apart.
        wanted = "true" if counts.keys() == {_WANTED} else f"_obs_class = {_WANTED}"
        self._connection.execute(f"CREATE TEMP VIEW {self._table} AS SELECT * FROM ({rows}) WHERE {wanted}")
        return Log(
            self._connection,
            self._table,
            tuple(dict.fromkeys(source.name for source in sources)),
            requests=counts[_WANTED],
            filtered=counts[_FILTERED],
            others=counts[_OTHER],
            skipped=counts[_UNKNOWN] + self.left_out - self.recognised,
            repeated=repeated,
            kind=self._kind,
            elsewhere={kind: counts[_FIRST + n] for n, kind in enumerate(KINDS.values()) if _FIRST + n in counts},
        )

    def _counts(self, rows: str, more: str = "0") -> Counter[int]:
        """Return the numbers of *rows* by class. *more* is an aggregate to compute beside them."""
        counted = f"SELECT _obs_class, count(*), {more} FROM ({rows}) GROUP BY _obs_class"
        return Counter({number: n for number, n, _ in self._connection.execute(counted).fetchall()})

    def _are_repeated(self, rows: str, number: int) -> bool:
        """Return whether the line of a unit is there twice, for example because a shipper has sent it again."""
        if self._once:
            return False
        parts = 1 if self._viewed else number // _AT_ONCE + 1
        twice = (
            f"SELECT count(_obs_event) > count(DISTINCT _obs_event) FROM ({rows})"
            f" WHERE ({_OF_UNIT}) AND _obs_event % {parts} = ?"
        )
        return any(self._connection.execute(twice, [part]).fetchall() == [(True,)] for part in range(parts))

    def run(self, sources: Sequence[Source]) -> None:
        groups: dict[tuple[object, ...], list[Source]] = {}
        for source in sources:
            groups.setdefault((source.compression, bool(source.schemas), source.layout), []).append(source)
        self.left_out = sum(source.left_out for source in sources)
        if sum(map(_size_of, sources)) >= _LARGE_BYTES:
            store_in_file(self._connection, self._scratch)
        days = [source.layout.day if source.layout else "" for source in sources]
        self._once = all(days) and len(set(days)) == len(days)
        for group in groups.values():
            self._read(group)
        if self._faults and not self._parts:
            raise UnreadableError("; ".join(self._faults))
        self._remarks.faults.extend(self._faults)

    def _read(self, group: list[Source]) -> None:
        """Read sources of one kind together. If that fails, read them one by one, and the damaged one as a copy."""
        try:
            with together(group, self._scratch) as files:
                self._read_whole(group, files)
        except duckdb.Error as error:
            raise_if_out_of_memory(error)
            if len(group) > 1:
                for one in group:
                    self._read([one])
                return
            try:
                self._read_copy(group[0])
            except UnreadableError as unreadable:
                self._faults.append(str(unreadable))

    def _read_copy(self, source: Source) -> None:
        copy = copy_of(source, self._scratch, self._remarks)
        self.left_out += copy.left_out - source.left_out
        try:
            self._read_whole([copy], [copy])
        except duckdb.Error as error:
            raise_if_out_of_memory(error)
            raise UnreadableError(f"{copy.name}: {str(error).splitlines()[0]}") from error

    def _read_whole(self, group: list[Source], files: list[Source]) -> None:
        """Read *files*, which have the lines of *group*."""
        name = f"{self._table}_part_{next(self._numbers)}"
        if not group[0].schemas:
            self._parts[name] = self._insert(name, line_rows(self._inside, lines_of(files)))
            return
        schemas = tuple(schema for schema in ALL_SCHEMAS if any(schema in source.schemas for source in group))
        cut = sum(source.is_cut for source in group)
        packed = group[0].layout is not None
        counts = self._insert(name, json_rows(self._inside, files, schemas), packed=packed)
        if _UNCLEAR in counts:
            # There is a schema that was in no sample.
            schemas = ALL_SCHEMAS
            counts = self._insert(name, json_rows(self._inside, files, schemas), packed=packed)
        if counts[_UNKNOWN] > cut:
            # There are lines that are not JSON, or JSON without even a message.
            rest = f"{name}_rest"
            if packed:
                lines = line_rows(self._inside, kept_lines_of(files))
            else:
                lines = line_rows(self._inside, lines_of(files, not_opening_like(schemas)), unless_known_as=schemas)
            found = self._insert(rest, lines)
            self._connection.execute(f"DELETE FROM {rest} WHERE _obs_class = {_UNKNOWN}")
            del found[_UNKNOWN]
            self.recognised += found.total()
            self._parts[rest] = found
            self._once = self._once and found.keys() <= {_OTHER}
        self._parts[name] = counts

    @property
    def _inside(self) -> frozenset[str]:
        return frozenset({*self._fields, *self._predicate.fields, "event_id"})

    def _insert(self, name: str, rows: str, *, packed: bool = False) -> Counter[int]:
        """
        Make the table *name* of *rows*, and return the numbers of its rows by class.

        If *rows* are of packs, make a view: to read a few columns again costs less than to copy all of them. Damage in
        any of them is found here.
        """
        columns = ", ".join(map(quoted, self._fields))
        query = (
            f"SELECT {_class(self._predicate, self._kind)} AS _obs_class, {_EVENT} AS _obs_event,"
            f" {columns} FROM ({rows})"
        )
        viewed = packed and not self._predicate.parameters
        if viewed:
            self._viewed = True
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")
        else:
            make_table(self._connection, name, query, self._predicate.parameters)
        read = columns if self._once else f"_obs_event, {columns}"
        return self._counts(f"FROM {name}", f"bit_xor(hash({read}))" if viewed else "0")


# A number of 64 bits takes less memory than a text, and is counted faster. DuckDB hashes eight bytes at a time, and ids
# that differ in bytes 8 and 16 alone may have one hash. In the text without its first bytes, these are other places.
_EVENT: Final = "CASE WHEN event_id IS NOT NULL THEN hash(event_id, substr(event_id, 5)) END"


def _class(predicate: Predicate, kind: Kind) -> str:
    """Return the SQL for the class of a line."""
    names = [*KINDS]
    # A word that is no kind is an application's, on a request line of an older version.
    number = f"greatest(coalesce(list_position([{', '.join(map(literal, names))}], kind), 1) - 1, 0)"
    return (
        "CASE WHEN duration_seconds >= 0 AND isfinite(duration_seconds) AND _obs_unit THEN"
        f" CASE WHEN {number} <> {names.index(kind.name)} THEN {_FIRST} + {number}"
        f" WHEN {predicate.sql} THEN {_WANTED} ELSE {_FILTERED} END"
        f" WHEN _obs_unclear THEN {_UNCLEAR} WHEN level IS NOT NULL THEN {_OTHER} ELSE {_UNKNOWN} END::UTINYINT"
    )
