"""
``obs-middleware check``: are the limits kept, for a job of CI or cron.

Read. The exit code is the answer: 0 when all are kept, 1 when one is broken, 2 when it cannot be told.
"""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

from obs_middleware.read.answers import Overview, Verdict
from obs_middleware.read.commands._common import Session, add_files, add_format, answered, number, said_of
from obs_middleware.read.commands.stats import exactness, notes_of
from obs_middleware.read.files.requests import STATS_FIELDS
from obs_middleware.read.files.sources import BadSource
from obs_middleware.read.show.text import Answer, Column, Table, count, duration, percent, plain, show
from obs_middleware.read.where.expression import BadExpression, seconds_of

__all__ = ["configure", "run"]

BROKEN: Final = 1
FIGURES: Final = ("p50", "p90", "p95", "p99", "max")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``check``."""
    add_files(parser)
    limits = parser.add_argument_group("limits, one at least")
    for figure in FIGURES:
        limits.add_argument(f"--{figure}", metavar="TIME", help="300ms, 1.5s" if figure == "p50" else None)
    limits.add_argument("--errors", metavar="SHARE", help="1%%, or 0.01")
    parser.add_argument(
        "--least", type=number, default=1, metavar="N", help="how many requests there must be for an answer (1)"
    )
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show each limit and what was found; return 1 if one is broken."""
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    limits = {figure: seconds_of(text) for figure in FIGURES if (text := getattr(arguments, figure)) is not None}
    if arguments.errors is not None:
        limits["errors"] = _share(arguments.errors)
    if not limits:
        raise BadExpression("name a limit: --p95 300ms, --errors 1%.")
    requests = session.requests(arguments.files, STATS_FIELDS)
    everything = requests.overview()
    if everything.durations.n < arguments.least:
        raise BadSource(f"{count(everything.durations.n)} requests are fewer than --least {count(arguments.least)}")
    if "errors" in limits and everything.errors is None:
        raise BadSource("these lines carry a duration only: --errors cannot be told")
    verdicts = tuple(
        Verdict(name, limit, _value(everything, name), everything.durations.n) for name, limit in limits.items()
    )
    kept = all(verdict.kept for verdict in verdicts)
    columns = (
        Column("", "figure", plain, right=False),
        Column("limit", "limit", plain),
        Column("found", "found", plain),
        Column("n", "n", count),
        Column("", "verdict", plain, right=False),
    )
    rows = tuple(_row(verdict, raw=arguments.format == "csv") for verdict in verdicts)
    data = {**said_of(requests), "kept": kept, "verdicts": [_data(one) for one in verdicts]}
    head = (
        "all limits are kept" if kept else "broken: " + ", ".join(_reason(one) for one in verdicts if not one.kept),
    )
    show(
        Answer(data, head, (Table("", columns, rows),), (*requests.notes, *exactness(requests), *notes_of(everything))),
        arguments.format,
    )
    return 0 if kept else BROKEN


def _value(everything: Overview, figure: str) -> float | None:
    if figure == "errors":
        return None if everything.errors is None else everything.errors / everything.requests
    value: float | None = getattr(everything.durations, figure)
    return value


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%)?", text.strip())
    share = None if match is None else float(match[1]) / (100 if match[2] else 1)
    if share is None or share > 1:
        raise BadExpression(f"--errors {text!r} is no share; expected such as 1% or 0.01.")
    return share


def _text(verdict: Verdict, value: float) -> str:
    return percent(value) if verdict.figure == "errors" else duration(value)


def _reason(verdict: Verdict) -> str:
    return f"{verdict.figure} {_text(verdict, verdict.value or 0.0)} is above {_text(verdict, verdict.limit)}"


def _data(verdict: Verdict) -> dict[str, Any]:
    return {
        "figure": verdict.figure,
        "unit": "share" if verdict.figure == "errors" else "seconds",
        "limit": verdict.limit,
        "value": verdict.value,
        "n": verdict.n,
        "kept": verdict.kept,
    }


def _row(verdict: Verdict, *, raw: bool) -> tuple[object, ...]:
    word = "kept" if verdict.kept else "broken"
    if raw:
        return verdict.figure, verdict.limit, verdict.value, verdict.n, word
    value = None if verdict.value is None else _text(verdict, verdict.value)
    return verdict.figure, _text(verdict, verdict.limit), value, verdict.n, word
