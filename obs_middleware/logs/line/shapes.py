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
from obs_middleware.logs.line.encode import INT64
from obs_middleware.logs.line.limits import MAX_KEYS, TRACES
from obs_middleware.logs.line.source import Frame, Plan, Source

__all__ = ["MOST_PLANS", "Make", "Shapes"]

MOST_PLANS: Final = 500
"""Plans of a formatter, of 10 to 20 kB each. Beyond it, a new one takes the place of those for the oldest names."""

_VARIANTS: Final = 8
"""
Plans for the same names: types of values may differ, or a value may decide about a place, for example whether an
address is one. Beyond it, a new one takes the place of the oldest, so that a few odd requests do not decide for good.
"""

_RARELY: Final = 64
"""To compile a plan takes as long as some lines. A site with too many shapes does it for one line in so many."""


Make = Callable[[Source], Plan]
"""Returns a plan for the names and values of an event. See `obs_middleware.logs.schemas.plans`."""


class Shapes:
    """
    Plans by the shape of an event. A plan is made when the names are seen for the second time.

    Args:
        make: Makes the plans.
        cleaner: The cleaner of the chain, which knows the names of the fields.
        frame: What all lines have in common.
    """

    def __init__(self, make: Make, cleaner: Cleaner, frame: Frame) -> None:
        self._make = make
        self._cleaner = cleaner
        self._frame = frame
        self._most = MAX_KEYS - len(frame.head) - len(frame.constants)
        self._plans: dict[tuple[str, ...], list[Plan]] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._count = 0
        self._refused = 0

    def line(self, event: Mapping[str, Any], head: Sequence[str] = ()) -> str | None:
        """
        Return the line of an event, or None if the chain must write it.

        Args:
            event: The names and values of the event; they may be any objects.
            head: The values of the fields in front: texts.

        Raises:
            Exception: Treat it as None. Causes: a conversion fails on a value, it cannot be encoded, or another thread
                changes the event.
        """
        values = (*event.values(),)  # once and before the names, because another thread may change the event
        names = (*event,)
        plans = self._plans.get(names)
        if plans is not None:
            for plan in plans:
                line = plan(head, values, event)
                if line is not None:
                    return line or None
        self._learn(names, dict(zip(names, values, strict=True)), head)
        return None

    def _learn(self, names: tuple[Any, ...], event: Mapping[str, Any], head: Sequence[str]) -> None:
        """Make a plan for the shape of *event* if it is worth it and nothing of *event* has to be cleaned."""
        if not self._cleaner.is_plain(event, self._most) or not all(map(_can_be_planned, event, event.values())):
            return
        if any(type(text) is not str for text in head):  # a logger may have an enum as its name
            return
        if names not in self._seen:
            if len(self._seen) >= MOST_PLANS:
                self._seen.clear()
            self._seen.add(names)
            return
        variants = len(self._plans.get(names, ()))
        if self._count >= MOST_PLANS or variants >= _VARIANTS:
            self._refused += 1
            if self._refused % _RARELY:
                return
            if variants >= _VARIANTS:
                del self._plans[names][0]
                self._count -= 1
            else:
                self._count -= len(self._plans.pop(next(iter(self._plans))))
        try:
            plan = self._make(Source(event, head, self._frame))
        except BaseException as error:  # noqa: BLE001 -- the chain handles whatever a conversion does not like
            raise_interrupt(error)
            plan = _no_line
        self._plans.setdefault(names, []).append(plan)
        self._count += 1


def _can_be_planned(name: Any, value: Any) -> bool:
    # A trace has a limit in bytes, and a name of another type may have a repr() that is no text.
    kind = type(value)
    is_usual = isfinite(value) if kind is float else kind is not int or -INT64 <= value < INT64
    return is_usual and type(name) is str and name not in TRACES


def _no_line(*_: Any) -> None:
    """Leave the line to the next plan, and then to the chain: no plan could be made."""
