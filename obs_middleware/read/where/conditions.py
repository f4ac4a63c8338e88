"""
A condition on a line, as a tree. Each backend translates it into its query language.

Read. `obs_middleware.read.files.predicate` makes SQL, `obs_middleware.read.index.dsl` the query language of a search
engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Compared", "Condition", "Every", "Has", "Missing", "Not", "Some", "fields_of", "one_of", "starts_with"]


@dataclass(frozen=True, slots=True)
class Compared:
    """
    A comparison of a field with a value. It does not hold if the field is null.

    Attributes:
        operator: ``= <> < <= > >=``, or ``~`` and ``!~`` for a regular expression that is found in the field or
            is not.
    """

    field: str
    operator: str
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Has:
    """A field that is a list, with *value* in it. It does not hold if the field is null."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A field that is null."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite. A condition that is unknown because a field is null stays unknown."""

    of: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """All of these conditions. With none, it always holds."""

    of: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of these conditions."""

    of: tuple[Condition, ...]


Condition = Compared | Has | Missing | Not | Every | Some


def one_of(field: str, values: Iterable[str]) -> Condition:
    """Return the condition that the value of *field* is one of *values*."""
    return Some(tuple(Compared(field, "=", value) for value in values))


def starts_with(field: str, text: str) -> Condition:
    """Return the condition that the value of *field* begins with *text*."""
    return Compared(field, "~", "^" + re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text))


def fields_of(condition: Condition) -> frozenset[str]:
    """Return the fields that *condition* looks at."""
    match condition:
        case Compared(field=field) | Has(field=field) | Missing(field=field):
            return frozenset({field})
        case Not(of=inner):
            return fields_of(inner)
        case Every(of=parts) | Some(of=parts):
            return frozenset[str]().union(*map(fields_of, parts))
