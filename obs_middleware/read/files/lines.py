"""
SQL over lines: `json_rows` and `line_rows` make rows of fields; `matching_lines` and `lines_by_request` find lines.

Read. The rows have the fields, ``_obs_unit``: whether the line is that of a unit of work, for example a request; and
``_obs_unclear``: whether another look at the line is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import duckdb

from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.archives import line_reader
from obs_middleware.read.files.columns import TIME, Columns, columns_of, expression_of, literal, quoted, type_text
from obs_middleware.read.files.predicate import Predicate
from obs_middleware.read.files.sources import Source
from obs_middleware.read.kinds import REQUEST, WORDS
from obs_middleware.read.packs.layout import KEPT, LINE, RAW, rows_of
from obs_middleware.read.packs.objects import packed_objects
from obs_middleware.read.schemas import ALL_SCHEMAS, SCHEMAS, TIME_CHARACTERS, type_of
from obs_middleware.read.where.texts import Texts

__all__ = [
    "STAMP",
    "containing_sql",
    "json_rows",
    "kept_lines_of",
    "line_rows",
    "lines_of",
    "not_opening_like",
    "packed_lines",
    "paths_of",
    "raise_if_out_of_memory",
]

_ALWAYS: Final = ("level", "message", "kind", "outcome", "duration_seconds")
_TOOK: Final = rf"((?:{'|'.join(WORDS)}) took ([0-9]+\.[0-9]+) seconds)"
_WORDS, _SECONDS = 1, 2
"""The groups of `_TOOK`."""
_COLOUR: Final = r"\x1b\[[0-9;]*m"
# A client chooses much of the text of other lines. Where the message is known, the text must be the whole message;
# elsewhere it must be separate from the text before it, and nothing may follow.
_MESSAGE: Final = f"^{_TOOK}$"
_APART: Final = rf"(?:^|[\s:\])}}>\x{{FEFF}}]|{_COLOUR})"
_LAST: Final = rf"{_APART}{_TOOK}(?:\s|{_COLOUR})*$"
_OUR_HEAD: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z [A-Z]+ \S+ "
"""The text before the message in a line of the format ``text``."""
STAMP: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?:Z| ?[+-][0-9]{2}:?[0-9]{2}\b)?"
)
_LINE_OF_OURS: Final = rf"^{STAMP} ([A-Z]+) \S+ "
_PAIR: Final = r'([^ =]+)=("(?:[^"\\]|\\.)*"|[^ ]*)'


def json_rows(fields: frozenset[str], group: list[Source], schemas: Sequence[str], *, keep: bool = False) -> str:
    """
    Return rows for files of JSON or packs, which have one layout. All fields of a line that is not JSON are null.

    Args:
        fields: The fields of the rows.
        group: The files.
        schemas: The schemas of their lines.
        keep: Whether the rows of packs have `LINE` and `KEPT` too.
    """
    needed = sorted({*_ALWAYS, *fields})
    columns = columns_of(needed, schemas)
    layout = group[0].layout
    if layout is None:
        objects = _json_objects(group, columns)
    else:
        columns, objects = packed_objects(layout, columns, paths_of(group), spoken="message" in fields)
    named = {field: expression_of(field, schemas, columns) for field in needed}
    seed = f"regexp_extract({named['message']}, {literal(_MESSAGE)}, {_SECONDS})"
    seconds = named["duration_seconds"]
    named["duration_seconds"] = f"coalesce({seconds}, CASE WHEN {seconds} IS NULL THEN try_cast({seed} AS DOUBLE) END)"
    own = named["outcome"]
    # CASE searches the text only where it must. If only some schemas are read, a line in another schema must not count
    # as a request without fields.
    bare = f"CASE WHEN {own} IS NULL THEN {seed} <> '' ELSE false END"
    named["kind"] = f"coalesce({named['kind']}, CASE WHEN {own} IS NULL THEN {_kind_of(named['message'])} END)"
    everything = tuple(schemas) == ALL_SCHEMAS
    named["_obs_unit"] = f"{own} IS NOT NULL OR {bare}" if everything else f"{own} IS NOT NULL"
    named["_obs_unclear"] = "false" if everything else bare
    return f"SELECT {_select(named)}{f', {LINE}, {KEPT}' if keep else ''} FROM {objects}"


def packed_lines(source: Source, predicate: Predicate) -> str:
    """
    Return rows with one column, ``line``, for the lines of a pack that may match *predicate*.

    The parameters are those of *predicate*. Only these lines are put together.
    """
    rows = json_rows(predicate.fields, [source], ALL_SCHEMAS, keep=True)
    return f"SELECT {LINE} AS line FROM ({rows}) WHERE {KEPT} OR ({predicate.sql})"


def _json_objects(group: list[Source], columns: Columns) -> str:
    keys = ", ".join(f"{literal(key)}: {literal(type_text(node))}" for key, node in columns.items())
    return (
        f"read_json({paths_of(group)}, format = 'newline_delimited', ignore_errors = true,"
        f" compression = {literal(group[0].compression)}, columns = {{{keys}}})"
    )


def _kind_of(message: str) -> str:
    """Return the SQL for the kind that the first word of a message means; null for a request."""
    return "CASE {} END".format(
        " ".join(
            f"WHEN starts_with({message}, {literal(f'{word} took ')}) THEN {literal(kind.name)}"
            for word, kind in WORDS.items()
            if kind is not REQUEST
        )
    )


def not_opening_like(schemas: Iterable[str]) -> str:
    """Return the condition that a line does not begin like *schemas*, whose lines `json_rows` has read."""
    alike = []
    for before, behind in (SCHEMAS[name].opening for name in schemas):
        place = len(before) + TIME_CHARACTERS + 1
        same = f"substr(line, {place}, {len(behind)}) = {literal(behind)}"
        alike.append(f"starts_with(line, {literal(before)}) AND {same}")
    return f"NOT (ends_with(line, '}}') AND ({' OR '.join(alike)}))"


def lines_of(group: list[Source], condition: str = "true") -> str:
    """Return rows with one column, ``line``."""
    layout = group[0].layout
    if layout is not None:
        return f"SELECT line FROM ({layout.lines(paths_of(group))}) WHERE {condition}"
    reader = line_reader(paths_of(group), group[0].compression)
    return f"SELECT line FROM {reader} WHERE line IS NOT NULL AND ({condition})"


def kept_lines_of(group: list[Source]) -> str:
    """Return rows with one column, ``line``, for the lines that packs keep as text."""
    return f"SELECT {quoted(RAW)} AS line FROM {rows_of(paths_of(group))} WHERE {quoted(RAW)} IS NOT NULL"


_ESCAPED: Final = "contains(line, '\\u00')"
"""Whether a letter may be escaped in a line of JSON, so that its text looks different."""


def containing_sql(texts: Texts) -> str:
    """Return the condition that a line may contain *texts*, which are its parameters, in order."""
    groups = (" OR ".join([*("contains(line, ?)" for _ in group), _ESCAPED]) for group in texts)
    return " AND ".join(f"({group})" for group in groups) or "true"


# If a log is emptied while a process still writes at its old place in it, the next line comes after a hole of NULs.
_AFTER_HOLE: Final = "CASE WHEN starts_with(line, chr(0)) THEN ltrim(line, chr(0)) ELSE line END"
_IS_DOCKER: Final = "contains(line, '\"stream\"') AND TRY(json_type(line, '$.log')) = 'VARCHAR'"


def line_rows(
    fields: frozenset[str], lines: str, *, keep: bool = False, unless_known_as: Sequence[str] | None = None
) -> str:
    """
    Return rows for lines of any kind: JSON, text or logfmt, also with what a container adds around them.

    Args:
        fields: The fields of the rows, beside ``_obs_unit``, ``level``, ``kind``, ``outcome`` and ``duration_seconds``.
        lines: SQL of a query with the column ``line``.
        keep: Whether the rows contain the line too, as ``_obs_line``.
        unless_known_as: A line that `json_rows` understands with these schemas is no unit here and has no level.
    """
    needed = sorted({*_ALWAYS, *fields})
    columns = columns_of(needed, ALL_SCHEMAS)
    structure = literal(json.dumps(_structure(columns)))
    of_json = {field: expression_of(field, ALL_SCHEMAS, columns, "j.") for field in needed}
    named = {field: f"coalesce({of_json[field]}, {_of_text(field)})" for field in needed}
    if "message" not in fields:
        del named["message"]
    if "level" not in fields:
        # Then it only separates other log lines from text that is no log line.
        named["level"] = f"CASE WHEN seed = '' THEN {named['level']} END"
    named["duration_seconds"] = f"coalesce({named['duration_seconds']}, try_cast(seed AS DOUBLE))"
    named["kind"] = f"coalesce({named['kind']}, CASE WHEN seed <> '' THEN {_kind_of('spoken')} END)"
    named["_obs_unit"] = f"seed <> '' OR {named['outcome']} IS NOT NULL"
    named["_obs_unclear"] = "false"
    if keep:
        named["_obs_line"] = _AFTER_HOLE
    log = "rtrim(TRY(json_extract_string(line, '$.log')), chr(10) || chr(13))"
    inner = f"CASE WHEN {_IS_DOCKER} THEN {log} ELSE {_AFTER_HOLE} END"
    missing = " OR ".join(f"{of_json[field]} IS NULL" for field in ("outcome", "duration_seconds"))
    if unless_known_as is not None:
        # Not in WHERE: DuckDB would test it on every line, before cheaper tests that exclude most lines.
        known = _known(unless_known_as, columns)
        named["_obs_unit"] = f"({named['_obs_unit']}) AND NOT {known}"
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
                THEN CASE WHEN {missing} THEN regexp_extract({of_json["message"]}, {literal(_MESSAGE)}) END
                WHEN keys IS NOT NULL THEN regexp_extract({_value_of("message")}, {literal(_MESSAGE)})
                WHEN contains(text, ' took ') AND NOT regexp_matches(text, {literal(_OUR_HEAD + ".+" + _TOOK)})
                THEN regexp_extract(text, {literal(_LAST)}, {_WORDS}) END AS spoken,
                coalesce(split_part(spoken, ' ', 3), '') AS seed
            FROM paired
        )
        SELECT {_select(named)} FROM timed"""


