"""
Reasons why no request passes the filters: `none_passes`.

Read. A misspelt filter matches nothing, like a filter that is right in a log without such requests. The reasons tell
one from the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from obs_middleware.read.where.conditions import Compared, Condition, Every, Missing, Not, Some, fields_of

__all__ = ["no_route", "none_passes"]

Has = Callable[[Condition], bool]
"""Returns whether any request matches a condition."""


def none_passes(lines: int, condition: Condition, has: Has, noun: str = "request") -> str:
    """
    Return the message for filters that no request passes.

    Args:
        lines: The number of request lines without the filters.
        condition: The filters.
        has: Returns whether any request, without the filters, matches a condition.
        noun: The kind of the lines.
    """
    reasons = "".join(f"; {reason}" for reason in _reasons(condition, has, noun))
    one = f"the one {noun} line does not pass" if lines == 1 else f"none of the {lines:,} {noun} lines passes"
    return f"{one} the filters{reasons}"


def no_route(route: str, noun: str = "request") -> str:
    """Return the message for a route that no line of a *noun* has, with the correction if it looks like a path."""
    without = route.lstrip("/")
    hint = f": routes have no leading slash, so try --route {shlex.quote(without)}" if without != route else ""
    return f"no {noun} line has the route {route!r}{hint}"


def _reasons(condition: Condition, has: Has, noun: str) -> Iterator[str]:
    unknown = sorted(field for field in fields_of(condition) if not has(Not(Missing(field))))
    for field in unknown:
        yield f"no {noun} line has the field {field}"
    for route in dict.fromkeys(_routes(condition)):
        if "route" not in unknown and not has(Compared("route", "=", route)):
            yield no_route(route, noun)


def _routes(condition: Condition) -> Iterator[str]:
    """Yield the routes that *condition* asks for."""
    match condition:
        case Compared(field="route", operator="=", value=str(route)):
            yield route
        case Every(of=parts) | Some(of=parts):
            for part in parts:
                yield from _routes(part)
