"""The fields that the requests of an index are grouped by: the queries for groups, and their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from obs_middleware.read.answers import Keys
from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.index.dsl import IndexField, Query
from obs_middleware.read.index.fields import Fields

__all__ = ["Grouping", "grouping_of"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """
    The fields that requests are grouped by.

    Attributes:
        by: Their names in the flat schema.
        fields: Their fields in the index; None for a field that the index does not have.
    """

    by: tuple[str, ...]
    fields: tuple[IndexField | None, ...]

    @property
    def sources(self) -> list[Query]:
        """The sources of a composite aggregation; empty if the index has none of the fields."""
        return [
            {f"k{number}": {"terms": {"field": field.name, "missing_bucket": True}}}
            for number, field in enumerate(self.fields)
            if field is not None
        ]

    def raw(self, key: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values in the key of a bucket, with the types of the index."""
        return tuple(key.get(f"k{number}") for number in range(len(self.fields)))

    def keys(self, raw: Sequence[Any]) -> Keys:
        """Return values of the index as text, the same as for files."""
        return tuple(map(_text, self.fields, raw))

    def query(self, raw: Sequence[Any]) -> Query:
        """Return the query for the requests of one group."""
        has: list[Query] = []
        has_not: list[Query] = []
        for field, value in zip(self.fields, raw, strict=True):
            if field is not None and value is None:
                has_not.append({"exists": {"field": field.name}})
            elif field is not None:
                has.append({"term": {field.name: {"value": value}}})
        return {"bool": {"filter": has, "must_not": has_not}}


def grouping_of(by: Sequence[str], fields: Fields) -> Grouping:
    """
    Return the grouping by the fields *by*.

    Raises:
        ExpressionError: One of them is the time.
        SourceError: The index cannot group by one of them.
    """
    if "timestamp" in by:
        raise ExpressionError("invalid --by timestamp: the command time shows the course over time")
    return Grouping(tuple(by), tuple(map(fields.groupable, by)))


def _text(field: IndexField | None, value: Any) -> str | None:
    if field is None or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.nanoseconds:
        return str(value / 1e9)
    return str(value)