def _start_of(column: str, mark: str) -> str:
    """Return the SQL for the position of *mark* behind a wrapper, or 0 if it is only part of a text."""
    at = f"strpos({column}, {literal(mark)})"
    before = f"{column}[:{at} - 1]"
    apart = f"regexp_matches({before}, {literal(_APART + '$')}) AND NOT regexp_matches({before}, {literal(_OUR_HEAD)})"
    return f"CASE WHEN {at} <= 1 OR {apart} THEN {at} ELSE 0 END"


def _known(schemas: Sequence[str], columns: Columns) -> str:
    """Return the condition that `json_rows` understands a line with *schemas*, none of them unclear."""
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
    # CASE, so that no regular expression runs where there is no text, or where the first word is enough.
    if field == "timestamp":
        word = "split_part(text, ' ', 1)"
        is_ours = f"ends_with({word}, 'Z') AND {word} BETWEEN '1970' AND '2200'"
        first = f"CASE WHEN {is_ours} THEN TRY_CAST({word} AS TIMESTAMP) END"
        stamp = f"regexp_extract(text, {literal(STAMP)})"
        return (
            f"coalesce(CASE WHEN keys IS NOT NULL THEN {TIME.format(value)}"
            f" WHEN text IS NOT NULL THEN coalesce({first}, {TIME.format(stamp)}) END, {_TIME_OF_DOCKER})"
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


_TIME_OF_DOCKER: Final = (
    f"CASE WHEN inner_line <> line AND {_IS_DOCKER}"  # in order of their cost
    f" THEN {TIME.format('TRY(json_extract_string(line, {}))'.format(literal('$.time')))} END"
)


def _value_of(key: str) -> str:
    """Return the SQL for the value of *key* in a line of logfmt."""
    raw = f"items[list_position(keys, {literal(key)})]"
    return (
        f"CASE WHEN keys IS NULL THEN NULL WHEN starts_with({raw}, '\"')"
        f" THEN coalesce(TRY(json_extract_string({raw}, '$')), replace({raw}[2:-2], '\\\"', '\"'))"
        f" WHEN {raw} <> '' THEN {raw} END"
    )


def _structure(node: Any) -> Any:
    return node if isinstance(node, str) else {key: _structure(inner) for key, inner in node.items()}


def _select(named: dict[str, str]) -> str:
    return ", ".join(f"{expression} AS {quoted(name)}" for name, expression in named.items())


def paths_of(group: Iterable[Source]) -> str:
    """Return a list of file names, with brackets around the characters that DuckDB reads as patterns."""
    escaped = (re.sub(r"([\[*?])", r"[\1]", str(source.path)) for source in group)
    return "[" + ", ".join(literal(path) for path in escaped) + "]"


def raise_if_out_of_memory(error: duckdb.Error) -> None:
    """Raise `SourceError` if memory was short. A copy of the file may mend any other error."""
    if isinstance(error, duckdb.OutOfMemoryException):
        raise SourceError("not enough memory and disk space: allow more, for example --memory 4GiB") from error
