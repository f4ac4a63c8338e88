"""
``obs-middleware check``: compare a log with limits, for a CI job or cron.

A limit is for a figure of all requests, or for each request. Then the message names the worst one.

The exit code is the answer: 0 if every limit is kept, 1 if one is exceeded, 2 if there is no answer.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.display.escape import escape_controls
from obs_middleware.display.numbers import MISSING, count, duration, number_of, percent
from obs_middleware.read.answers import STATS_FIELDS, Overview, SlowRequest
from obs_middleware.read.commands._arguments import add_files, add_format, add_kind, whole_number
from obs_middleware.read.commands._common import Session, answered, source_data
from obs_middleware.read.commands._overview import QUANTILES, notes_of
from obs_middleware.read.errors import ExpressionError, SourceError
from obs_middleware.read.findings import name_of
from obs_middleware.read.kinds import Kind
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.text import Answer, Column, Table, plain, show
from obs_middleware.read.where.reasons import no_route
from obs_middleware.read.where.times import seconds_of

__all__ = ["configure", "run"]

BROKEN: Final = 1

_FIELDS: Final[Mapping[str, tuple[str, str | None]]] = {
    "queries": ("db_queries", None),
    "repeats": ("db_repeats", "db_repeated_at"),
    "blocked": ("blocked_seconds", "blocked_at"),
}
"""The limits of each request: figure -> its field, and the field with the place in the code."""
_UNITS: Final = {"errors": "share", "queries": "queries", "repeats": "queries"}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """
    A limit, and whether it is kept.

    Attributes:
        figure: The limited figure: ``p95``, ``errors``.
        limit: Seconds, a number, or a share from 0 to 1 for ``errors``.
        value: The measured figure in the same unit; None if the lines do not contain it.
        n: The number of requests behind the figure.
        worst: The request with the largest value, if the limit is for each request.
    """

    figure: str
    limit: float
    value: float | None
    n: int
    worst: SlowRequest | None = None

    @property
    def kept(self) -> bool:
        """Whether the value is known and not above the limit."""
        return self.value is not None and self.value <= self.limit


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``check``."""
    add_files(parser)
    add_kind(parser)
    limits = parser.add_argument_group("limits; give at least one")
    for figure in QUANTILES:
        limits.add_argument(f"--{figure}", metavar="TIME", help="300ms, 1.5s" if figure == "p50" else None)
    limits.add_argument("--errors", metavar="SHARE", help="1%%, 0.5%%")
    limits.add_argument("--queries", type=whole_number, metavar="N", help="database queries of each request")
    limits.add_argument("--repeats", type=whole_number, metavar="N", help="how often a request may run one statement")
    limits.add_argument("--blocked", metavar="TIME", help="how long a request may block the event loop: 100ms")
    parser.add_argument(
        "--least", type=whole_number, default=1, metavar="N", help="fewer requests than this give no answer (1)"
    )
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """
    Print each limit and the figure that was measured.

    Returns:
        0 if every limit is kept, 1 if one is exceeded, 2 if there is no answer.
    """
    return answered(arguments, _answer)


def _answer(arguments: argparse.Namespace, session: Session) -> int:
    limits = _limits(arguments)
    requests = session.requests(arguments.files, _fields(arguments, limits, session.kind))
    _refuse_unknown_routes(arguments.route or (), requests)
    everything = requests.overview()
    n = everything.durations.n
    if n < arguments.least:
        wanted = number_of(arguments.least, session.kind.name)
        raise SourceError(f"--least asks for {wanted}, and the log has {count(n)}")
    if "errors" in limits and everything.errors is None:
        raise SourceError("--errors cannot be checked: these lines have a duration but no status")
    verdicts = tuple(
        _of_each(figure, limit, requests)
        if figure in _FIELDS
        else _Verdict(figure, limit, _value(everything, figure), n)
        for figure, limit in limits.items()
    )
    broken = [verdict for verdict in verdicts if not verdict.kept]
    columns = (
        Column("", "figure", plain, right=False),
        Column("limit", "limit", plain),
        Column("found", "found", plain),
        Column("n", "n", count),
        Column("", "verdict", plain, right=False),
    )
    rows = tuple(_row(verdict, raw=arguments.format == "csv") for verdict in verdicts)
    data = {**source_data(requests), "kept": not broken, "verdicts": [_data(verdict) for verdict in verdicts]}
    reasons = ", ".join(_reason(verdict, session.kind) for verdict in broken)
    head = f"broken: {reasons}" if broken else "all limits are kept"
    notes = (*notes_of(requests, everything), *_unsure(verdicts, requests))
    show(Answer(data, (head,), (Table("", columns, rows),), notes), arguments.format)
    return BROKEN if broken else 0


def _fields(arguments: argparse.Namespace, limits: Iterable[str], kind: Kind) -> set[str]:
    """Return the fields that are needed, so that other checks of a large log do not read more."""
    fields = {*STATS_FIELDS, *(["route"] if arguments.route else [])}
    for figure in limits:
        if figure in _FIELDS:
            field, place = _FIELDS[figure]
            fields |= {field, "db_queries", *([place] if place else []), *kind.by, kind.id}
    return fields


