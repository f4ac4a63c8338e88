"""
A condition on a line, as a tree that each engine translates into its own language.

Read. `predicate` is the translation into SQL: every name is a quoted identifier, every value a parameter, so that what
a user types is never part of the SQL itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from obs_middleware.read.schemas import quoted, type_of

__all__ = ["Compared", "Condition", "Every", "Missing", "Not", "Predicate", "Some", "fields_of", "predicate"]


@dataclass(frozen=True, slots=True)
class Compared:
    """
    A field beside a value; it does not hold where the field is null.

    Attributes:
        operator: ``= <> < <= > >=``, or ``~`` and ``!~``: a regular expression is found in it, or not.
    """

    field: str
    operator: str
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Missing:
    """A field that is null."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; of what is not known, because a field is null, that is not known either."""

    of: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """All of them; of none at all it always holds."""

    of: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of them."""

    of: tuple[Condition, ...]


Condition = Compared | Missing | Not | Every | Some


@dataclass(frozen=True, slots=True)
class Predicate:
    """
    A condition in SQL.

    Attributes:
        sql: A boolean expression over columns named as the fields are; null counts as false.
        parameters: The values of its question marks, in their order.
        fields: The fields that it looks at.
    """

    sql: str = "true"
    parameters: tuple[str | float | bool, ...] = ()
    fields: frozenset[str] = frozenset()


def fields_of(condition: Condition) -> frozenset[str]:
    """Return the fields that *condition* looks at."""
    match condition:
        case Compared(field=field) | Missing(field=field):
            return frozenset({field})
        case Not(of=inner):
            return fields_of(inner)
        case Every(of=parts) | Some(of=parts):
            return frozenset[str]().union(*map(fields_of, parts))


def predicate(condition: Condition) -> Predicate:
    """Return *condition* in SQL."""
    parameters: list[str | float | bool] = []
    sql = _sql(condition, parameters)
    return Predicate(sql, tuple(parameters), fields_of(condition))


def _sql(condition: Condition, parameters: list[str | float | bool]) -> str:
    match condition:
        case Compared():
            return _compared(condition, parameters)
        case Missing(field=field):
            return f"({quoted(field)} IS NULL)"
        case Not(of=inner):
            return f"(NOT {_sql(inner, parameters)})"
        case Every(of=parts):
            return f"({' AND '.join(_sql(part, parameters) for part in parts) or 'true'})"
        case Some(of=parts):
            return f"({' OR '.join(_sql(part, parameters) for part in parts) or 'false'})"


_UTC_OF_TEXT: Final = "(try_cast(? AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"


def _compared(condition: Compared, parameters: list[str | float | bool]) -> str:
    column, kind, value = quoted(condition.field), type_of(condition.field), condition.value
    parameters.append(value)
    if condition.operator in {"~", "!~"}:
        negation = "NOT " if condition.operator == "!~" else ""
        return f"({negation}regexp_matches({column}::VARCHAR, ?))"
    if isinstance(value, bool):
        column = f"try_cast({column} AS BOOLEAN)"
    elif isinstance(value, float) and kind == "VARCHAR":
        column = f"try_cast({column} AS DOUBLE)"
    return f"({column} {condition.operator} {_UTC_OF_TEXT if kind == 'TIMESTAMP' else '?'})"
