"""
The fields of an index: their names, their types, and their values in a document.

Read. An index contains lines of the schema ``ecs``.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.index.dsl import NUMBERS, TIMES, IndexField
from obs_middleware.read.schemas import LISTS, SCHEMAS, TYPES

__all__ = ["Fields", "field_in", "names_of", "value_in"]

_FULL_TEXT: Final = frozenset({"text", "match_only_text"})
_SCHEMA: Final = SCHEMAS["ecs"]
_ECS: Final = {field: ".".join(place.path) for field, place in _SCHEMA.places.items()}
_NANOSECONDS: Final = frozenset(field for field, place in _SCHEMA.places.items() if place.form == "ns")
# `obs.extra` is not indexed.
_OWN: Final = tuple(".".join(path[:-1]) for path in _SCHEMA.own if path[0] != "obs")
_NEEDED: Final = {"duration_seconds": NUMBERS, "timestamp": TIMES}
_EVENT_ID: Final = "event_id"
_CURE: Final = "obs-middleware elastic-template prints the types that are needed"


def names_of(own: Iterable[str]) -> list[str]:
    """Return the names that the fields of the package and the application's fields *own* may have in an index."""
    names = [*_ECS.values(), *(name for field in own for name in _own_names(field)), _EVENT_ID]
    return [*dict.fromkeys([*names, *(f"{name}.keyword" for name in names)])]


def _own_names(field: str) -> list[str]:
    """Return the possible names of a field of the application. The last one is that of a field that a shipper added."""
    return [*(f"{place}.{field}" for place in _OWN), field]


class Fields:
    """
    The fields of an index or of several indices, with their types.

    Args:
        where: The URL of the index, for messages.
        capabilities: As the search engine returns them: name -> type -> properties.

    Raises:
        SourceError: The duration or the time is missing, or has a wrong type.
    """

    def __init__(self, where: str, capabilities: Mapping[str, Mapping[str, Any]]) -> None:
        self._where = where
        self._capabilities = capabilities
        for field, types in _NEEDED.items():
            found = self.find(field)
            if found is None:
                raise SourceError(f"{where}: no request lines: the index has no field {_ECS[field]} of the schema ecs")
            if found.type not in types:
                raise SourceError(f"{where}: {_ECS[field]} is {found.type}: {_CURE}")

    def find(self, field: str) -> IndexField | None:
        """
        Return the index's field for *field*; None for a field of the package that the index does not have.

        Raises:
            SourceError: Its type differs from index to index.
            ExpressionError: A field of the application is missing, or is in two places.
        """
        if field in TYPES:
            return self._named(_ECS[field], nanoseconds=field in _NANOSECONDS)
        found = [one for one in map(self._named, _own_names(field)) if one is not None]
        if not found:
            raise ExpressionError(f"unknown field {field}: {self._where} has none of {', '.join(_own_names(field))}")
        if len(found) > 1:
            raise ExpressionError(f"ambiguous field {field}: name {' or '.join(one.name for one in found)}")
        return found[0]

    def name(self, field: str) -> str:
        """Return the name of a field of the package, also if the index does not have it."""
        found = self.find(field)
        return _ECS[field] if found is None else found.name

    def groupable(self, field: str) -> IndexField | None:
        """
        Return the same as `find`, if lines can be grouped by the field.

        Raises:
            SourceError: They cannot.
        """
        found = self.find(field)
        if found is None:
            return None
        if found.type in _FULL_TEXT or not self._capabilities[found.name][found.type]["aggregatable"]:
            raise SourceError(f"{self._where}: cannot group by {found.name}, which is {found.type}: {_CURE}")
        return found

    def order(self) -> list[dict[str, str]]:
        """Return the sort order by time, then by the id of the line, if the index can sort by it."""
        tie = self._named(_EVENT_ID)
        return [{"@timestamp": "asc"}, *([{tie.name: "asc"}] if tie and tie.type not in _FULL_TEXT else [])]

    def _named(self, name: str, *, nanoseconds: bool = False) -> IndexField | None:
        types = [kind for kind in self._capabilities.get(name, {}) if kind not in {"object", "unmapped"}]
        if len(types) > 1 and not _alike(types):
            raise SourceError(f"{self._where}: {name} has several types, {' and '.join(sorted(types))}: {_CURE}")
        if not types:
            return None
        # The default type of a search engine for text is full text, with a keyword beside it.
        if types[0] in _FULL_TEXT and (found := self._named(f"{name}.keyword")):
            return found
        return IndexField(name, types[0], nanoseconds)


def _alike(types: Iterable[str]) -> bool:
    return set(types) <= NUMBERS or set(types) <= TIMES


def field_in(document: Any, field: str) -> Any:
    """Return the value of a field of the package in a document, in the units of the flat schema."""
    value = value_in(document, _ECS[field].split("."))
    if field == "timestamp" and isinstance(value, str):
        return dt.datetime.fromisoformat(value).astimezone(dt.UTC).replace(tzinfo=None)
    if field in LISTS and isinstance(value, list):
        return json.dumps(value)
    return value / 1e9 if field in _NANOSECONDS and isinstance(value, int | float) else value


def value_in(document: Any, path: Sequence[str]) -> Any:
    """Return the value at *path* in a document. A key with dots counts as several steps."""
    if not path:
        return document
    if not isinstance(document, Mapping):
        return None
    for length in range(1, len(path) + 1):
        key = ".".join(path[:length])
        if key in document and (found := value_in(document[key], path[length:])) is not None:
            return found
    return None
