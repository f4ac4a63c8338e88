"""
The SQL that reads a field from the place where a schema has it: `columns_of` and `expression_of`.

Read. Names in SQL are quoted identifiers, and texts are quoted literals, whatever they contain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.schemas import SCHEMAS, TYPES, Place, type_of

__all__ = ["TIME", "Columns", "columns_of", "expression_of", "literal", "quoted", "type_text"]

Columns = dict[str, Any]
"""Key -> SQL type, or a mapping of the same kind for an object."""

_FORMS: Final[Mapping[str, str]] = {
    "": "try_cast({} AS {type})",
    "ns": "try_cast({} AS BIGINT) / 1e9",
    "latency": "try_cast(rtrim({}, 's') AS DOUBLE)",
    "upper": "lower({})",
    "url": r"regexp_extract({}, '^(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?]*)?([^?]*)', 1)",
    "trace": "regexp_extract({}, '[^/]*$')",
}
# A time without an offset counts as UTC; a cast to TIMESTAMP would silently drop an offset. A time from another age is
# damaged, and Python's dates have a smaller range than DuckDB's.
TIME: Final = (
    "CASE WHEN NOT {0} BETWEEN '1970' AND '2200' OR contains({0}, '(BC)') THEN NULL"
    " WHEN ends_with({0}, 'Z') THEN try_cast({0} AS TIMESTAMP)"
    " ELSE try_cast(replace(replace(replace({0}, ',', '.'), ' +', '+'), ' -', '-') AS TIMESTAMPTZ)"
    " AT TIME ZONE 'UTC' END"
)
"""Template: a time in UTC from text."""


def quoted(name: str) -> str:
    """Return *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _places(field: str, schemas: Iterable[str]) -> list[Place]:
    """Return the different places of *field* in *schemas*."""
    rows = [SCHEMAS[name] for name in schemas]
    if field in TYPES:
        found = [places[field] for row in rows for places in (row.places, row.second) if field in places]
    else:
        found = [Place(tuple(key.replace("*", field) for key in path)) for row in rows for path in row.own]
    return list(dict.fromkeys(found))


def columns_of(fields: Iterable[str], schemas: Iterable[str]) -> Columns:
    """
    Return the columns that contain *fields*: key -> SQL type, or a mapping of the same kind for an object.

    DuckDB reads a value of another type as null, and the rest of its line still counts.

    Raises:
        ExpressionError: Two names differ only in the case of letters. DuckDB cannot tell them apart.
    """
    columns: Columns = {}
    for field in fields:
        for place in _places(field, schemas):
            _add(columns, place.path, _leaf(field, place.form))
    return columns


def _add(columns: Columns, path: tuple[str, ...], leaf: str) -> None:
    key, *rest = path
    twin = next((one for one in columns if one != key and one.lower() == key.lower()), None)
    if twin is not None:
        raise ExpressionError(
            f"cannot read the field {key} beside {twin}: their names differ only in the case of letters; "
            "write the name as the lines have it"
        )
    known = columns.get(key)
    if rest and known is None:
        known = columns[key] = {}
    if rest and isinstance(known, dict):
        _add(known, tuple(rest), leaf)
    elif rest or isinstance(known, dict):
        columns[key] = "JSON"  # text in one schema, an object in another: `service`, `logger`
    elif known is None:
        columns[key] = leaf
    elif known not in {leaf, "JSON"}:
        columns[key] = "VARCHAR"  # `status` is a number in one schema, the level in another


def _leaf(field: str, form: str) -> str:
    if form == "ns":
        return "BIGINT"
    return "VARCHAR" if form or type_of(field) == "TIMESTAMP" else type_of(field)


def expression_of(field: str, schemas: Iterable[str], columns: Columns, prefix: str = "") -> str:
    """
    Return the SQL expression for *field* from the first of *schemas* that has a value.

    Args:
        field: One of `TYPES`, or an application's.
        schemas: Names of schemas.
        columns: The result of `columns_of` for these schemas and at least this field.
        prefix: Text before each column name, for example ``j.``.
    """
    forms = []
    for path, form in _places(field, schemas):
        raw = _value(path, columns, prefix)
        template = TIME if type_of(field) == "TIMESTAMP" and _type_at(path, columns) != "TIMESTAMP" else _FORMS[form]
        form_sql = template.format(raw, type=type_of(field))
        if form == "ns" and "outcome" in columns.get("obs", ()):
            # Many programs write a `duration`, in other units. Beside ours is the outcome of the request.
            form_sql = f"CASE WHEN {_value(('obs', 'outcome'), columns, prefix)} IS NOT NULL THEN {form_sql} END"
        forms.append(form_sql)
    return forms[0] if len(forms) == 1 else f"coalesce({', '.join(forms)})" if forms else f"NULL::{type_of(field)}"


def _type_at(path: tuple[str, ...], columns: Columns) -> Columns | str:
    here: Columns | str = columns
    for key in path:
        here = here[key] if isinstance(here, dict) else here
    return here


def _value(path: tuple[str, ...], columns: Columns, prefix: str) -> str:
    here: Columns | str = columns
    for depth, key in enumerate(path):
        here = here[key] if isinstance(here, dict) else here
        if here == "JSON":
            below = "".join(f".{quoted(one)}" for one in path[depth + 1 :])
            node = prefix + _dotted(path[: depth + 1])
            text = f"json_extract_string({node}, {literal(f'${below}')})"
            return text if below else f"CASE WHEN json_type({node}) NOT IN ('OBJECT', 'ARRAY') THEN {text} END"
    return prefix + _dotted(path)


def _dotted(path: Iterable[str]) -> str:
    return ".".join(quoted(key) for key in path)


def literal(text: str) -> str:
    """Return *text* as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def type_text(node: Columns | str) -> str:
    """Return the SQL type of *node*, which is a value in the result of `columns_of`."""
    if isinstance(node, str):
        return node
    return "STRUCT(" + ", ".join(f"{quoted(key)} {type_text(inner)}" for key, inner in node.items()) + ")"
