"""
``obs-middleware diff``: two logs compared, group by group, and whether a change is more than chance.

Read.
"""

from __future__ import annotations

import argparse
from typing import Any

from obs_middleware.read.answers import FEW, Change, Requests
from obs_middleware.read.commands._common import Session, add_format, add_memory, answered, number, said_of
from obs_middleware.read.commands.stats import add_by, by_of, exactness, head_of, notes_of
from obs_middleware.read.files.requests import CONFIDENCE, DRAWS, STATS_FIELDS
from obs_middleware.read.index.access import add_engine
from obs_middleware.read.show.text import Answer, Column, Table, count, duration, plain, route, show
from obs_middleware.read.where.expression import BadExpression
from obs_middleware.read.where.options import add_filters

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``diff``."""
    parser.add_argument(
        "sides",
        nargs="*",
        metavar="BEFORE AFTER",
        help="two log files or patterns; with --opensearch two expressions as --where has, or two --index instead",
    )
    add_filters(parser)
    add_memory(parser)
    add_engine(parser)
    add_by(parser)
    parser.add_argument("--limit", type=number, default=20, metavar="N", help="groups to compare, 0 for all (20)")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show what changed."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    by = by_of(arguments)
    sides = _sides(arguments)
    asked = {side: session.requests([name], {*STATS_FIELDS, *by}) for side, name in zip(_SIDES, sides, strict=True)}
    alls = {side: requests.overview() for side, requests in asked.items()}
    found = session.changes(asked["before"], asked["after"], by, arguments.limit or None)
    columns = (
        *(Column(name, name, route if name == "route" else plain, right=False) for name in by),
        Column("", "figure", plain, right=False, whole=True),
        Column("before", "before_seconds", duration),
        Column("after", "after_seconds", duration),
        Column("change", "change_seconds", _signed),
        Column("by", "change_ratio", lambda ratio: f"{ratio:+.0%}"),
        Column("from", "low_seconds", _signed, spare=3),
        Column("to", "high_seconds", _signed, spare=3),
        Column("n before", "n_before", count, spare=2),
        Column("n after", "n_after", count, spare=1),
        Column("", "verdict", plain, right=False, whole=True),
    )
    rows = tuple(_row(one) for one in found)
    few = frozenset(n for n, one in enumerate(found) if one.real is None)
    data = {
        **{side: {**said_of(requests), "overview": alls[side]} for side, requests in asked.items()},
        "confidence": CONFIDENCE,
        "draws": DRAWS,
        "changes": [_data(one) for one in found],
    }
    head = tuple(f"{side:<7}{head_of(alls[side])[0]}" for side in asked)
    notes = (
        *(f"{side}: {note}" for side, requests in asked.items() for note in (*requests.notes, *notes_of(alls[side]))),
        *exactness(asked["after"]),
        f"from, to: bootstrap interval of the change, {CONFIDENCE:.0%}, {DRAWS:,} samples of each side",
        *_error(asked["after"]),
        "slower, faster: the interval leaves zero out; by chance alone one figure in a hundred does",
        f"fewer than {FEW} requests on one side are too few to tell",
    )
    show(Answer(data, head, (Table(f"By {', '.join(by)}", columns, rows, few),), notes), arguments.format)
    return 0


_SIDES = ("before", "after")


def _sides(arguments: argparse.Namespace) -> list[str]:
    """Return the names of both sides: files, or what tells the sides apart in a search engine."""
    sides: list[str] = arguments.sides
    if arguments.opensearch is None:
        if len(sides) != 2:
            raise BadExpression("name two logs: BEFORE AFTER.")
        return sides
    if len(arguments.index) == 2 and not sides:
        return list(arguments.index)
    if len(arguments.index) != 1 or len(sides) != 2:
        raise BadExpression("name two --index, or one and two expressions: \"version = '1.1'\" \"version = '1.2'\".")
    return sides


def _error(requests: Requests) -> tuple[str, ...]:
    return () if requests.approximate is None else ("the error of the percentiles is drawn too, and makes it wider",)


def _signed(seconds: float) -> str:
    return f"{'-' if seconds < 0 else '+'}{duration(abs(seconds))}"


def _word(change: Change) -> str:
    if change.real is None:
        return "too few"
    if not change.real:
        return "chance"
    return "slower" if (change.low or 0.0) > 0 else "faster"


def _row(change: Change) -> tuple[object, ...]:
    difference = ratio = None
    if change.before is not None and change.after is not None:
        difference = change.after - change.before
        ratio = difference / change.before if change.before else None
    return (
        *change.keys,
        change.figure,
        change.before,
        change.after,
        difference,
        ratio,
        change.low,
        change.high,
        change.n_before,
        change.n_after,
        _word(change),
    )


def _data(change: Change) -> dict[str, Any]:
    return {
        "keys": change.keys,
        "figure": change.figure,
        "n_before": change.n_before,
        "n_after": change.n_after,
        "before_seconds": change.before,
        "after_seconds": change.after,
        "low_seconds": change.low,
        "high_seconds": change.high,
        "real": change.real,
    }
