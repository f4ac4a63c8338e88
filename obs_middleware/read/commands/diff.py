"""``obs-middleware diff``: compare two logs group by group, and tell a real change from chance."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from obs_middleware.read.answers import FEW, STATS_FIELDS, Overview
from obs_middleware.read.commands._arguments import add_by, add_format, add_limit, add_memory, by_of
from obs_middleware.read.commands._common import Session, answered, source_data
from obs_middleware.read.commands._overview import exactness_of, figure_notes, head_of, reading_notes
from obs_middleware.read.comparison import ERROR, QUANTILES, UNITS, Change, Comparison, compare, least_requests
from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.index.access import add_access
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.numbers import count, duration, percent, rate
from obs_middleware.read.show.text import Answer, Column, Table, plain, route, show
from obs_middleware.read.where.options import add_filters

__all__ = ["configure", "run"]

_SIDES = ("before", "after")
_NAMED: Final = 5
"""Groups that a note names."""


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
    found = compare(requests["before"], requests["after"], by, arguments.limit or None)
    data = {
        **{side: {**source_data(one), "overview": overviews[side]} for side, one in requests.items()},
        "error": ERROR,
        "level": found.level,
        "changes": [_data(change) for change in found.changes],
        "waves": found.waves,
        "weak_waves": found.weak_waves,
    }
    head = tuple(f"{side:<7}{head_of(overview)[0]}" for side, overview in overviews.items())
    notes = (
        *(f"{side}: {note}" for side in _SIDES for note in _notes(requests[side], overviews[side])),
        *_explained(found, exactness_of(requests["after"])),
    )
    table = _table(by, found.changes, raw=arguments.format == "csv")
    show(Answer(data, head, (table,), notes), arguments.format)
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


def _explained(found: Comparison, approximate: tuple[str, ...]) -> list[str]:
    """Return the notes on the verdicts."""
    notes = [
        *approximate,
        *(["the intervals allow for that, which makes them wider"] if approximate else []),
        "from, to: interval of the change, which excludes zero if there is a verdict",
        f"if nothing changed, the probability of any slower or faster is at most {ERROR:.0%}",
        "more, fewer: the same for all errors together, and for all volumes together",
    ]
    verdicts = {change.verdict for change in found.changes}
    if "too few" in verdicts:
        least = [f"{count(least_requests(share, found.level))} for {name}" for name, share in QUANTILES.items()]
        notes.append(f"too few: for so many figures each side needs about {', '.join(least)}")
    if "sampled" in verdicts:
        notes.append("sampled: errors that are estimated from a sample get no verdict")
    if found.waves:
        groups = [" ".join("-" if key is None else route(key) for key in keys) for keys in found.waves]
        more = [f"{count(len(groups) - _NAMED)} more"] if len(groups) > _NAMED else []
        notes.append(
            f"warning: durations come in waves in {', '.join(groups[:_NAMED] + more)}: slow requests follow slow ones, "
            "so slower and faster are wrong more often"
        )
    elif found.weak_waves:
        notes.append("warning: durations come in weak waves in all groups, so slower and faster are wrong more often")
    return notes


def _table(by: tuple[str, ...], changes: tuple[Change, ...], *, raw: bool) -> Table:
    columns = (
        *(Column(name, name, route if name == "route" else plain, right=False) for name in by),
        Column("", "figure", plain, right=False, whole=True),
        Column("before", "before", plain, few=True),
        Column("after", "after", plain, few=True),
        Column("change", "change", plain),
        Column("by", "change_ratio", lambda ratio: f"{ratio:+.0%}"),
        Column("from", "low", plain, spare=3),
        Column("to", "high", plain, spare=3),
        Column("n before", "n_before", count, spare=2),
        Column("n after", "n_after", count, spare=1),
        Column("", "verdict", plain, right=False, whole=True),
    )
    few = frozenset(number for number, one in enumerate(changes) if min(one.n_before, one.n_after) < FEW)
    return Table(f"By {', '.join(by)}", columns, tuple(_row(change, raw=raw) for change in changes), few)


def _row(change: Change, *, raw: bool) -> tuple[object, ...]:
    difference = ratio = None
    if change.before is not None and change.after is not None:
        difference = change.after - change.before
        ratio = difference / change.before if change.before else None
    values = (change.before, change.after)
    differences = (difference, change.low, change.high)
    texts: list[object] = [*values, *differences]
    if not raw:
        write = _writer(change)
        texts = [None if one is None else write(one) for one in values]
        texts += [None if one is None else f"{'-' if one < 0 else '+'}{write(abs(one))}" for one in differences]
    before, after, by, low, high = texts
    return (
        *change.keys,
        change.figure,
        before,
        after,
        by,
        ratio,
        low,
        high,
        change.n_before,
        change.n_after,
        change.verdict,
    )


def _writer(change: Change) -> Callable[[float], str]:
    """Return the format of the figure. All rates of a row have the same unit."""
    if change.figure == "volume":
        return partial(rate, like=max(change.before or 0.0, change.after or 0.0))
    return percent if change.figure == "errors" else duration


def _data(change: Change) -> dict[str, Any]:
    return {
        "keys": change.keys,
        "figure": change.figure,
        "unit": UNITS[change.figure],
        "n_before": change.n_before,
        "n_after": change.n_after,
        "before": change.before,
        "after": change.after,
        "low": change.low,
        "high": change.high,
        "verdict": change.verdict,
        "real": change.real,
    }
