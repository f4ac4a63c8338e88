"""
The filters that every command has, as one condition: `condition_of`.

Read. A line passes if all of ``--since``, ``--until``, ``--route``, ``--method``, ``--status`` and ``--where`` match.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.where.conditions import Compared, Condition, Every, Some, one_of
from obs_middleware.read.where.expression import parse
from obs_middleware.read.where.times import moment_of, zone_of

__all__ = ["add_filters", "condition_of", "now_of", "said"]

_STATUS: Final = re.compile(r"([1-5])xx|(\d{3})(?:-(\d{3}))?", re.IGNORECASE)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that `condition_of` reads."""
    group = parser.add_argument_group("filters, all of which must match")
    group.add_argument(
        "--since", metavar="TIME", help="2026-11-02T10:00:00Z, 10:01, yesterday, or an age: 15m, 1h30m, 1w"
    )
    group.add_argument("--until", metavar="TIME", help="the same; this time is excluded")
    group.add_argument("--tz", metavar="ZONE", help="time zone: Europe/Amsterdam, --tz=+02:00, local (UTC)")
    group.add_argument("--where", metavar="EXPR", action="append", help='"status >= 500 and duration_seconds > 300ms"')
    group.add_argument("--route", metavar="ROUTE", action="append", help='the route of the line; "" is the root')
    group.add_argument("--method", metavar="METHOD", action="append", help="GET, POST, ...")
    group.add_argument("--status", metavar="STATUS", action="append", help="404, 5xx, 400-499; several: 404,5xx")


def now_of(arguments: argparse.Namespace) -> dt.datetime:
    """
    Return the current time in the time zone of ``--tz``.

    Raises:
        ExpressionError: There is no such time zone.
    """
    return dt.datetime.now(zone_of(arguments.tz))


def condition_of(arguments: argparse.Namespace, now: dt.datetime | None = None) -> Condition:
    """
    Return the condition of the options.

    Args:
        arguments: Parsed arguments with the options of `add_filters`.
        now: The result of `now_of`; None for the current time.

    Raises:
        ExpressionError: An option is invalid.
    """
    now = now or now_of(arguments)
    conditions = [parse(text) for text in arguments.where or ()]
    for name, operator in (("since", ">="), ("until", "<")):
        text = getattr(arguments, name)
        if text is not None:
            conditions.append(Compared("timestamp", operator, moment_of(text, f"--{name}", now).isoformat()))
    if arguments.route:
        conditions.append(one_of("route", arguments.route))
    if arguments.method:
        conditions.append(one_of("method", [method.upper() for method in arguments.method]))
    if arguments.status:
        conditions.append(_statuses([part for text in arguments.status for part in text.split(",")]))
    return Every(tuple(conditions))


def said(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the filters as the user typed them: ``--since 2h``."""
    written: list[str] = []
    for name in ("since", "until", "tz", "where", "route", "method", "status"):
        value = getattr(arguments, name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        written.extend(f"--{name} {one}" for one in values)
    return tuple(written)


def _statuses(parts: Sequence[str]) -> Condition:
    ranges: list[Condition] = []
    for part in parts:
        match = _STATUS.fullmatch(part.strip())
        if match is None:
            raise ExpressionError(f"invalid --status {part!r}: use a status (404), a class (5xx) or a range (400-499)")
        low, high = (
            (int(match[1]) * 100, int(match[1]) * 100 + 99) if match[1] else (int(match[2]), int(match[3] or match[2]))
        )
        ranges.append(Every((Compared("status", ">=", float(low)), Compared("status", "<=", float(high)))))
    return Some(tuple(ranges))
