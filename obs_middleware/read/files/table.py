"""
Lines become a table: `read_log`, one pass over the files for all that is asked of them.

Read. DuckDB does the reading, in parallel and out of core. Measured on 1,000,000 lines of flat JSON, with DuckDB's
``quantile_cont`` by route over the same file as 1.0: two columns 0.8, the columns of ``stats`` for one schema 1.2, for
all five 1.5; lines as text with ``json_transform`` 2.2; their text alone 0.3. Hence `_json_rows`, with the schemas that
samples show, and `line_rows` only over what that did not understand, or where little of a file is JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.files.columns import TIME, Columns, columns_of, expression_of, literal, quoted, type_text
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.sources import Source, without_long_lines
from obs_middleware.read.schemas import ALL_SCHEMAS, SCHEMAS, type_of

__all__ = ["Log", "connect", "line_rows", "matching_lines", "read_log"]

MEMORY: Final = "1500MiB"
"""What the engine may use before it puts things on disk; the process has some 100 MiB beside it."""

_UNKNOWN, _REQUEST, _FILTERED, _OTHER, _UNCLEAR = range(5)

_ALWAYS: Final = ("level", "message", "outcome", "duration_seconds")
_TOOK: Final = r"Request took ([0-9]+\.[0-9]+) seconds"
_COLOUR: Final = r"\x1b\[[0-9;]*m"
# A client chooses much of what other lines say. Where it can be told, the text must be the message and nothing else;
# else it must be separate from the text before it, and nothing may follow.
_MESSAGE: Final = f"^{_TOOK}$"
_APART: Final = rf"(?:^|[\s:\])}}>\x{{FEFF}}]|{_COLOUR})"
_LAST: Final = rf"{_APART}{_TOOK}(?:\s|{_COLOUR})*$"
_OUR_HEAD: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z [A-Z]+ \S+ "
"""What is before the message in a line of the format ``text``."""
_STAMP: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_LINE_OF_OURS: Final = rf"^{_STAMP} ([A-Z]+) \S+ "
_PAIR: Final = r'([^ =]+)=("(?:[^"\\]|\\.)*"|[^ ]*)'


@dataclass(frozen=True, slots=True)
class Log:
    """
    What was read: a table ``requests`` with a row for each request, and how many lines there were.

    Attributes:
        connection: To the engine that holds the table.
        sources: The names of what was read.
        requests: The rows of the table.
        filtered: Request lines that the filters left out.
        others: Log lines that are not the line of a request.
        skipped: Lines that nobody here understands: of other programs, or damaged.
    """

    connection: duckdb.DuckDBPyConnection
    sources: tuple[str, ...]
    requests: int
    filtered: int
    others: int
    skipped: int

    @property
    def lines(self) -> int:
        """All lines that were read."""
        return self.requests + self.filtered + self.others + self.skipped


@contextmanager
def connect(scratch: Path, memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    Open an engine of its own, which loads no extensions and asks no network.

    Args:
        scratch: Folder for what does not fit into memory.
        memory: What it may use, such as ``2GiB``; None for `MEMORY`.

    Raises:
        ExpressionError: *memory* is no size.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(scratch),
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(config=settings)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            connection.execute(f"SET memory_limit = {literal(memory or MEMORY)}")
        except duckdb.Error as error:
            raise ExpressionError(f"invalid --memory {memory!r}: use a size with a unit (500MiB, 4GiB).") from error
        yield connection
    finally:
        connection.close()


def read_log(  # noqa: PLR0913 -- each is needed
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    fields: Iterable[str],
    predicate: Predicate,
    scratch: Path,
    table: str = "requests",
) -> Log:
    """
    Read *sources* and keep *fields* of the requests that *predicate* lets pass, in *table*.

    Raises:
        SourceError: One of them cannot be read.
    """
    reading = _Reading(connection, sorted({"duration_seconds", *fields}), predicate, scratch, table)
    reading.run(sources)
    return reading.log(sources)


class _Reading:
    """
    The tables of what has been read, one for each pass over some files.

    Attributes:
        left_out: Lines that were not even handed to the engine.
        recognised: Lines that one pass did not understand, and a later one did.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        fields: list[str],
        predicate: Predicate,
        scratch: Path,
        table: str,
    ) -> None:
        self._connection = connection
        self._table = table
        self._fields = fields
        self._predicate = predicate
        self._scratch = scratch
        self._parts: list[str] = []
        self.left_out = 0
        self.recognised = 0

    def log(self, sources: Sequence[Source]) -> Log:
        columns = ", ".join(["_obs_kind", *map(quoted, self._fields)])
        union = " UNION ALL ".join(f"SELECT {columns} FROM {part}" for part in self._parts)
        counts = dict(
            self._connection.execute(f"SELECT _obs_kind, count(*) FROM ({union}) GROUP BY _obs_kind").fetchall()
        )
        self._connection.execute(
            f"CREATE TEMP VIEW {self._table} AS SELECT * FROM ({union}) WHERE _obs_kind = {_REQUEST}"
        )
        return Log(
            self._connection,
            tuple(dict.fromkeys(source.name for source in sources)),
            requests=counts.get(_REQUEST, 0),
            filtered=counts.get(_FILTERED, 0),
            others=counts.get(_OTHER, 0),
            skipped=counts.get(_UNKNOWN, 0) + self.left_out - self.recognised,
        )

    def run(self, sources: Sequence[Source]) -> None:
        groups: dict[tuple[str, bool], list[Source]] = {}
        for source in sources:
            groups.setdefault((source.compression, bool(source.schemas)), []).append(source)
        for group in groups.values():
            self._read(group)

    def _read(self, group: list[Source]) -> None:
        """Read sources of one kind together; if one of them is unreadable, one by one, and that one as it can be."""
        try:
            self._read_whole(group)
        except duckdb.Error as error:
            _explain(error)
            if len(group) > 1:
                for one in group:
                    self._read([one])
                return
            copy = without_long_lines(group[0], self._scratch, self._leave_out)
            try:
                self._read_whole([copy])
            except duckdb.Error as again:
                _explain(again)
                raise SourceError(f"{copy.name}: {str(again).splitlines()[0]}") from again

    def _leave_out(self, lines: int) -> None:
        self.left_out += lines

    def _read_whole(self, group: list[Source]) -> None:
        name = f"{self._table}_part_{len(self._parts)}"
        if not group[0].schemas:
            self._insert(name, line_rows(self._inside, _lines_of(group)))
            self._parts.append(name)
            return
        schemas = tuple(schema for schema in ALL_SCHEMAS if any(schema in source.schemas for source in group))
        cut = sum(source.is_cut for source in group)
        self._insert(name, _json_rows(self._inside, group, schemas))
        if self._count(name, _UNCLEAR):
            # There is a schema that the samples did not show.
            schemas = ALL_SCHEMAS
            self._insert(name, _json_rows(self._inside, group, schemas))
        if self._count(name, _UNKNOWN) > cut:
            # There is something that is no JSON, or JSON in which not even a message was found.
            rest = f"{name}_rest"
            lines = _lines_of(group, _not_opening_like(schemas))
            self._insert(rest, line_rows(self._inside, lines, unless_known_as=schemas))
            self._connection.execute(f"DELETE FROM {rest} WHERE _obs_kind = {_UNKNOWN}")
            self.recognised += self._count(rest)
            self._parts.append(rest)
        self._parts.append(name)

    @property
    def _inside(self) -> frozenset[str]:
        return frozenset({*self._fields, *self._predicate.fields})

    def _insert(self, name: str, rows: str) -> None:
        """Make the table *name* of *rows*."""
        columns = ", ".join(map(quoted, self._fields))
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS"
            f" SELECT {_kind(self._predicate)} AS _obs_kind, {columns} FROM ({rows})",
            list(self._predicate.parameters),
        )

    def _count(self, name: str, kind: int | None = None) -> int:
        where = "" if kind is None else f"WHERE _obs_kind = {kind}"
        (count,) = self._connection.execute(f"SELECT count(*) FROM {name} {where}").fetchone() or (0,)
        return int(count)


