"""The two sides of a comparison: two sources, or one source that ``--at`` splits."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.display.numbers import moment
from obs_middleware.read.answers import STATS_FIELDS
from obs_middleware.read.commands._common import Session
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.text import plain
from obs_middleware.read.where.conditions import Compared
from obs_middleware.read.where.times import moment_of

__all__ = ["SIDES", "Sides", "add_sides", "sides_of"]

SIDES: Final = ("before", "after")
_VERSION: Final = "version"
_TIME_OF_DAY: Final = re.compile(r"\s*\d{1,2}:\d{2}(?::\d{2})?\s*")


@dataclass(frozen=True, slots=True)
class Sides:
    """
    The two sides.

    Attributes:
        requests: ``before`` and ``after``, with the requests of each.
        notes: How one source was split; empty for two sources.
        data: The same for JSON.
    """

    requests: Mapping[str, Requests]
    notes: tuple[str, ...] = ()
    data: Any = None


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Add the sources and ``--at``."""
    parser.add_argument(
        "sides",
        nargs="*",
        metavar="BEFORE AFTER",
        help="two log files or patterns; with --opensearch, two expressions like that of --where, or two --index; "
        "with --at, files of one source",
    )
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="split one source: at a time (14:05, the last in the log; 2026-11-02T14:05:00Z; 15m ago), or, with the "
        "word version, where the newest version begins",
    )


def sides_of(arguments: argparse.Namespace, session: Session, by: Sequence[str]) -> Sides:
    """
    Read both sides.

    Args:
        arguments: Parsed arguments with those of `add_sides`.
        session: Reads the requests.
        by: The fields to group by.

    Raises:
        ExpressionError: The arguments do not name two sides.
        SourceError: A side has no requests.
    """
    fields = {*STATS_FIELDS, *by}
    if arguments.at is None:
        named = zip(SIDES, _two_sources(arguments), strict=True)
        return Sides({side: session.requests([name], fields) for side, name in named})
    if arguments.opensearch is not None and arguments.sides:
        raise ExpressionError("--at splits one source: give --index and no expressions")
    if arguments.at.strip().lower() == _VERSION:
        return _by_version(session.requests(arguments.sides, {*fields, _VERSION}))
    return _by_time(session.requests(arguments.sides, fields), arguments.at, session.now)


def _two_sources(arguments: argparse.Namespace) -> list[str]:
    """Return the two sides: files, or the index patterns or expressions that select the lines in a search engine."""
    sides: list[str] = arguments.sides
    if arguments.opensearch is None:
        if len(sides) != len(SIDES):
            raise ExpressionError(
                f"diff compares two logs, BEFORE and AFTER, and you named {len(sides)}: name two, or split with --at"
            )
        return sides
    if len(arguments.index) == len(SIDES) and not sides:
        return list(arguments.index)
    if len(arguments.index) != 1 or len(sides) != len(SIDES):
        raise ExpressionError(
            "diff compares two sides: give two --index, or one --index and two expressions, "
            "for example \"version = '1.1'\" \"version = '1.2'\", or one --index and --at"
        )
    return sides


def _by_time(everything: Requests, text: str, now: dt.datetime) -> Sides:
    span = everything.span()
    if span is None:
        raise SourceError(f"--at cannot split {', '.join(everything.sources)}: no line has a time")
    first, last = span
    at = moment_of(text, "--at", last.astimezone(now.tzinfo) if _TIME_OF_DAY.fullmatch(text) else now)
    if not first < at <= last:
        raise SourceError(
            f"--at {text} is {moment(at)}, which leaves one side empty: use a time between {moment(first)} and "
            f"{moment(last)}"
        )
    before, after = (everything.matching(Compared("timestamp", sign, at.isoformat())) for sign in ("<", ">="))
    return Sides({"before": before, "after": after}, (f"before and after {moment(at)}",), {"time": at})


def _by_version(everything: Requests) -> Sides:
    starts = everything.starts(_VERSION)
    if len(starts) < len(SIDES):
        found = f"all lines have the version {plain(*starts)}" if starts else "no line has a version and a time"
        raise SourceError(f"--at version cannot split {', '.join(everything.sources)}: {found}; use --at with a time")
    versions = sorted(starts, key=lambda version: (starts[version], version))[-2:]
    sides = (everything.matching(Compared(_VERSION, "=", version)) for version in versions)
    others = f"; {len(starts) - 2} older are left out" if len(starts) > len(SIDES) else ""
    return Sides(
        dict(zip(SIDES, sides, strict=True)),
        (f"before: version {plain(versions[0])}, after: version {plain(versions[1])}{others}",),
        {"versions": versions},
    )