def _of_each(figure: str, limit: float, requests: Requests) -> _Verdict:
    """
    Return whether every request keeps a limit.

    Raises:
        SourceError: The lines cannot tell.
    """
    field, place = _FIELDS[figure]
    kind = requests.kind
    n, worst = requests.worst(field, [*kind.by, kind.id, *([place] if place else [])])
    # A line has a blocked event loop or repeated queries only if there was one. Queries are measured for both or none.
    measured = requests.n if figure == "blocked" else n if figure == "queries" else requests.worst("db_queries", [])[0]
    if worst is None and not measured:
        raise SourceError(f"--{figure} cannot be checked: no line has db_queries, so queries were not measured")
    return _Verdict(figure, limit, 0 if worst is None else worst.fields[field], max(n, measured), worst)


def _unsure(verdicts: Iterable[_Verdict], requests: Requests) -> Iterator[str]:
    """Yield a note for each limit that was checked without knowing all requests."""
    for one in verdicts:
        if one.figure == "blocked" and one.worst is None:
            yield "no line has blocked_seconds: no event loop was blocked, or BLOCKED_SECONDS is off"
        elif one.figure in _FIELDS and one.n < requests.n:
            without = number_of(requests.n - one.n, f"{requests.kind.name} line")
            yield f"--{one.figure}: {without} without db_queries, so these were not checked"


def _refuse_unknown_routes(routes: Sequence[str], requests: Requests) -> None:
    """Raise `SourceError` if one of *routes* has no request: a limit on a misspelt route would always be kept."""
    found = {route for (route,) in requests.ranking(("route",))} if routes else set()
    missing = [no_route(route, requests.kind.name) for route in routes if route not in found]
    if missing:
        raise SourceError(f"{'; '.join(missing)}, so its limits cannot be checked: correct --route or remove it")


def _limits(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the limits: seconds, numbers of queries, and a share from 0 to 1 for ``errors``."""
    given = {figure: getattr(arguments, figure) for figure in QUANTILES}
    limits = {figure: seconds_of(text, f"--{figure}") for figure, text in given.items() if text is not None}
    limits |= {name: float(value) for name in ("queries", "repeats") if (value := getattr(arguments, name)) is not None}
    if arguments.blocked is not None:
        limits["blocked"] = seconds_of(arguments.blocked, "--blocked")
    if arguments.errors is not None:
        limits["errors"] = _share(arguments.errors)
    if not limits:
        raise ExpressionError("there is no limit to check: give one, for example --p95 300ms or --errors 1%")
    return limits


def _value(everything: Overview, figure: str) -> float | None:
    if figure == "errors":
        return None if everything.errors is None else everything.errors / everything.requests
    value: float | None = getattr(everything.durations, figure)
    return value


def _share(text: str) -> float:
    """Return a share from 0 to 1. A number above 0 without ``%`` is an error, because ``1`` may mean 1% or all."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%|0", text.strip())
    share = None if match is None else float(match[1] or 0) / 100
    if share is None or share > 1:
        cure = f"add the sign, for example {text.strip()}%" if re.fullmatch(r"\s*\d+\s*", text) else "use 1% or 0.5%"
        raise ExpressionError(f"invalid --errors {text!r}: use a percentage from 0% to 100%; {cure}")
    return share


def _text(verdict: _Verdict, value: float) -> str:
    if verdict.figure in {"queries", "repeats"}:
        return count(value)
    return percent(value) if verdict.figure == "errors" else duration(value)


def _reason(verdict: _Verdict, kind: Kind) -> str:
    text = f"{verdict.figure} {_text(verdict, verdict.value or 0.0)} is above {_text(verdict, verdict.limit)}"
    if verdict.worst is None:
        return text
    fields = verdict.worst.fields
    place = fields.get(_FIELDS[verdict.figure][1] or "")
    parts = [
        name_of(tuple(fields[name] for name in kind.by)),
        f"{kind.id.replace('_id', '')} {fields[kind.id] or MISSING}",
        *([f"at {place}"] if place else []),
    ]
    return escape_controls(f"{text} ({', '.join(parts)})")


def _data(verdict: _Verdict) -> dict[str, Any]:
    return {
        "figure": verdict.figure,
        "unit": _UNITS.get(verdict.figure, "seconds"),
        "limit": verdict.limit,
        "value": verdict.value,
        "n": verdict.n,
        "kept": verdict.kept,
        **({} if verdict.figure not in _FIELDS else {"worst": verdict.worst}),
    }


def _row(verdict: _Verdict, *, raw: bool) -> tuple[object, ...]:
    word = "kept" if verdict.kept else "broken"
    if raw:
        return verdict.figure, verdict.limit, verdict.value, verdict.n, word
    value = None if verdict.value is None else _text(verdict, verdict.value)
    return verdict.figure, _text(verdict, verdict.limit), value, verdict.n, word
