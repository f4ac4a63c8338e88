"""
``obs-middleware diff``: two logs compared, group by group, and whether a change is more than chance.

Read.
"""

from __future__ import annotations

import argparse
from typing import Any

from obs_middleware.read.cli import Session, add_format, add_memory, answered, lines_of, number, skipped_notes
from obs_middleware.read.filters import add_filters
from obs_middleware.read.queries import CONFIDENCE, DRAWS, STATS_FIELDS, changes, overview
from obs_middleware.read.results import FEW, Change
from obs_middleware.read.stats import add_by, by_of, head_of, notes_of
from obs_middleware.read.tables import Answer, Column, Table, count, duration, plain, route, show

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``diff``."""
    parser.add_argument("before", metavar="BEFORE", help="a log file or a pattern")
    parser.add_argument("after", metavar="AFTER", help="another")
    add_filters(parser)
    add_memory(parser)
    add_by(parser)
    parser.add_argument("--limit", type=number, default=20, metavar="N", help="groups to compare, 0 for all (20)")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show what changed."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    by = by_of(arguments)
    logs = {side: session.read([getattr(arguments, side)], {*STATS_FIELDS, *by}, side) for side in ("before", "after")}
    alls = {side: overview(session.connection, side) for side in logs}
    found = changes(session.connection, by, "before", "after", arguments.limit or None)
    columns = (
        *(Column(name, name, route if name == "route" else plain, right=False) for name in by),
        Column("", "figure", plain, right=False),
        Column("before", "before_seconds", duration),
        Column("after", "after_seconds", duration),
        Column("change", "change_seconds", _signed),
        Column("by", "change_ratio", lambda ratio: f"{ratio:+.0%}"),
        Column("from", "low_seconds", _signed),
        Column("to", "high_seconds", _signed),
        Column("n before", "n_before", count),
        Column("n after", "n_after", count),
        Column("", "verdict", plain, right=False),
    )
    rows = tuple(_row(one) for one in found)
    few = frozenset(n for n, one in enumerate(found) if one.real is None)
    data = {
        **{
            side: {"sources": logs[side].sources, "lines": lines_of(logs[side]), "overview": alls[side]}
            for side in logs
        },
        "confidence": CONFIDENCE,
        "draws": DRAWS,
        "changes": [_data(one) for one in found],
    }
    head = tuple(f"{side:<7}{head_of(alls[side])[0]}" for side in logs)
    notes = (
        *(f"{side}: {note}" for side in logs for note in (*skipped_notes(logs[side]), *notes_of(alls[side]))),
        f"from, to: bootstrap interval of the change, {CONFIDENCE:.0%}, {DRAWS:,} samples of each side",
        "slower, faster: the interval leaves zero out; by chance alone one figure in a hundred does",
        f"fewer than {FEW} requests on one side are too few to tell",
    )
    show(Answer(data, head, (Table(f"By {', '.join(by)}", columns, rows, few),), notes), arguments.format)
    return 0


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
