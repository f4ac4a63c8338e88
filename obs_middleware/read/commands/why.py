"""
``obs-middleware why``: where the time of slow requests goes, compared with ordinary ones.

For each route it prints the parts of the duration, then the places in the code that the lines name, and at the end one
sentence for each route.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, Final

from obs_middleware.display.numbers import count, duration, number_of, percent
from obs_middleware.read.answers import STATS_FIELDS
from obs_middleware.read.bands import PLACES, WHY_FIELDS
from obs_middleware.read.commands._arguments import add_files, add_format, add_kind, add_limit
from obs_middleware.read.commands._common import Session, answered, source_data, zone_in
from obs_middleware.read.commands._overview import head_of, notes_of
from obs_middleware.read.findings import finding, gaps_of, name_of, telling_first
from obs_middleware.read.kinds import Kind
from obs_middleware.read.show.text import BLANK, Answer, Column, Table, plain, route, show
from obs_middleware.read.why import Part, Reason, explain

__all__ = ["configure", "run"]

_ALL, _WAITED = "duration", "waited before"
_TITLES: Final = {
    "db_repeated_at": ("Repeated queries", "repeats", "most", count),
    "blocked_at": ("Blocked event loops", "blocked", "longest", duration),
    "slow_at": ("{} over SLOW_SECONDS, caught in the act", "took", "longest", duration),
}
"""Field of `PLACES` -> title of its table, titles of the mean and of the largest figure, format of both."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``why``."""
    add_files(parser)
    add_kind(parser)
    add_limit(parser, "routes to explain, 0 for all; those first that took the most time together")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the parts, the places and the findings."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    kind = session.kind
    blocks = session.blocks(arguments.files)
    requests = session.requests(arguments.files, {*STATS_FIELDS, *WHY_FIELDS, *kind.by, *blocks})
    everything = requests.overview()
    reasons, total = explain(requests, blocks, arguments.limit or None)
    head = (
        *head_of(everything, zone=zone_in(session), kind=kind),
        f"slow: the slowest tenth of each {kind.by[-1]}; ordinary: its middle half",
    )
    raw = arguments.format == "csv"
    parts = _parts_table(reasons, kind, raw=raw)
    tables = (parts,) if raw else (parts, *_place_tables(reasons, kind), _findings(reasons, kind))
    data = {
        **source_data(requests),
        "overview": everything,
        "by": kind.by,
        "total": total,
        "groups": [_data(reason, kind) for reason in reasons],
    }
    left = total - len(reasons)
    others = [f"{number_of(left, f'other {kind.by[-1]}')} not shown: --limit 0 shows all"] if left else []
    notes = (*notes_of(requests, everything), *others, *gaps_of(reasons, kind))
    show(Answer(data, head, tables, notes), arguments.format)
    return 0


def _parts_table(reasons: Sequence[Reason], kind: Kind, *, raw: bool) -> Table:
    columns = (
        *_key_columns(kind),
        Column("part", "part", plain, right=False, whole=True),
        Column("slow", "slow_seconds", duration),
        Column("ordinary", "ordinary_seconds", duration),
        Column("of the difference", "share", percent),
        Column("n", "n", count, spare=1),
        Column("", "verdict", plain, right=False, spare=2),
    )
    rows = []
    for reason in reasons:
        for number, row in enumerate(_rows(reason, raw=raw)):
            keys = reason.keys if raw or not number else (BLANK for _ in reason.keys)
            rows.append((*keys, *row))
    return Table("Where the time goes", columns, tuple(rows))


def _key_columns(kind: Kind) -> list[Column]:
    return [Column(name, name, route if name == "route" else plain, right=False) for name in kind.by]


def _rows(reason: Reason, *, raw: bool) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a group. On a screen, parts without any time are left out."""
    slow, ordinary = reason.slow, reason.ordinary
    usual = ordinary.seconds if ordinary.n else None
    yield _ALL, slow.seconds, usual, 1.0 if reason.compared else None, slow.n, ""
    for part in reason.parts:
        if raw or part.slow or part.ordinary:
            verdict = "chance" if part.chance else ""
            yield part.name, part.slow, part.ordinary, part.share, BLANK if part.n is None else part.n, verdict
    waited = slow.known.get("queue_seconds", 0)
    if waited or ordinary.known.get("queue_seconds"):
        yield _WAITED, slow.means["queue_seconds"], ordinary.means.get("queue_seconds"), BLANK, waited, ""


def _place_tables(reasons: Sequence[Reason], kind: Kind) -> Iterator[Table]:
    for name, (title, mean, most, text) in _TITLES.items():
        columns = (
            Column(kind.plural, "n", count),
            *([Column("queries", "queries", count)] if name == "db_repeated_at" else []),
            Column(mean, "mean", text),
            Column(most, "most", text),
            Column("at", "place", plain, right=False, whole=True),
            *_key_columns(kind),
        )
        found = [(place, reason) for reason in reasons for place in reason.places[name].rows]
        found.sort(key=lambda one: -one[0].n)
        rows = [
            (
                one.n,
                *([one.queries] if name == "db_repeated_at" else []),
                one.mean,
                one.most,
                one.place,
                *reason.keys,
            )
            for one, reason in found
        ]
        yield Table(title.format(kind.plural.capitalize()), columns, tuple(rows))


def _findings(reasons: Sequence[Reason], kind: Kind) -> Table:
    telling, silent = telling_first(reasons)
    rows = [(f"{name_of(reason.keys)}: {text}",) for reason in telling if (text := finding(reason, kind.name))]
    if silent:
        groups = number_of(len(silent), f"{'other ' if telling else ''}{kind.by[-1]}")
        rows.append((f"{groups}: no measured part stands out, and no line names a place",))
    return Table("In short", (Column("", "finding", plain, right=False, whole=True),), tuple(rows))


def _data(reason: Reason, kind: Kind) -> dict[str, Any]:
    return {
        "keys": reason.keys,
        "n": reason.n,
        "slow": reason.slow,
        "ordinary": reason.ordinary,
        "compared": reason.compared,
        "parts": [_part_data(part) for part in reason.parts],
        "places": {name: reason.places[name] for name in PLACES},
        "finding": finding(reason, kind.name),
    }


def _part_data(part: Part) -> dict[str, Any]:
    return {
        "part": part.name,
        "field": part.field,
        "slow_seconds": part.slow,
        "ordinary_seconds": part.ordinary,
        "share": part.share,
        "chance": part.chance,
        "n": part.n,
    }
