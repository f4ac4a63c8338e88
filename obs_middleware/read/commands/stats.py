"""
``obs-middleware stats``: the first look at a log, all requests and those of each route.

Read.
"""

from __future__ import annotations

import argparse

from obs_middleware.read.answers import FEW, Group, Groups, Overview, Requests
from obs_middleware.read.commands._common import Session, add_files, add_format, answered, number, said_of
from obs_middleware.read.figures import Bin, Quantiles
from obs_middleware.read.files.requests import STATS_FIELDS
from obs_middleware.read.show.text import (
    FEW_NOTE,
    Answer,
    Column,
    Table,
    count,
    duration,
    moment,
    percent,
    plain,
    route,
    show,
    spent,
)
from obs_middleware.read.where.expression import BadExpression

__all__ = ["add_by", "by_of", "configure", "exactness", "group_table", "head_of", "notes_of", "run"]

QUANTILES = ("p50", "p90", "p95", "p99", "max")
_SPARE = {"p90": 2, "max": 1}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``stats``."""
    add_files(parser)
    add_by(parser)
    parser.add_argument(
        "--limit", type=number, default=20, metavar="N", help="groups to show, 0 for all (20); the rest is one row"
    )
    add_format(parser)


def add_by(parser: argparse.ArgumentParser) -> None:
    """Add ``--by``."""
    parser.add_argument(
        "--by",
        default="method,route",
        metavar="FIELDS",
        help="what to group by (method,route): route, status, view, user_id, or any field, one of yours too",
    )


def by_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """
    Return the fields of ``--by``.

    Raises:
        BadExpression: It names none.
    """
    fields = tuple(dict.fromkeys(field.strip() for field in arguments.by.split(",") if field.strip()))
    if not fields:
        raise BadExpression("--by names no field; expected such as route or method,status.")
    return tuple({"user": "user_id", "duration": "duration_seconds"}.get(field, field) for field in fields)


def run(arguments: argparse.Namespace) -> int:
    """Show all requests, and those of each group."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    by = by_of(arguments)
    requests = session.requests(arguments.files, {*STATS_FIELDS, *by})
    everything = requests.overview()
    found = requests.groups(by, arguments.limit or None)
    table = group_table(found)
    known = any(key is not None for row in found.rows for key in row.keys)
    show(
        Answer(
            {**said_of(requests), "overview": everything, "groups": found},
            head_of(everything),
            (*_histogram(everything), *((table,) if known or arguments.format == "csv" else ())),
            (*requests.notes, *exactness(requests), *notes_of(everything, found, known=known)),
        ),
        arguments.format,
    )
    return 0


def head_of(everything: Overview) -> tuple[str, ...]:
    """Return the figures of all requests as a few lines."""
    first = [f"{count(everything.requests)} requests"]
    if everything.first is not None and everything.last is not None:
        span = (everything.last - everything.first).total_seconds()
        if span >= 1:
            first.append(f"{everything.requests / span:,.2f} a second")
    if everything.errors is None:
        first.append("errors unknown")
    else:
        share = everything.errors / everything.requests if everything.requests else 0.0
        first.append(f"{count(everything.errors)} errors ({percent(share)})")
    first.append(f"{spent(everything.seconds)} together")
    lines = ["  ".join(first)]
    if everything.first is not None and everything.last is not None:
        lines.append(f"from {moment(everything.first)} to {moment(everything.last)}")
    if everything.statuses:
        lines.append("  ".join(f"{one.name} {count(one.count)}" for one in everything.statuses))
    lines.append(_quantile_line(everything.durations))
    return tuple(lines)


def _quantile_line(durations: Quantiles) -> str:
    mark = "*" if durations.n < FEW else ""
    values = (f"{name} {duration(getattr(durations, name))}{mark}" for name in QUANTILES)
    return "  ".join((*values, f"n {count(durations.n)}"))


def _histogram(everything: Overview) -> tuple[Table, ...]:
    most = max((bar.count for bar in everything.histogram), default=0)
    columns = (
        Column("from", "from_seconds", duration),
        Column("to", "to_seconds", duration),
        Column("requests", "lines", count),
        Column("", "bar", plain, right=False, whole=True),
    )
    rows = tuple((bar.low, bar.high, bar.count, _bar(bar, most)) for bar in everything.histogram)
    return (Table("Durations", columns, rows),)


_BAR_WIDTH = 40


def _bar(bar: Bin, most: int) -> str:
    eighths = round(bar.count / most * _BAR_WIDTH * 8)
    partial = "" if eighths % 8 == 0 else " ▏▎▍▌▋▊▉"[eighths % 8]
    return "█" * (eighths // 8) + partial or ("▏" if bar.count else "")


def group_table(found: Groups) -> Table:
    """Return *found* as a table."""
    columns = (
        *(Column(name, name, route if name == "route" else plain, right=False) for name in found.by),
        Column("requests", "requests", count),
        Column("errors", "errors", count),
        Column("time", "seconds", spent),
        Column("share", "share", percent, spare=3),
        *(Column(name, f"{name}_seconds", duration, spare=_SPARE.get(name, 0)) for name in QUANTILES),
        Column("n", "n", count, spare=4),
    )
    rows = [_row(row) for row in found.rows]
    if found.rest is not None:
        label = f"({count(found.total - len(found.rows))} others)"
        rest = Group((label, *("" for _ in found.by[1:])), *_figures(found.rest))
        rows.append(_row(rest))
    few = frozenset(number for number, row in enumerate((*found.rows, found.rest)) if row and row.durations.n < FEW)
    return Table(f"By {', '.join(found.by)}", columns, tuple(rows), few)


def _figures(group: Group) -> tuple[int, int | None, float, float | None, Quantiles]:
    return group.requests, group.errors, group.seconds, group.share, group.durations


def _row(group: Group) -> tuple[object, ...]:
    durations = group.durations
    return (
        *group.keys,
        group.requests,
        group.errors,
        group.seconds,
        group.share,
        *(getattr(durations, name) for name in QUANTILES),
        durations.n,
    )


def exactness(requests: Requests) -> tuple[str, ...]:
    """Return what must be said of percentiles, if they are not exact."""
    return () if requests.approximate is None else (f"percentiles are {requests.approximate}",)


def notes_of(everything: Overview, found: Groups | None = None, *, known: bool = True) -> tuple[str, ...]:
    """Return what must be said of the figures: what weighed them, what the lines do not say."""
    notes = []
    if everything.estimated:
        notes.append(
            "counts, rates and shares are estimates: each line weighs 1 / sample_rate; percentiles are of the lines"
        )
    if everything.errors is None:
        notes.append("these lines carry a duration only: no status, so errors are not known")
    if everything.durations.n < FEW:
        notes.append(FEW_NOTE)
    if found is not None and not known:
        notes.append(f"no line says {' or '.join(found.by)}")
    return tuple(notes)
