"""
``obs-middleware time``: the course of rate, errors and durations over time.

Read.
"""

from __future__ import annotations

import argparse
import math

from obs_middleware.read.answers import FEW
from obs_middleware.read.commands._common import Session, add_files, add_format, answered, said_of
from obs_middleware.read.commands.stats import exactness, head_of, notes_of
from obs_middleware.read.figures import Slice
from obs_middleware.read.files.requests import STATS_FIELDS
from obs_middleware.read.files.sources import BadSource
from obs_middleware.read.show.text import Answer, Column, Table, blocks, count, duration, moment, percent, show
from obs_middleware.read.where.expression import BadExpression, seconds_of

__all__ = ["configure", "run", "sensible_step"]

_STEPS = (1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 21_600, 86_400)
_WANTED = 30
_LONGEST = 100 * 365 * 86_400


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``time``."""
    add_files(parser)
    parser.add_argument(
        "--every", metavar="TIME", help="how long a slice is: 10s, 1m, 1h; some thirty slices if not said"
    )
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the course over time."""
    return answered(arguments, _answer)


def sensible_step(seconds: float) -> float:
    """Return the length of a slice, in seconds, that cuts a span of *seconds* into some thirty."""
    return next(
        (float(step) for step in _STEPS if seconds / step <= _WANTED), math.ceil(seconds / _WANTED / 86_400) * 86_400.0
    )


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    step = None if arguments.every is None else seconds_of(arguments.every)
    if step is not None and step < 0.001:
        raise BadExpression("--every is at least 1ms.")
    requests = session.requests(arguments.files, STATS_FIELDS)
    everything = requests.overview()
    if everything.first is None or everything.last is None:
        raise BadSource(f"{', '.join(requests.sources)}: no line says when it was written")
    span = (everything.last - everything.first).total_seconds()
    step = step or sensible_step(span)
    if step > _LONGEST:
        raise BadExpression(f"--every {arguments.every} is too long.")
    if span / step > requests.most_slices:
        raise BadExpression(
            f"--every {arguments.every} would be {count(span / step)} slices; at most {count(requests.most_slices)}."
        )
    slices = requests.course(step)
    columns = (
        Column("from", "from", moment, right=False, whole=True),
        Column("requests", "requests", count),
        Column("a second", "requests_per_second", lambda rate: f"{rate:,.2f}", spare=1),
        Column("errors", "errors", count),
        Column("share", "errors_share", percent),
        *(Column(name, f"{name}_seconds", duration) for name in ("p50", "p95", "max")),
        Column("n", "n", count, spare=2),
    )
    rows = tuple(_row(one, step) for one in slices)
    few = frozenset(number for number, one in enumerate(slices) if 0 < one.durations.n < FEW)
    lines = [
        ("requests", blocks([one.requests for one in slices])),
        ("errors", blocks([one.errors for one in slices])),
        ("p95", blocks([one.durations.p95 for one in slices])),
    ]
    shown = [f"{name:<9}|{line}|" for name, line in lines] if len(slices) <= 150 else []
    data = {**said_of(requests), "every_seconds": step, "slices": slices}
    head = (*head_of(everything), f"slices of {duration(step)}", *shown)
    table = Table("Course", columns, rows, few)
    show(Answer(data, head, (table,), (*requests.notes, *exactness(requests), *notes_of(everything))), arguments.format)
    return 0


def _row(one: Slice, step: float) -> tuple[object, ...]:
    share = None if one.errors is None else one.errors / one.requests
    durations = one.durations
    return (
        one.start,
        one.requests,
        one.requests / step,
        one.errors,
        share,
        durations.p50,
        durations.p95,
        durations.max,
        durations.n,
    )