def _explain(error: duckdb.Error) -> None:
    """Raise what a user can do something about; return for all that a copy of the file may mend."""
    if isinstance(error, duckdb.OutOfMemoryException):
        raise SourceError("there is not enough memory for this, disk included; allow more: --memory 4GiB") from error


def _kind(predicate: Predicate) -> str:
    return (
        "CASE WHEN duration_seconds >= 0 AND isfinite(duration_seconds) AND _obs_request"
        f" THEN CASE WHEN {predicate.sql} THEN {_REQUEST} ELSE {_FILTERED} END"
        f" WHEN _obs_unclear THEN {_UNCLEAR} WHEN level IS NOT NULL THEN {_OTHER} ELSE {_UNKNOWN} END::UTINYINT"
    )


# SQL that yields the fields of lines, `_obs_request`, and `_obs_unclear`: another look is needed


def _json_rows(fields: frozenset[str], group: list[Source], schemas: Sequence[str]) -> str:
    """Return rows for the lines of files that are JSON, all fields null for a line that is not."""
    needed = sorted({*_ALWAYS, *fields})
    columns = columns_of(needed, schemas)
    named = {field: expression_of(field, schemas, columns) for field in needed}
    seed = f"regexp_extract({named['message']}, {literal(_MESSAGE)}, 1)"
    seconds = named["duration_seconds"]
    named["duration_seconds"] = f"coalesce({seconds}, CASE WHEN {seconds} IS NULL THEN try_cast({seed} AS DOUBLE) END)"
    own = named["outcome"]
    # CASE looks at the text only where it must. With some schemas only, the text of a line in another one must not pass
    # for a request of which nothing else is known.
    bare = f"CASE WHEN {own} IS NULL THEN {seed} <> '' ELSE false END"
    everything = tuple(schemas) == ALL_SCHEMAS
    named["_obs_request"] = f"{own} IS NOT NULL OR {bare}" if everything else f"{own} IS NOT NULL"
    named["_obs_unclear"] = "false" if everything else bare
    keys = ", ".join(f"{literal(key)}: {literal(type_text(node))}" for key, node in columns.items())
    return (
        f"SELECT {_select(named)} FROM read_json({_paths(group)}, format = 'newline_delimited', ignore_errors = true,"
        f" compression = {literal(group[0].compression)}, columns = {{{keys}}})"
    )


