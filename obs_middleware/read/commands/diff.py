"""``obs-middleware diff``: compare two logs group by group, and tell a real change from chance."""

from __future__ import annotations

import argparse
from typing import Any

from obs_middleware.read.answers import FEW, STATS_FIELDS, Overview
from obs_middleware.read.commands._arguments import add_by, add_format, add_limit, add_memory, by_of
from obs_middleware.read.commands._common import Session, answered, source_data
from obs_middleware.read.commands._overview import exactness_of, figure_notes, head_of, reading_notes
from obs_middleware.read.comparison import CONFIDENCE, DRAWS, Change, compare
from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.index.access import add_access
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.numbers import count, duration
from obs_middleware.read.show.text import Answer, Column, Table, plain, route, show
from obs_middleware.read.where.options import add_filters

__all__ = ["configure", "run"]

_SIDES = ("before", "after")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``diff``."""
    parser.add_argument(
        "sides",
        nargs="*",
        metavar="BEFORE AFTER",
        help="two log files or patterns; with --opensearch, two expressions like that of --where, or two --index",
    )
    add_filters(parser)
    add_memory(parser)
    add_access(parser)
    add_by(parser)
    add_limit(parser, "groups to compare, 0 for all")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what changed."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    by = by_of(arguments)
    sides = dict(zip(_SIDES, _sides(arguments), strict=True))
    requests = {side: session.requests([name], {*STATS_FIELDS, *by}) for side, name in sides.items()}
    overviews = {side: one.overview() for side, one in requests.items()}
    changes = compare(requests["before"], requests["after"], by, arguments.limit or None)
    data = {
        **{side: {**source_data(one), "overview": overviews[side]} for side, one in requests.items()},
        "confidence": CONFIDENCE,
        "draws": DRAWS,
        "changes": [_data(change) for change in changes],
    }
    head = tuple(f"{side:<7}{head_of(overview)[0]}" for side, overview in overviews.items())
    approximate = exactness_of(requests["after"])
    notes = (
        *(f"{side}: {note}" for side in _SIDES for note in _notes(requests[side], overviews[side])),
        *approximate,
        f"from, to: {CONFIDENCE:.0%} bootstrap interval of the change, from {DRAWS:,} samples of each side",
        *(["the interval includes the error of the percentiles, which makes it wider"] if approximate else []),
        "slower, faster: the interval excludes zero; by chance alone, one figure in a hundred does",
        f"too few: fewer than {FEW} requests on one side",
    )
    show(Answer(data, head, (_table(by, changes),), notes), arguments.format)
    return 0


def _notes(requests: Requests, everything: Overview) -> tuple[str, ...]:
    return *reading_notes(requests), *figure_notes(everything)


def _sides(arguments: argparse.Namespace) -> list[str]:
    """Return the two sides: files, or the index patterns or expressions that select the lines in a search engine."""
    sides: list[str] = arguments.sides
    if arguments.opensearch is None:
        if len(sides) != len(_SIDES):
            raise ExpressionError(f"diff compares two logs, BEFORE and AFTER, and you named {len(sides)}")
        return sides
    if len(arguments.index) == len(_SIDES) and not sides:
        return list(arguments.index)
    if len(arguments.index) != 1 or len(sides) != len(_SIDES):
        raise ExpressionError(
            "diff compares two sides: give two --index, or one --index and two expressions, "
            "for example \"version = '1.1'\" \"version = '1.2'\""
        )
    return sides


def _table(by: tuple[str, ...], changes: tuple[Change, ...]) -> Table:
    columns = (
        *(Column(name, name, route if name == "route" else plain, right=False) for name in by),
        Column("", "figure", plain, right=False, whole=True),
        Column("before", "before_seconds", duration, few=True),
        Column("after", "after_seconds", duration, few=True),
        Column("change", "change_seconds", _signed),
        Column("by", "change_ratio", lambda ratio: f"{ratio:+.0%}"),
        Column("from", "low_seconds", _signed, spare=3),
        Column("to", "high_seconds", _signed, spare=3),
        Column("n before", "n_before", count, spare=2),
        Column("n after", "n_after", count, spare=1),
        Column("", "verdict", plain, right=False, whole=True),
    )
    few = frozenset(number for number, change in enumerate(changes) if change.real is None)
    return Table(f"By {', '.join(by)}", columns, tuple(map(_row, changes)), few)


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
