"""``obs-middleware time``: rate, errors and durations over time, in slices of equal length."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial

from obs_middleware.display.numbers import count, duration, moment, percent, rate
from obs_middleware.read.answers import FEW, STATS_FIELDS, Overview, Slice
from obs_middleware.read.commands._arguments import add_files, add_format, add_kind, add_percentiles, percentiles_of
from obs_middleware.read.commands._common import Session, answered, source_data, zone_in
from obs_middleware.read.commands._overview import QUANTILES, beside_shares, head_of, notes_of
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.kinds import Kind
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.text import Answer, Column, Table, blocks, console, show
from obs_middleware.read.where.times import seconds_of

__all__ = ["configure", "run", "sensible_step"]

_STEPS = (1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 21_600, 86_400)
_WANTED = 30
_SPARE = {"p95": 0, "max": 3}
_LONGEST = 100 * 365 * 86_400
_MOST_BLOCKS, _BESIDE_BLOCKS = 150, 11
"""More slices than this do not fit on one line as blocks, and fewer on a narrow terminal."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``time``."""
    add_files(parser)
    add_kind(parser)
    parser.add_argument("--every", metavar="TIME", help="length of a slice: 10s, 1m, 1h (by default about 30 slices)")
    add_percentiles(parser, "50,95")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the course over time."""
    return answered(arguments, _answer)


def sensible_step(seconds: float) -> float:
    """Return a round slice length, in seconds, that divides a span of *seconds* into at most 30 slices."""
    return next(
        (float(step) for step in _STEPS if seconds / step <= _WANTED), math.ceil(seconds / _WANTED / 86_400) * 86_400.0
    )


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    wanted = _wanted(arguments)
    percentiles = percentiles_of(arguments, "50,95")
    requests = session.requests(arguments.files, STATS_FIELDS, beside_shares(percentiles))
    everything = requests.overview()
    step = _step(wanted, arguments, requests, everything)
    slices = requests.course(step)
    quantiles = (*percentiles, "max")
    head = (
        *head_of(everything, quantiles if arguments.percentiles else QUANTILES, zone_in(session), session.kind),
        f"slices of {duration(step)}",
        *_blocks(slices, [*percentiles][-1], session.kind),
    )
    data = {**source_data(requests), "every_seconds": step, "slices": slices}
    table = _table(slices, step, quantiles, session)
    show(Answer(data, head, (table,), notes_of(requests, everything)), arguments.format)
    return 0


def _wanted(arguments: argparse.Namespace) -> float | None:
    """Return ``--every`` in seconds, None without it."""
    if arguments.every is None:
        return None
    seconds = seconds_of(arguments.every, "--every")
    if not 0.001 <= seconds <= _LONGEST:
        raise ExpressionError(f"invalid --every {arguments.every!r}: use a length from 1ms to 36500d, for example 1m")
    return seconds


def _step(wanted: float | None, arguments: argparse.Namespace, requests: Requests, everything: Overview) -> float:
    if everything.first is None or everything.last is None:
        raise SourceError(f"{', '.join(requests.sources)}: no line has a timestamp, so there is no course over time")
    span = (everything.last - everything.first).total_seconds()
    step = wanted or sensible_step(span)
    if span / step > requests.most_slices:
        raise ExpressionError(
            f"invalid --every {arguments.every!r}: it makes {count(span / step)} slices of this log, and the limit is "
            f"{count(requests.most_slices)}; use a longer time, or narrow the log with --since and --until"
        )
    return step


def _blocks(slices: Sequence[Slice], percentile: str, kind: Kind) -> list[str]:
    if len(slices) > min(_MOST_BLOCKS, console().width - _BESIDE_BLOCKS):
        return []
    lines = [
        (kind.plural, blocks([one.requests for one in slices])),
        ("errors", blocks([one.errors for one in slices])),
        (percentile, blocks([one.durations.figure(percentile) for one in slices])),
    ]
    width = max(len("requests"), len(kind.plural)) + 1
    return [f"{name:<{width}}|{line}|" for name, line in lines]


def _table(slices: Sequence[Slice], step: float, quantiles: Sequence[str], session: Session) -> Table:
    columns = (
        Column("from", "from", partial(moment, zone=zone_in(session)), right=False, whole=True),
        Column(session.kind.plural, "requests", count),
        Column("rate", "requests_per_second", rate, spare=5),
        Column("errors", "errors", count, spare=1),
        Column("share", "errors_share", percent, spare=4),
        *(Column(name, f"{name}_seconds", duration, spare=_SPARE.get(name, 2), few=True) for name in quantiles),
        Column("n", "n", count, spare=6),
    )
    few = frozenset(number for number, one in enumerate(slices) if 0 < one.durations.n < FEW)
    return Table("Course", columns, tuple(_row(one, step, quantiles) for one in slices), few)


def _row(one: Slice, step: float, quantiles: Sequence[str]) -> tuple[object, ...]:
    share = one.errors / one.requests if one.requests and one.errors is not None else None
    durations = one.durations
    return (
        one.start,
        one.requests,
        one.requests / step,
        one.errors,
        share,
        *map(durations.figure, quantiles),
        durations.n,
    )