_TIME_CHARACTERS: Final = len("2026-11-02T10:00:00.000000Z")


def _not_opening_like(schemas: Iterable[str]) -> str:
    """Return the condition that a line does not look like one in one of *schemas*: `_json_rows` is done with those."""
    alike = []
    for before, behind in (SCHEMAS[name].opening for name in schemas):
        place = len(before) + _TIME_CHARACTERS + 1
        told = f"substr(line, {place}, {len(behind)}) = {literal(behind)}"
        alike.append(f"starts_with(line, {literal(before)}) AND {told}")
    return f"NOT (ends_with(line, '}}') AND ({' OR '.join(alike)}))"


def _lines_of(group: list[Source], condition: str = "true") -> str:
    """Return rows of one column, ``line``, which has no meaning yet."""
    # Two control characters in a row as delimiter: what is in a line stays in one column.
    return (
        f"SELECT line FROM read_csv({_paths(group)}, columns = {{'line': 'VARCHAR'}}, delim = {_DELIMITER},"
        f" quote = '', escape = '', header = false, auto_detect = false, strict_mode = false, ignore_errors = true,"
        f" compression = {literal(group[0].compression)}) WHERE line IS NOT NULL AND ({condition})"
    )


_DELIMITER: Final = "'\x1f\x1e\x1f'"


