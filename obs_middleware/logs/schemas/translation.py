"""
The parts of a schema, and `Translation`, which applies a schema to an event.

Write. A schema is a table: for each of our fields it has the place in the line and the form of the value. Fields that
an application bound go under names that no table uses, so they can neither replace a field nor clash with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from obs_middleware.logs.line.values import unused_key
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["REQUEST", "Constants", "Convert", "Event", "Own", "Schema", "To", "Translation", "same", "to", "under"]

Event = Mapping[str, Any]
Convert = Callable[[Any, Event], Any]


class To(NamedTuple):
    """
    One place of a field in the line.

    Attributes:
        path: The keys from the root to the value; a key may contain dots. If the last key is ``*``, the value is a
            mapping and its items are put there one by one.
        form: The JSON type and the unit there; empty if the value is unchanged.
        convert: Returns the value for this place, given the field's value and the whole event; None to leave it out.
        store: The type in a document store's mapping, if `form` does not determine it.
    """

    path: tuple[str, ...]
    form: str = ""
    convert: Convert | None = None
    store: str = ""


class Own(NamedTuple):
    """
    A place for the application's fields whose values have certain JSON types.

    Attributes:
        path: The keys from the root to the object that holds them.
        types: The types: ``text``, ``null``, ``number`` (with booleans), ``tree`` (lists and objects).
        prefix: Put before each name.
        most: The limit of their number; None for no limit. Fields beyond it go to the place of numbers.
    """

    path: tuple[str, ...]
    types: tuple[str, ...] = ("text", "null", "number", "tree")
    prefix: str = ""
    most: int | None = None


Constants = tuple[tuple[tuple[str, ...], Any], ...]
"""Paths and values."""

REQUEST: Final = "request"
"""The kind of a line that has an outcome and no `kind`."""


class Schema(NamedTuple):
    """
    The table of a schema.

    Attributes:
        fields: Where each of `obs_middleware.measure.vocabulary.FIELDS` goes.
        own: Where the fields of the application go.
        first: The first keys of the line, in order; with a value if it is the same on every line, otherwise None.
        constants: Constants of the line of a unit: its kind, or `REQUEST` -> paths and values.
    """

    fields: Mapping[str, tuple[To, ...]]
    own: tuple[Own, ...]
    first: Mapping[str, str | None]
    constants: Mapping[str, Constants] = MappingProxyType({})


def to(path: str, form: str = "", convert: Convert | None = None, *, store: str = "") -> tuple[To, ...]:
    """Return the place at *path*, whose keys are separated by dots."""
    return (To(tuple(path.split(".")), form, convert, store),)


def under(*parents: str) -> Callable[..., tuple[To, ...]]:
    """Return a function like `to` for places below *parents*; it takes one key, which may contain dots."""

    def place(name: str, form: str = "", convert: Convert | None = None) -> tuple[To, ...]:
        return (To((*parents, name), form, convert),)

    return place


def same(value: Any, _: Event) -> Any:
    """Return *value*: the field goes to this place unchanged, and to another one too."""
    return value


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "string or null": (str, type(None)),
    "integer": (int,),
    "number": (float, int),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

_TYPES_OF_OWN: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "null": (type(None),),
    "number": (int, float, bool),
    "tree": (list, dict),
}


class _Step(NamedTuple):
    """
    The prepared places of one field: one that takes the value unchanged, and all others.

    Attributes:
        kind: The usual type of its values.
        kinds: All types that its values may have.
        number: The number of the object that takes the value unchanged; None if no object does.
        key: The key in that object.
        others: The other places: number of the object, key, conversion.
    """

    kind: type
    kinds: tuple[type, ...]
    number: int | None
    key: str
    others: tuple[tuple[int, str, Convert], ...]


class Translation:
    """
    A structlog processor that translates an event with clean values into a schema.

    A processor of the application may give one of our fields a value of another type. Such a field is written as the
    application's own, ``app_<name>``, so that the types of the schema hold and no value is lost.
    """

    def __init__(self, schema: Schema) -> None:
        # The objects of a line are numbered so that nothing is looked up by path for each line. 0 is the line itself.
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self._parents: list[tuple[int, str]] = [(0, "")]
        self._first = dict(schema.first)
        self._awaited = tuple(key for key, value in schema.first.items() if value is None)
        self._constants = {
            kind: tuple((self._number(path[:-1]), path[-1], value) for path, value in constants)
            for kind, constants in schema.constants.items()
        }
        self._steps = {name: self._step(name, places) for name, places in schema.fields.items()}
        self._own = {
            kind: (self._number(own.path), own.prefix, own.most)
            for own in schema.own
            for name in own.types
            for kind in _TYPES_OF_OWN[name]
        }
        self._absent: tuple[None, ...] = (None,) * (len(self._parents) - 1)

    def _number(self, path: tuple[str, ...]) -> int:
        """Return the number of the object at *path*; give it and its parents one if it has none."""
        number = self._numbers.get(path)
        if number is None:
            parent = self._number(path[:-1])
            number = self._numbers[path] = len(self._parents)
            self._parents.append((parent, path[-1]))
        return number

    def _step(self, name: str, places: tuple[To, ...]) -> _Step:
        types = _TYPES[FIELDS[name].type]
        numbered = [(self._number(to.path[:-1]), to.path[-1], to.convert) for to in places]
        number, key = next(((number, key) for number, key, convert in numbered if convert is None), (None, ""))
        others = tuple(
            (other, there, same if convert is None else convert)
            for other, there, convert in numbered
            if (other, there) != (number, key)
        )
        return _Step(types[0], types, number, key, others)

    def __call__(self, _: Any, __: str, event: Event) -> dict[str, Any]:  # noqa: C901, PLR0912 -- done for each field of each line, so calls nothing
        """Return *event* in the schema."""
        line: dict[str, Any] = self._first.copy()
        objects: list[dict[str, Any] | None] = [line, *self._absent]
        steps = self._steps
        own: list[tuple[str, Any]] = []
        for name, value in event.items():
            known = steps.get(name)
            if known is None:
                own.append((name, value))
                continue
            kind, kinds, number, key, others = known
            if type(value) is not kind and type(value) not in kinds:
                own.append((f"app_{name}", value))
                continue
            if number is not None:
                (objects[number] or self._open(objects, number))[key] = value
            for number, key, convert in others:
                try:
                    there = convert(value, event)
                except Exception:  # noqa: BLE001 -- the value has the right type and still cannot be converted
                    own.append((f"app_{name}", value))
                    continue
                if there is None:
                    continue
                holder = objects[number] or self._open(objects, number)
                if key == "*":
                    holder.update(there)
                else:
                    holder[key] = there
        if "outcome" in event:
            kind_of_unit = event.get("kind", REQUEST)
            # A processor of the application may have put any value there.
            for number, key, value in self._constants.get(kind_of_unit, ()) if type(kind_of_unit) is str else ():
                (objects[number] or self._open(objects, number))[key] = value
        for key in self._awaited:
            if line[key] is None:
                del line[key]
        for name, value in own:
            self._place(objects, name, value, type(value))
        return line

    def _open(self, objects: list[dict[str, Any] | None], number: int) -> dict[str, Any]:
        """Return the object *number*; make it and its parents if they are missing."""
        found = objects[number]
        if found is None:
            found = objects[number] = {}
            parent, key = self._parents[number]
            (objects[parent] or self._open(objects, parent))[key] = found
        return found

    def _place(self, objects: list[dict[str, Any] | None], name: str, value: Any, kind: type) -> None:
        """Put a field of the application into the object for values of type *kind*."""
        number, prefix, most = self._own[kind]
        holder = objects[number] or self._open(objects, number)
        if most is not None and len(holder) >= most:
            number, prefix, most = self._own[int]
            holder = objects[number] or self._open(objects, number)
        key = prefix + name
        holder[unused_key(key, holder) if key in holder else key] = value
