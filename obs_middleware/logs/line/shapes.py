"""
`Shapes`: the plans of a schema for the shapes of the events that were seen.

Write. The shape of an event is its names in order and the types of its values. Most sites write a few dozen shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from obs_middleware.failures import raise_interrupt
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.encode import encode_whole
from obs_middleware.logs.line.limits import MAX_KEYS, TRACES

__all__ = ["MOST_SHAPES", "Make", "Plan", "Shapes"]

MOST_SHAPES: Final = 500
"""Shapes that have plans. Beyond it, a new one takes the place of the oldest."""

_VARIANTS: Final = 4
"""
Plans for one shape: a value may decide about a place, for example whether an address is one. Beyond it, a new one takes
the place of the oldest, so that a few odd requests do not decide for good.
"""

_RARELY: Final = 64
"""To compile a plan takes as long as some lines. A site with too many shapes does it for one line in so many."""


Plan = Callable[..., dict[str, Any] | None]
Make = Callable[[Sequence[str], Sequence[Any]], Plan]
"""Returns a plan for the names and values of an event. See `obs_middleware.logs.schemas.plans`."""


class Shapes:
    """
    Plans by the shape of an event. A plan is made when a shape is seen for the second time.

    Args:
        make: Makes the plans.
        cleaner: The cleaner of the chain, which knows the names of the fields.
        most_bytes: The limit of a line in bytes, without its line feed.
        head: The names of the fields that all events have in front and that their shapes need not name.
    """

    def __init__(self, make: Make, cleaner: Cleaner, most_bytes: int, head: Sequence[str] = ()) -> None:
        self._make = make
        self._cleaner = cleaner
        self._most_bytes = most_bytes
        self._head = head
        self._plans: dict[tuple[Any, ...], list[Plan]] = {}
        self._seen: set[tuple[Any, ...]] = set()
        self._refused = 0

    def line(self, event: Mapping[str, Any], head: Sequence[Any] = ()) -> str | None:
        """
        Return the line of an event, or None if the chain must write it.

        Args:
            event: The names and values of the event; they may be any objects.
            head: The values of the fields in front: short texts.

        Raises:
            Exception: Treat it as None. Causes: a conversion fails on a value, or it cannot be encoded.
        """
        values = (*event.values(),)  # once, because another thread may change the event
        shape = (*event, *map(type, values))
        plans = self._plans.get(shape)
        if plans is not None:
            for plan in plans:
                line = plan(event, *head, *values)
                if line is not None:
                    return encode_whole(line, self._most_bytes)
        self._learn(shape, dict(zip(event, values, strict=True)), head)
        return None

    def _learn(self, shape: tuple[Any, ...], event: Mapping[str, Any], head: Sequence[Any]) -> None:
        """Make a plan for *shape* if it is worth it and nothing of *event* has to be cleaned."""
        most = MAX_KEYS - len(self._head)
        if not self._cleaner.is_plain(event, most) or not all(map(_can_be_planned, event, event.values())):
            return
        if shape not in self._seen:
            if len(self._seen) >= MOST_SHAPES:
                self._seen.clear()
            self._seen.add(shape)
            return
        plans = self._plans.get(shape)
        if len(self._plans) >= MOST_SHAPES if plans is None else len(plans) >= _VARIANTS:
            self._refused += 1
            if self._refused % _RARELY:
                return
            if plans is None:
                self._plans.pop(next(iter(self._plans)), None)
            else:
                del plans[0]
        if plans is None:
            plans = self._plans[shape] = []
        try:
            plan = self._make((*self._head, *event), (*head, *event.values()))
        except BaseException as error:  # noqa: BLE001 -- the chain handles whatever a conversion does not like
            raise_interrupt(error)
            plan = _no_line
        plans.append(plan)


def _can_be_planned(name: Any, value: Any) -> bool:
    # A trace has a limit in bytes, and a name of another type may have a repr() that is no text.
    return type(name) is str and name not in TRACES and (type(value) is not float or isfinite(value))


def _no_line(*_: Any) -> None:
    """Leave the line to the chain: no plan could be made."""