def line_rows(
    fields: frozenset[str], lines: str, *, keep: bool = False, unless_known_as: Sequence[str] | None = None
) -> str:
    """
    Return rows for lines of any kind: JSON, text, logfmt, and each of them behind or inside what a container adds.

    Args:
        fields: Those that the rows have, beside ``_obs_request``, ``level``, ``outcome`` and ``duration_seconds``.
        lines: SQL whose rows have the column ``line``.
        keep: Whether the rows have the line itself as well, as ``_obs_line``.
        unless_known_as: A line that `_json_rows` understands with these schemas is no request here, and has no level.
    """
    needed = sorted({*_ALWAYS, *fields})
    columns = columns_of(needed, ALL_SCHEMAS)
    structure = literal(json.dumps(_structure(columns)))
    of_json = {field: expression_of(field, ALL_SCHEMAS, columns, "j.") for field in needed}
    named = {field: f"coalesce({of_json[field]}, {_of_text(field)})" for field in needed}
    if "message" not in fields:
        del named["message"]
    if "level" not in fields:
        # Then it only tells log lines that are no request lines from what is no log line.
        named["level"] = f"CASE WHEN seed = '' THEN {named['level']} END"
    named["duration_seconds"] = f"coalesce({named['duration_seconds']}, try_cast(seed AS DOUBLE))"
    named["_obs_request"] = f"seed <> '' OR {named['outcome']} IS NOT NULL"
    named["_obs_unclear"] = "false"
    if keep:
        named["_obs_line"] = "line"
    docker = "contains(line, '\"stream\"') AND TRY(json_type(line, '$.log')) = 'VARCHAR'"
    inner = f"CASE WHEN {docker} THEN rtrim(TRY(json_extract_string(line, '$.log')), chr(10) || chr(13)) ELSE line END"
    missing = " OR ".join(f"{of_json[field]} IS NULL" for field in ("outcome", "duration_seconds"))
    if unless_known_as is not None:
        # Not in WHERE: the engine would test it on every line, before what sorts most of them out at little cost.
        known = _known(unless_known_as, columns)
        named["_obs_request"] = f"({named['_obs_request']}) AND NOT {known}"
        named["level"] = f"CASE WHEN NOT {known} THEN {named['level']} END"
    return f"""
        WITH raw AS ({lines}),
        unwrapped AS (SELECT line, {inner} AS inner_line FROM raw),
        opened AS (SELECT *, {_start_of("inner_line", '{"')} AS start FROM unwrapped),
        parsed AS (
            SELECT *, CASE WHEN start > 0 AND ends_with(rtrim(inner_line), '}}')
                THEN TRY(json_transform(substr(inner_line, start), {structure})) END AS j,
                CASE WHEN start = 0 THEN inner_line END AS text
            FROM opened
        ),
        cut AS (
            SELECT *, CASE WHEN contains(text, 'timestamp=') THEN {_start_of("text", "timestamp=")} ELSE 0 END AS pair
            FROM parsed
        ),
        paired AS (
            SELECT *, CASE WHEN pair > 0 THEN regexp_extract_all(text[pair:], {literal(_PAIR)}, 1) END AS keys,
                CASE WHEN pair > 0 THEN regexp_extract_all(text[pair:], {literal(_PAIR)}, 2) END AS items
            FROM cut
        ),
        timed AS (
            SELECT *, CASE
                WHEN text IS NULL
                THEN CASE WHEN {missing} THEN regexp_extract({of_json["message"]}, {literal(_MESSAGE)}, 1) END
                WHEN keys IS NOT NULL THEN regexp_extract({_value_of("message")}, {literal(_MESSAGE)}, 1)
                WHEN contains(text, 'Request took ') AND NOT regexp_matches(text, {literal(_OUR_HEAD + ".+" + _TOOK)})
                THEN regexp_extract(text, {literal(_LAST)}, 1) END AS said,
                coalesce(said, '') AS seed
            FROM paired
        )
        SELECT {_select(named)} FROM timed"""


def _start_of(column: str, mark: str) -> str:
    """Return the SQL for where *mark* begins what a wrapper has put something before; 0 if it is only in a text."""
    at = f"strpos({column}, {literal(mark)})"
    before = f"{column}[:{at} - 1]"
    apart = f"regexp_matches({before}, {literal(_APART + '$')}) AND NOT regexp_matches({before}, {literal(_OUR_HEAD)})"
    return f"CASE WHEN {at} <= 1 OR {apart} THEN {at} ELSE 0 END"


def _known(schemas: Sequence[str], columns: Columns) -> str:
    """Return the condition that `_json_rows` understands a line with *schemas*, among which it found none unclear."""
    found = [f"{expression_of(field, schemas, columns, 'j.')} IS NOT NULL" for field in ("outcome", "level")]
    if tuple(schemas) == ALL_SCHEMAS:
        found.append("seed <> ''")
    return (
        "coalesce(j IS NOT NULL AND inner_line = line AND starts_with(ltrim(line), '{')"
        f" AND ({' OR '.join(found)}), false)"
    )


