"""
`Planner`: compile a schema for one shape of an event, that is its names in order and the types of its values.

Write. `Translation` decides for each field of each line where it goes. Events of one shape get the same decisions, so a
plan has taken them once: it is one expression that builds the line, with the values at their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from obs_middleware.logs.line.encode import INT64
from obs_middleware.logs.line.limits import SHORT_TEXT
from obs_middleware.logs.schemas.convert import of_other_work, of_request
from obs_middleware.logs.schemas.translation import REQUEST, Event, Translation, same

__all__ = ["Plan", "Planner", "plan_flat"]

Plan = Callable[..., dict[str, Any] | None]
"""
Takes an event and the values of its fields, and returns the line; None if the line of this event has other places.

It also returns None if a text is so long that it may have to be cut, or if a number is not finite or too large.
"""

_BY_SHAPE: Final = (same, of_request, of_other_work)
"""Conversions that return the value itself or None, depending on the shape alone."""


class _Code(str):
    """A piece of a plan's source. Other texts on a line are constants."""

    __slots__ = ()


def plan_flat(names: Sequence[str], values: Sequence[Any]) -> Plan:
    """Return the plan for the flat schema. It renames structlog's ``event``, and checks the values."""
    source = _Source(values)
    return source.plan(dict(zip(_renamed(names, values), source.symbols, strict=True)))


class Planner(Translation):
    """
    A translation that can be compiled.

    Args:
        schema: The table.
    """

    def plan(self, names: Sequence[str], values: Sequence[Any]) -> Plan:  # noqa: C901 -- the decisions of Translation, in its order
        """
        Return the plan for the shape of an event.

        Args:
            names: The names of its fields; structlog's ``event`` is the message.
            values: Their values, which are scalars.

        Raises:
            ValueError: The message is no text, or a value chooses the names of its places.
            Exception: A conversion fails on a value.
        """
        source = _Source(values)
        names = _renamed(names, values)
        event = dict(zip(names, values, strict=True))
        line: dict[str, Any] = self._first.copy()
        objects: list[dict[str, Any] | None] = [line, *self._absent]
        own: list[tuple[str, _Code, type]] = []
        for (name, value), symbol in zip(event.items(), source.symbols, strict=True):
            step = self._steps.get(name)
            if step is None or type(value) not in step.kinds:
                own.append((name if step is None else f"app_{name}", symbol, type(value)))
                continue
            if step.number is not None:
                self._holder(objects, step.number)[step.key] = symbol
            for number, key, convert in step.others:
                converted = source.converted(convert, symbol, value, event)
                if converted is not None:
                    if key == "*":
                        raise ValueError(f"{name} chooses the names of its places")
                    self._holder(objects, number)[key] = converted
        if "outcome" in event:
            if "kind" in event:
                source.guards.append(f"event['kind'] != {event['kind']!r}")
            for number, key, value in self._constants.get(event.get("kind", REQUEST), ()):
                self._holder(objects, number)[key] = value
        for key in self._awaited:
            if line[key] is None:
                del line[key]
        for name, symbol, kind in own:
            self._place(objects, name, symbol, kind)
        return source.plan(line)

    def _holder(self, objects: list[dict[str, Any] | None], number: int) -> dict[str, Any]:
        return objects[number] or self._open(objects, number)


class _Source:
    """
    The source of a plan while it is being written.

    Attributes:
        symbols: For each value, the name of the variable that has it.
        guards: Conditions under which the plan must not be used.

    Args:
        values: The values of an event of the shape.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self.symbols = [_Code(f"v{number}") for number in range(len(values))]
        self.guards: list[str] = []
        self._functions: dict[str, Any] = {}
        for symbol, value in zip(self.symbols, values, strict=True):
            if type(value) is str:
                self.guards.append(f"len({symbol}) > {SHORT_TEXT}")
            elif type(value) is float:
                self.guards.append(f"{symbol} - {symbol}")  # 0.0, and NaN if the number is not finite

    def converted(self, convert: Callable[[Any, Event], Any], symbol: _Code, value: Any, event: Event) -> _Code | None:
        """Return the code for a converted *value*, or None if the conversion leaves its place out."""
        result = convert(value, event)
        if convert in _BY_SHAPE:
            return None if result is None else symbol
        if type(value) is int:  # the encoder refuses a larger one, but not the text of it
            self.guards.append(f"not {-INT64} <= {symbol} < {INT64}")
        number = len(self._functions)
        self._functions[f"f{number}"] = convert
        call = f"(r{number} := f{number}({symbol}, event))"
        self.guards.append(f"{call} is not None" if result is None else f"{call} is None")
        return None if result is None else _Code(f"r{number}")

    def plan(self, line: dict[str, Any]) -> Plan:
        """Return the plan that builds *line*, whose values are code, constants, or objects of these."""
        arguments, guards = ", ".join(("event", *self.symbols)), " or ".join(self.guards) or False
        source = f"lambda {arguments}: None if {guards} else {_display(line)}"
        plan: Plan = eval(source, self._functions)  # noqa: S307 -- made of numbered variables and of repr() of texts
        return plan


def _renamed(names: Sequence[str], values: Sequence[Any]) -> list[str]:
    """Return *names* with ``message`` in place of structlog's ``event``, whose value must be a text."""
    if "event" in names and type(values[names.index("event")]) is not str:
        raise ValueError("the message is no text")
    return ["message" if name == "event" else name for name in names]


def _display(value: Any) -> str:
    if type(value) is dict:
        return f"{{{', '.join(f'{name!r}: {_display(item)}' for name, item in value.items())}}}"
    return value if type(value) is _Code else repr(value)
