"""
The SQL of a condition: `predicate`.

Read. Every name is a quoted identifier and every value a parameter, so text from a user is never part of the SQL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.files.columns import columns_of, quoted
from obs_middleware.read.schemas import ALL_SCHEMAS, type_of
from obs_middleware.read.where.conditions import Compared, Condition, Every, Has, Missing, Not, Some, fields_of

__all__ = ["Predicate", "check_predicate", "predicate"]


@dataclass(frozen=True, slots=True)
class Predicate:
    """
    A condition in SQL.

    Attributes:
        sql: A boolean expression over columns that have the names of the fields. Null counts as false.
        parameters: The values of the question marks, in order.
        fields: The fields in *sql*.
    """

    sql: str = "true"
    parameters: tuple[str | float | bool, ...] = ()
    fields: frozenset[str] = frozenset()


def predicate(condition: Condition) -> Predicate:
    """Return *condition* as SQL."""
    parameters: list[str | float | bool] = []
    sql = _sql(condition, parameters)
    return Predicate(sql, tuple(parameters), fields_of(condition))


def _sql(condition: Condition, parameters: list[str | float | bool]) -> str:
    match condition:
        case Compared():
            return _compared(condition, parameters)
        case Has(field=field, value=value):
            parameters.append(json.dumps(value))
            return f"(contains({quoted(field)}, ?))"
        case Missing(field=field):
            return f"({quoted(field)} IS NULL)"
        case Not(of=inner):
            return f"(NOT {_sql(inner, parameters)})"
        case Every(of=parts):
            return f"({' AND '.join(_sql(part, parameters) for part in parts) or 'true'})"
        case Some(of=parts):
            return _among(parts, parameters) or f"({' OR '.join(_sql(part, parameters) for part in parts) or 'false'})"


_UTC_OF_TEXT: Final = "(try_cast(? AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"


def _compared(condition: Compared, parameters: list[str | float | bool]) -> str:
    column, value = _sides(condition)
    parameters.append(condition.value)
    if condition.operator in {"~", "!~"}:
        negation = "NOT " if condition.operator == "!~" else ""
        return f"({negation}regexp_matches({quoted(condition.field)}::VARCHAR, ?))"
    return f"({column} {condition.operator} {value})"


def _sides(condition: Compared) -> tuple[str, str]:
    """Return the two sides of a comparison in SQL: the column, and the place of the value."""
    column, kind, value = quoted(condition.field), type_of(condition.field), condition.value
    if isinstance(value, bool):
        column = f"try_cast({column} AS BOOLEAN)"
    elif isinstance(value, float) and kind == "VARCHAR":
        column = f"try_cast({column} AS DOUBLE)"
    return column, _UTC_OF_TEXT if kind == "TIMESTAMP" else "?"


def _among(parts: Sequence[Condition], parameters: list[str | float | bool]) -> str | None:
    """Return one ``IN`` for comparisons of one column; the time that DuckDB takes for many ``OR`` grows faster."""
    compared = [part for part in parts if isinstance(part, Compared) and part.operator == "="]
    sides = {_sides(part) for part in compared}
    if len(compared) < len(parts) or len(sides) != 1:
        return None
    ((column, value),) = sides
    parameters += [part.value for part in compared]
    return f"({column} IN ({', '.join([value] * len(compared))}))"


def check_predicate(connection: duckdb.DuckDBPyConnection, predicate: Predicate) -> None:
    """
    Try *predicate* before any line is read.

    Raises:
        ExpressionError: DuckDB rejects it, for example a regular expression that RE2 does not support, or it has two
            names that differ only in the case of letters.
    """
    columns_of(predicate.fields, ALL_SCHEMAS)
    columns = [
        f"'1'::VARCHAR::{type_of(field)} AS {quoted(field)}"
        for field in predicate.fields
        if type_of(field) != "TIMESTAMP"
    ]
    columns += [f"now()::TIMESTAMP AS {quoted(field)}" for field in predicate.fields if type_of(field) == "TIMESTAMP"]
    try:
        connection.execute(
            f"SELECT count(*) FROM (SELECT {', '.join(['1 AS one', *columns])}) WHERE {predicate.sql}",
            list(predicate.parameters),
        )
    except duckdb.Error as error:
        raise ExpressionError(f"DuckDB rejects the condition: {str(error).splitlines()[0]}") from error
