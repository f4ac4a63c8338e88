"""
``obs-middleware stats``: a first look at a log, in total and by group.

It prints totals, a histogram of the durations, and one row for each group, sorted by total time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from obs_middleware.display.numbers import count, duration, number_of, percent
from obs_middleware.read.answers import FEW, STATS_FIELDS, Bin, Count, Group, Groups, Overview
from obs_middleware.read.commands._arguments import (
    add_by,
    add_files,
    add_format,
    add_kind,
    add_limit,
    add_percentiles,
    by_of,
    percentiles_of,
)
from obs_middleware.read.commands._common import Session, answered, source_data, zone_in
from obs_middleware.read.commands._overview import beside_shares, has_keys, head_of, notes_of
from obs_middleware.read.kinds import Kind
from obs_middleware.read.show.text import BLANK, Answer, Column, Table, console, plain, route, show

__all__ = ["configure", "run"]

_SPARE = {"p90": 7, "max": 6, "p99": 5, "p95": 0}
_BAR_WIDTH, _SHORTEST_BAR, _BESIDE_BARS = 40, 8, 32
_SEVERAL, _NAMED = 2, 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``stats``."""
    add_files(parser)
    add_kind(parser)
    add_by(parser)
    add_limit(parser, "groups to show, 0 for all; the others are summed up in one row")
    add_percentiles(parser, "50,90,95,99")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print totals, histogram and groups."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    by = by_of(arguments)
    percentiles = percentiles_of(arguments, "50,90,95,99")
    quantiles = (*percentiles, "max")
    requests = session.requests(arguments.files, {*STATS_FIELDS, "service", *by}, beside_shares(percentiles))
    everything = requests.overview()
    groups = requests.groups(by, arguments.limit or None)
    tables = [_histogram(everything, session.kind)]
    if has_keys(groups) or arguments.format == "csv":
        tables.append(_group_table(groups, quantiles, session.kind))
    services = requests.services()
    data = {**source_data(requests), "services": services, "overview": everything, "groups": groups}
    notes = (*notes_of(requests, everything, groups), *_service_notes(services, by))
    head = head_of(everything, quantiles, zone_in(session), session.kind)
    show(Answer(data, head, tuple(tables), notes), arguments.format)
    return 0


def _service_notes(services: Sequence[Count], by: Sequence[str]) -> list[str]:
    """Return a note if the figures mix several services and the groups do not show them."""
    if len(services) < _SEVERAL or "service" in by:
        return []
    named = ", ".join(f"{one.name} {count(one.count)}" for one in services[:_NAMED])
    more = f" and {count(len(services) - _NAMED)} more" if len(services) > _NAMED else ""
    return [f"lines of {count(len(services))} services: {named}{more}; --by service shows each of them"]


def _histogram(everything: Overview, kind: Kind) -> Table:
    width = max(_SHORTEST_BAR, min(_BAR_WIDTH, console().width - _BESIDE_BARS))
    most = max((bar.count for bar in everything.histogram), default=0)
    columns = (
        Column("from", "from_seconds", duration),
        Column("to", "to_seconds", duration),
        Column(kind.plural, "lines", count),
        Column("", "bar", plain, right=False, whole=True),
    )
    return Table(
        "Durations",
        columns,
        tuple((one.low, one.high, one.count, _bar(one, most, width)) for one in everything.histogram),
    )


def _bar(one: Bin, most: int, width: int) -> str:
    """Draw a bar with a resolution of an eighth of a character; a count above 0 is always visible."""
    eighths = round(one.count / most * width * 8)
    partial = "" if eighths % 8 == 0 else " ▏▎▍▌▋▊▉"[eighths % 8]
    return "█" * (eighths // 8) + partial or ("▏" if one.count else "")


def _group_table(groups: Groups, quantiles: Sequence[str], kind: Kind) -> Table:
    columns = (
        *(Column(name, name, route if name == "route" else plain, right=False) for name in groups.by),
        Column(kind.plural, "requests", count),
        Column("errors", "errors", count, spare=2),
        Column("time", "seconds", duration, spare=3),
        Column("share", "share", percent, spare=8),
        *(Column(name, f"{name}_seconds", duration, spare=_SPARE.get(name, 4), few=True) for name in quantiles),
        Column("n", "n", count, spare=9),
    )
    rows = [(*group.keys, *_figures(group, quantiles)) for group in groups.rows]
    if groups.rest is not None:
        label = f"({number_of(groups.total - len(groups.rows), 'other')})"
        rows.append((label, *(BLANK for _ in groups.by[1:]), *_figures(groups.rest, quantiles)))
    few = frozenset(
        number for number, group in enumerate((*groups.rows, groups.rest)) if group and group.durations.n < FEW
    )
    return Table(f"By {', '.join(groups.by)}", columns, tuple(rows), few)


def _figures(group: Group, quantiles: Sequence[str]) -> tuple[object, ...]:
    durations = group.durations
    figures = map(durations.figure, quantiles)
    return group.requests, group.errors, group.seconds, group.share, *figures, durations.n
