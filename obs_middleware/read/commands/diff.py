"""``obs-middleware diff``: compare two logs group by group, and tell a real change from chance."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from obs_middleware.display.numbers import count, duration, percent, rate
from obs_middleware.read.answers import FEW, Keys, Overview
from obs_middleware.read.commands._arguments import add_by, add_format, add_kind, add_limit, add_memory, by_of
from obs_middleware.read.commands._common import Session, answered, source_data
from obs_middleware.read.commands._overview import exactness_of, figure_notes, head_of, reading_notes
from obs_middleware.read.commands._sides import Sides, add_sides, sides_of
from obs_middleware.read.comparison import ERROR, QUANTILES, UNITS, Change, Comparison, compare, least_requests
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.index.access import add_access
from obs_middleware.read.show.text import Answer, Column, Table, plain, route, show
from obs_middleware.read.where.options import add_filters

__all__ = ["configure", "run"]

FAILED: Final = 1
"""Exit code if there is a change that ``--fail-on`` names."""

_FAILS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "slower": dict.fromkeys(QUANTILES, ("slower",)),
    "errors": {"errors": ("more",)},
    "volume": {"volume": ("more", "fewer")},
}
"""Kind of ``--fail-on`` -> figure -> the verdicts to fail on."""

_NAMED: Final = 5
"""Groups that a note names."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``diff``."""
    add_sides(parser)
    add_filters(parser)
    add_memory(parser)
    add_access(parser)
    add_kind(parser)
    add_by(parser)
    add_limit(parser, "groups to compare, 0 for all")
    parser.add_argument(
        "--fail-on",
        metavar="KINDS",
        help="exit with 1 on a verdict: slower, errors (more of them), volume (more or fewer requests); "
        "several: slower,errors",
    )
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """
    Print what changed.

    Returns:
        0; with ``--fail-on`` 1 if there is such a change, 2 if no such figure has a verdict.
    """
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    by = by_of(arguments)
    kinds = _kinds_of(arguments.fail_on)
    sides = sides_of(arguments, session, by)
    found = compare(sides.requests["before"], sides.requests["after"], by, arguments.limit or None)
    failed = [one for one in found.changes for kind in kinds if one.verdict in _FAILS[kind].get(one.figure, ())]
    overviews = {side: one.overview() for side, one in sides.requests.items()}
    data = {
        **{side: {**source_data(one), "overview": overviews[side]} for side, one in sides.requests.items()},
        "at": sides.data,
        "failed": [_data(change) for change in failed] if kinds else None,
        "error": ERROR,
        "level": found.level,
        "changes": [_data(change) for change in found.changes],
        "waves": found.waves,
        "weak_waves": found.weak_waves,
    }
    head = (
        *_failures(kinds, failed),
        *(f"{side:<7}{head_of(one, kind=session.kind)[0]}" for side, one in overviews.items()),
    )
    notes = (*_read(sides, overviews), *_explained(found, exactness_of(sides.requests["after"])))
    table = _table(by, found.changes, raw=arguments.format == "csv")
    show(Answer(data, head, (table,), notes), arguments.format)
    if not failed and (unknown := _without_verdict(kinds, found.changes)):
        raise SourceError(
            f"--fail-on {','.join(unknown)} has no answer: no such figure has a verdict; compare more requests"
        )
    return FAILED if failed else 0


def _kinds_of(text: str | None) -> tuple[str, ...]:
    """Return the kinds in ``--fail-on``."""
    kinds = tuple(dict.fromkeys(one.strip() for one in (text or "").split(",") if one.strip()))
    if (text is not None and not kinds) or not {*kinds} <= {*_FAILS}:
        raise ExpressionError(f"invalid --fail-on {text!r}: use slower, errors, volume, or several: slower,errors")
    return kinds


def _failures(kinds: Sequence[str], failed: Sequence[Change]) -> list[str]:
    """Return the line that says whether ``--fail-on`` found anything."""
    if not kinds:
        return []
    found = (f"{_name(one.keys)} {one.figure} {one.verdict}" for one in failed)
    return [f"failed: {', '.join(found)}" if failed else f"nothing to fail on: {', '.join(kinds)}"]


def _without_verdict(kinds: Sequence[str], changes: Sequence[Change]) -> list[str]:
    """Return the kinds of ``--fail-on`` of which no figure has a verdict."""
    known = {change.figure for change in changes if change.real is not None}
    return [kind for kind in kinds if not known & {*_FAILS[kind]}]


def _name(keys: Keys) -> str:
    return " ".join("-" if key is None else route(key) for key in keys)


def _read(sides: Sides, overviews: Mapping[str, Overview]) -> list[str]:
    """Return the notes on what was read."""
    notes = [*sides.notes]
    for side, requests in sides.requests.items():
        notes += [f"{side}: {note}" for note in (*reading_notes(requests), *figure_notes(overviews[side]))]
    return notes


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
        groups = [*map(_name, found.waves)]
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