def _of_text(field: str) -> str:
    """Return the SQL for *field* in a line of text or logfmt."""
    value = _value_of(field)
    # CASE, so that no expression is looked for where there is no text, or where the first word does.
    if field == "timestamp":
        word = "split_part(text, ' ', 1)"
        is_ours = f"ends_with({word}, 'Z') AND {word} BETWEEN '1970' AND '2200'"
        first = f"CASE WHEN {is_ours} THEN TRY_CAST({word} AS TIMESTAMP) END"
        stamp = f"regexp_extract(text, {literal(_STAMP)})"
        return (
            f"CASE WHEN keys IS NOT NULL THEN {TIME.format(value)}"
            f" WHEN text IS NOT NULL THEN coalesce({first}, {TIME.format(stamp)}) END"
        )
    if field == "level":
        word = f"nullif(lower(regexp_extract(text, {literal(_LINE_OF_OURS)}, 1)), '')"
        return f"CASE WHEN keys IS NOT NULL THEN {value} WHEN text[5] = '-' THEN {word} END"
    if field == "message":
        return (
            f"CASE WHEN keys IS NULL AND text[5] = '-' THEN regexp_replace(text, {literal(_LINE_OF_OURS)}, '')"
            f" WHEN keys IS NULL THEN text ELSE {value} END"
        )
    return f"try_cast({value} AS {type_of(field)})"


def _value_of(key: str) -> str:
    """Return the SQL for the value of *key* in a line of logfmt."""
    raw = f"items[list_position(keys, {literal(key)})]"
    return (
        f"CASE WHEN keys IS NULL THEN NULL WHEN starts_with({raw}, '\"')"
        f" THEN replace(replace({raw}[2:-2], '\\\"', '\"'), '\\\\', '\\') WHEN {raw} <> '' THEN {raw} END"
    )


def _structure(node: Any) -> Any:
    return node if isinstance(node, str) else {key: _structure(inner) for key, inner in node.items()}


def _select(named: dict[str, str]) -> str:
    return ", ".join(f"{expression} AS {quoted(name)}" for name, expression in named.items())


def _paths(group: Iterable[Source]) -> str:
    """Return a list of file names; the engine would see patterns in some, which brackets keep it from."""
    escaped = (re.sub(r"([\[*?])", r"[\1]", str(source.path)) for source in group)
    return "[" + ", ".join(literal(path) for path in escaped) + "]"


def matching_lines(  # noqa: PLR0913 -- as above
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    predicate: Predicate,
    scratch: Path,
    *,
    containing: str | None = None,
    by_time: bool = False,
) -> Iterator[str]:
    """
    Yield the original lines that *predicate* lets pass, in the order in which they are read.

    Args:
        connection: To the engine that reads.
        sources: What is read.
        predicate: What must hold.
        scratch: Folder for copies of files that must be mended first.
        containing: A text without which no line can pass; it spares the others a closer look.
        by_time: Whether they come in the order of their timestamps instead.

    Raises:
        SourceError: A file cannot be read.
    """
    connection.execute("SET preserve_insertion_order = true")
    if not by_time:
        for source in sources:
            for line, _ in _matching(connection, source, predicate, scratch, containing):
                yield line
        return
    found = [pair for source in sources for pair in _matching(connection, source, predicate, scratch, containing)]
    # A line without a time stays behind the one that it followed.
    latest, keyed = dt.datetime.min, []  # noqa: DTZ901 -- the engine's times are UTC and do not say so
    for line, when in found:
        latest = when or latest
        keyed.append((latest, line))
    yield from (line for _, line in sorted(keyed, key=lambda pair: pair[0]))


def _matching(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    predicate: Predicate,
    scratch: Path,
    containing: str | None,
) -> Iterator[tuple[str, dt.datetime | None]]:
    fields = frozenset({"timestamp", *predicate.fields})
    condition, parameters = ("true", []) if containing is None else ("contains(line, ?)", [containing])
    rows = line_rows(fields, _lines_of([source], condition), keep=True)
    try:
        result = connection.execute(
            f'SELECT _obs_line, "timestamp" FROM ({rows})'
            f" WHERE (_obs_request OR level IS NOT NULL) AND ({predicate.sql})",
            [*parameters, *predicate.parameters],
        )
    except duckdb.Error as error:
        _explain(error)
        if source.path.parent == scratch and source.compression == "none":
            raise SourceError(f"{source.name}: {str(error).splitlines()[0]}") from error
        copy = without_long_lines(source, scratch, lambda _: None)
        yield from _matching(connection, copy, predicate, scratch, containing)
        return
    while batch := result.fetchmany(_BATCH):
        yield from batch


_BATCH: Final = 1_000
