"""The figures of all requests as lines of text, and the notes below them. Several commands print these."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from obs_middleware.display.numbers import count, duration, moment, number_of, percent, rate
from obs_middleware.read.answers import FEW, SHARES, Count, Groups, Overview, Quantiles
from obs_middleware.read.kinds import REQUEST, Kind
from obs_middleware.read.questions import Requests
from obs_middleware.read.show.text import FEW_NOTE

__all__ = [
    "QUANTILES",
    "beside_shares",
    "exactness_of",
    "figure_notes",
    "has_keys",
    "head_of",
    "notes_of",
    "reading_notes",
]

QUANTILES = ("p50", "p90", "p95", "p99", "max")
"""The quantiles that the console shows."""


def beside_shares(percentiles: Mapping[str, float]) -> dict[str, float]:
    """Return the *percentiles* that are not always computed."""
    return {name: share for name, share in percentiles.items() if share not in SHARES.values()}


def head_of(
    everything: Overview,
    quantiles: Sequence[str] = QUANTILES,
    zone: dt.tzinfo = dt.UTC,
    kind: Kind = REQUEST,
) -> tuple[str, ...]:
    """Return the figures of all requests as a few lines: totals, time span in *zone*, statuses, and these quantiles."""
    lines = ["  ".join(_totals(everything, kind))]
    if everything.first is not None and everything.last is not None:
        lines.append(f"from {moment(everything.first, zone)} to {moment(everything.last, zone)}")
    if everything.statuses:
        lines.append("  ".join(f"{one.name} {count(one.count)}" for one in everything.statuses))
    lines.append(_quantile_line(everything.durations, quantiles))
    return tuple(lines)


def _totals(everything: Overview, kind: Kind) -> list[str]:
    totals = [number_of(everything.requests, kind.name)]
    if everything.first is not None and everything.last is not None:
        span = (everything.last - everything.first).total_seconds()
        if span >= 1:
            totals.append(rate(everything.requests / span))
    if everything.errors is None:
        totals.append("errors unknown")
    else:
        share = everything.errors / everything.requests if everything.requests else 0.0
        totals.append(f"{number_of(everything.errors, 'error')} ({percent(share)})")
    totals.append(f"{duration(everything.seconds)} in total")
    return totals


def _quantile_line(durations: Quantiles, quantiles: Sequence[str]) -> str:
    mark = "*" if durations.n < FEW else ""
    values = (f"{name} {duration(durations.figure(name))}{mark}" for name in quantiles)
    return "  ".join((*values, f"n {count(durations.n)}"))


def notes_of(requests: Requests, everything: Overview, groups: Groups | None = None) -> tuple[str, ...]:
    """
    Return all notes below an answer: what was read, how exact the percentiles are, what the figures rest on.

    Args:
        requests: The requests that were asked about.
        everything: Their overview.
        groups: Their groups, if the command shows them.
    """
    missing = [] if groups is None or has_keys(groups) else [f"no line has {' or '.join(groups.by)}"]
    return (*reading_notes(requests), *exactness_of(requests), *figure_notes(everything), *missing)


def reading_notes(requests: Requests) -> tuple[str, ...]:
    """Return a note on the number of lines that were read, or of the request lines in an index."""
    lines = requests.lines
    if lines is None:
        return (f"{number_of(requests.n, f'{requests.kind.name} line')} of {', '.join(requests.sources)}",)
    counts = (Count(f"{requests.kind.name} lines", lines.requests), Count("filtered out", lines.filtered), *lines.kinds)
    shown = [counts[0], *(one for one in counts[1:] if one.count)]
    return (f"{number_of(lines.read, 'line')} read: {', '.join(map(_counted, shown))}",)


def _counted(one: Count) -> str:
    """Return a number of lines with their kind, which is in the plural."""
    return number_of(one.count, one.name[:-1]) if one.name.endswith("s") else f"{count(one.count)} {one.name}"


def exactness_of(requests: Requests) -> tuple[str, ...]:
    """Return a note if the percentiles are approximate, else nothing."""
    return () if requests.approximate is None else (f"percentiles are {requests.approximate}",)


def figure_notes(everything: Overview) -> tuple[str, ...]:
    """Return the notes on the figures themselves: whether they are estimated, unknown, or rest on few requests."""
    notes = []
    if everything.estimated:
        notes.append(
            "counts, rates and shares are estimates: each line weighs 1 / sample_rate; percentiles are of the lines"
        )
    if everything.errors is None:
        notes.append("these lines have a duration but no status, so errors are unknown")
    if everything.odd:
        times = ", ".join(map(moment, everything.odd_times)) + (
            ", …" if everything.odd > len(everything.odd_times) else ""
        )
        lines = number_of(everything.odd, "line")
        notes.append(f"{lines} far away in time from all others ({times}): not in the span and its slices")
    if everything.durations.n < FEW:
        notes.append(FEW_NOTE)
    return tuple(notes)


def has_keys(groups: Groups) -> bool:
    """Whether any line has one of the fields that the requests were grouped by."""
    return any(key is not None for row in groups.rows for key in row.keys)
