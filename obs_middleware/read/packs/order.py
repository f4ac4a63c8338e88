"""
The order of keys that many lines have in common: `Keys`.

Read. A line may leave out keys. The order is found from the lines, so that packs know nothing of the writers.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

__all__ = ["MOST_PATHS", "Keys", "Path"]

Path = tuple[str, ...]

MOST_PATHS: Final = 300
"""More columns would cost more than they save."""


class Keys:
    """The paths of values in lines, in an order that fits all lines that were added."""

    def __init__(self) -> None:
        self._before: dict[Path, dict[str, dict[str, None]]] = {}
        self._is_object: dict[Path, bool] = {}

    def add(self, structure: dict[str, Any]) -> bool:
        """
        Add the keys of a line, as ``json_structure`` describes them.

        Returns:
            False if the line does not fit the others, so that nothing was added.
        """
        places = dict(_places(structure, ()))
        if any(self._is_object.get(path, is_object) != is_object for path, is_object in places.items()):
            return False
        if len(self._is_object.keys() | places.keys()) > MOST_PATHS:
            return False
        before = {parent: {key: dict(found) for key, found in keys.items()} for parent, keys in self._before.items()}
        for parent, key, last in _steps(structure, ()):
            if not key:
                return False  # json_transform refuses it
            keys = before.setdefault(parent, {})
            if key not in keys and key.lower() in {one.lower() for one in keys}:
                return False  # DuckDB cannot tell them apart
            keys.setdefault(key, {}).update({} if last is None else {last: None})
        try:
            for keys in before.values():
                TopologicalSorter(keys).prepare()
        except CycleError:
            return False
        self._before = before
        self._is_object.update(places)
        return True

    def paths(self, parent: Path = ()) -> Iterator[Path]:
        """Yield the paths of the values."""
        for key in TopologicalSorter(self._before.get(parent, {})).static_order():
            path = (*parent, key)
            if self._is_object[path]:
                yield from self.paths(path)
            else:
                yield path


def _places(structure: dict[str, Any], parent: Path) -> Iterator[tuple[Path, bool]]:
    for key, inner in structure.items():
        yield (*parent, key), isinstance(inner, dict)
        if isinstance(inner, dict):
            yield from _places(inner, (*parent, key))


def _steps(structure: dict[str, Any], parent: Path) -> Iterator[tuple[Path, str, str | None]]:
    """Yield each key with its parent and the key before it."""
    last = None
    for key, inner in structure.items():
        yield parent, key, last
        last = key
        if isinstance(inner, dict):
            yield from _steps(inner, (*parent, key))
