"""
`Planner`: write the plan of a schema for one shape of an event, that is its names in order and the types of its values.

Write. `Translation` decides for each field of each line where it goes. Events of one shape get the same decisions, so a
plan has taken them once.
"""

from __future__ import annotations

from typing import Any, Final

from obs_middleware.logs.line.source import Plan, Source
from obs_middleware.logs.schemas.convert import of_other_work, of_request
from obs_middleware.logs.schemas.translation import REQUEST, Convert, Translation, same

__all__ = ["Planner", "plan_flat"]

_BY_SHAPE: Final = (same, of_request, of_other_work)
"""Conversions that return the value itself or None, depending on the shape alone."""


def plan_flat(source: Source) -> Plan:
    """Return the plan for the flat schema."""
    return source.plan(source.values)


def _converted(source: Source, name: str, convert: Convert) -> Any:
    """Return the converted field *name*, or None if the conversion leaves its place out."""
    if convert not in _BY_SHAPE:
        return source.converted(name, convert)
    return None if convert(source.event[name], source.event) is None else source.values[name]


class Planner(Translation):
    """
    A translation that can be compiled.

    Args:
        schema: The table.
    """

    def plan(self, source: Source) -> Plan:  # noqa: C901 -- the decisions of Translation, in its order
        """
        Return the plan for the shape of an event.

        Args:
            source: The fields of an event of the shape.

        Raises:
            ValueError: A value chooses the names of its places.
            Exception: A conversion fails on a value.
        """
        event = source.event
        line: dict[str, Any] = self._first.copy()
        objects: list[dict[str, Any] | None] = [line, *self._absent]
        own: list[tuple[str, Any, type]] = []
        for name, value in event.items():
            there = source.values[name]
            step = self._steps.get(name)
            if step is None or type(value) not in step.kinds:
                own.append((name if step is None else f"app_{name}", there, type(value)))
                continue
            if step.number is not None:
                self._holder(objects, step.number)[step.key] = there
            for number, key, convert in step.others:
                converted = _converted(source, name, convert)
                if converted is not None:
                    if key == "*":
                        raise ValueError(f"{name} chooses the names of its places")
                    self._holder(objects, number)[key] = converted
        if "outcome" in event:
            if "kind" in event:
                source.require("kind")
            for number, key, value in self._constants.get(event.get("kind", REQUEST), ()):
                self._holder(objects, number)[key] = value
        for key in self._awaited:
            if line[key] is None:
                del line[key]
        for name, there, kind in own:
            self._place(objects, name, there, kind)
        return source.plan(line)

    def _holder(self, objects: list[dict[str, Any] | None], number: int) -> dict[str, Any]:
        return objects[number] or self._open(objects, number)
