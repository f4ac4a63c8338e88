"""
The comparison behind `diff`: `compare`.

Each figure of each group gets a verdict. Percentiles are compared by exact ranks (`nearest_ranks`), error rates by
Fisher's exact test, and the volume like a percentile: as the median of the requests in slices of equal length, so that
traffic that comes in bursts is no change. The percentiles of all groups share one error, and so do their error rates
and their volumes (`strictest_level`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from obs_middleware.read.answers import SHARES, Group, Keys, Quantiles, Ranked, SliceCount, most_time_first
from obs_middleware.read.chance import at_least, chance_of_shares, levels, nearest_ranks, strictest_level, waves
from obs_middleware.read.judged import Judged
from obs_middleware.read.questions import Side

__all__ = ["ERROR", "QUANTILES", "UNITS", "Change", "Comparison", "compare", "least_requests"]

ERROR: Final = 0.01
"""If nothing changed, the probability that any figure of a kind is called different."""

QUANTILES: Final = {name: SHARES[name] for name in ("p50", "p95", "p99")}
"""The compared quantiles, with the share of durations below each."""

UNITS: Final = {**dict.fromkeys(QUANTILES, "seconds"), "errors": "share", "volume": "per_second"}
"""All compared figures, with their units."""

Verdict = Literal["slower", "faster", "more", "fewer", "chance", "too few", "sampled", "unknown"]

_SLICES: Final = 20
"""Slices of the side that spans less time."""
_MOST_SLICES: Final = 500
"""Slices of the side that spans more time."""
_SHORTEST: Final = dt.timedelta(seconds=1)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_SIDES: Final = ("before", "after")
_MEDIAN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """
    A figure of one group, before and after.

    Attributes:
        keys: The values that the requests of the group have in common.
        figure: ``p50``, ``p95``, ``p99``, ``errors`` or ``volume``.
        n_before: The lines behind it.
        n_after: The lines behind it on the other side.
        before: The figure, in its unit of `UNITS`; None if it is not known.
        after: The figure on the other side.
        verdict: The direction of the change; or that it may be chance, rests on too few requests or on sampled lines,
            or is not known.
        low: Lower end of the interval for the difference *after* - *before*; None if it has none.
        high: Its upper end.
    """

    keys: Keys
    figure: str
    n_before: int
    n_after: int
    before: float | None
    after: float | None
    verdict: Verdict
    low: float | None = None
    high: float | None = None

    @property
    def real(self) -> bool | None:
        """Whether the change is more than chance. None if that cannot be judged."""
        if self.verdict in {"too few", "sampled", "unknown"}:
            return None
        return self.verdict != "chance"


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    All changes.

    Attributes:
        changes: The figures of each group, those groups first that took the most time on either side.
        level: The error at which each percentile was judged.
        waves: The groups in which slow requests follow one another, so that a verdict may be wrong.
        weak_waves: Whether all groups together have waves that are too weak to be seen in one.
    """

    changes: tuple[Change, ...]
    level: float
    waves: tuple[Keys, ...] = ()
    weak_waves: bool = False


def least_requests(share: float, level: float) -> int:
    """Return how many requests both sides need, so that a change of a quantile can be found at *level*."""
    low, high = 0, 1
    while nearest_ranks(share, high, high, level / 2) is None:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if nearest_ranks(share, middle, middle, level / 2) is None else (low, middle)
    return high


def compare(before: Side, after: Side, by: Sequence[str], limit: int | None = None) -> Comparison:
    """
    Return how each figure of each group differs between two sides.

    Args:
        before: The first side.
        after: The second side.
        by: The fields to group by.
        limit: The largest number of groups; those are kept that took the most time together on either side.
    """
    sides = _Both.of(before, after, by, limit)
    durations, level = _durations(sides)
    errors = _errors(sides)
    volumes, series = _volumes(sides)
    strong, weak = waves(list(series.values()))
    wavy = [keys for number, keys in enumerate(series) if number in strong]
    changes = (
        change
        for keys in sides.kept
        for change in (*(durations[keys, figure] for figure in QUANTILES), errors[keys], volumes[keys])
    )
    return Comparison(tuple(changes), level, tuple(dict.fromkeys(keys for keys, _ in wavy)), weak)


@dataclass(frozen=True, slots=True)
class _Both:
    """
    Both sides.

    Attributes:
        sides: The sides, before and after.
        by: The fields to group by.
        kept: The keys of the groups to compare.
        rankings: All groups of each side.
        groups: The compared groups of each side.
    """

    sides: tuple[Side, Side]
    by: Sequence[str]
    kept: list[Keys]
    rankings: tuple[Mapping[Keys, Ranked], ...]
    groups: tuple[Mapping[Keys, Group], ...]

    @classmethod
    def of(cls, before: Side, after: Side, by: Sequence[str], limit: int | None) -> _Both:
        rankings = (before.ranking(by), after.ranking(by))
        kept = _most_time(rankings)[:limit]
        groups = tuple(
            side.figures(by, [ranking[keys] for keys in kept if keys in ranking])
            for side, ranking in zip((before, after), rankings, strict=True)
        )
        return cls((before, after), by, kept, rankings, groups)

    def pair(self, keys: Keys) -> tuple[Group, Group]:
        """Return a group on both sides."""
        old, new = (groups.get(keys) or Group(keys, 0, None, 0.0, None, Quantiles(0)) for groups in self.groups)
        return old, new


def _most_time(rankings: Iterable[Mapping[Keys, Ranked]]) -> list[Keys]:
    """Return the keys of all groups, in the order of the larger of their two times."""
    larger: dict[Keys, Ranked] = {}
    for ranking in rankings:
        for keys, group in ranking.items():
            if keys not in larger or larger[keys].seconds < group.seconds:
                larger[keys] = group
    return [group.keys for group in sorted(larger.values(), key=most_time_first)]


# Percentiles


def _durations(both: _Both) -> tuple[dict[tuple[Keys, str], Change], float]:
    """Return the changes of the quantiles, and the level at which they were judged."""
    judged = {}
    for keys in both.kept:
        sizes = [group.durations.n for group in both.pair(keys)]
        for figure, share in QUANTILES.items():
            slack = [_slack(side.rank_error(share), n) for side, n in zip(both.sides, sizes, strict=True)]
            judged[keys, figure] = Judged(share, (sizes[0], sizes[1]), (slack[0], slack[1]))
    possible = [one for one in judged.values() if any(one.ends(ERROR))]
    steps = levels(ERROR, len(possible))
    values = [_values(both, side, judged, steps) for side in (0, 1)]
    for (keys, _), one in judged.items():
        one.values = values[0].get(keys, {}), values[1].get(keys, {})
    level = _level_of(possible)
    changes = {}
    for (keys, figure), one in judged.items():
        before, after = (getattr(group.durations, figure) for group in both.pair(keys))
        verdict = _verdict(one.direction(level), "slower", "faster")
        changes[keys, figure] = Change(keys, figure, *one.sizes, before, after, verdict, *one.interval(level))
    return changes, level


def _level_of(judged: Sequence[Judged]) -> float:
    """Return the level at which figures that share one error are judged."""
    return strictest_level(ERROR, len(judged), lambda level: sum(bool(one.direction(level)) for one in judged))


def _verdict(direction: int | None, up: Verdict, down: Verdict) -> Verdict:
    if direction is None:
        return "too few"
    return "chance" if not direction else up if direction > 0 else down


def _slack(rank_error: float, n: int) -> int:
    """Return how many ranks a duration may be off: at least one if percentiles are approximate."""
    return int(rank_error * n) + 1 if rank_error else 0


def _values(
    both: _Both, side: int, judged: Mapping[tuple[Keys, str], Judged], steps: Sequence[float]
) -> Mapping[Keys, Mapping[int, float]]:
    """Look up the durations of one side at all ranks that a verdict may need, in one go."""
    wanted: dict[Ranked, set[int]] = {}
    for (keys, _), one in judged.items():
        ranks = {ends[side] for level in steps for ends in one.ends(level) if ends is not None}
        if ranks:
            wanted.setdefault(both.rankings[side][keys], set()).update(ranks)
    return both.sides[side].durations_at(both.by, {group: sorted(ranks) for group, ranks in wanted.items()})


# Errors


def _errors(both: _Both) -> dict[Keys, Change]:
    """Return the changes of the error rates."""
    chances = {}
    for keys in both.kept:
        old, new = both.pair(keys)
        if _is_judged(old) and _is_judged(new):
            n = old.requests, new.requests
            if 2 * at_least(n[1], sum(n), n[1], n[1]) <= ERROR:  # all failed on one side, and none on the other
                chances[keys] = chance_of_shares((old.errors or 0, n[0]), (new.errors or 0, n[1]))
    level = strictest_level(ERROR, len(chances), lambda level: sum(2 * min(one) <= level for one in chances.values()))
    return {keys: _error_change(keys, *both.pair(keys), chances.get(keys), level) for keys in both.kept}


def _is_judged(group: Group) -> bool:
    """Whether the errors are known, and counted, not estimated from a sample."""
    return group.errors is not None and group.requests == group.durations.n


def _error_change(keys: Keys, old: Group, new: Group, chances: tuple[float, float] | None, level: float) -> Change:
    verdict: Verdict = "too few"
    if chances is not None:
        more, fewer = (2 * one <= level for one in chances)
        verdict = _verdict(1 if more else -1 if fewer else 0, "more", "fewer")
    elif any(group.requests != group.durations.n for group in (old, new)):
        verdict = "sampled"
    elif any(group.requests and group.errors is None for group in (old, new)):
        verdict = "unknown"
    before, after = (None if one.errors is None else one.errors / one.requests for one in (old, new))
    return Change(keys, "errors", old.durations.n, new.durations.n, before, after, verdict)


# Volume, and waves

Series = dict[tuple[Keys, str], list[tuple[int, int]]]


def _volumes(both: _Both) -> tuple[dict[Keys, Change], Series]:
    """Return the changes of the volume, and the requests of each group and side in slices of time; see `waves`."""
    spans = [side.span() for side in both.sides]
    lengths = [dt.timedelta(0) if one is None else one[1] - one[0] for one in spans]
    if min(lengths) < _SHORTEST:
        return {keys: _volume(keys, both.pair(keys), (None, None)) for keys in both.kept}, {}
    every = max(min(lengths) / _SLICES, max(lengths) / _MOST_SLICES) // _MILLISECOND * _MILLISECOND
    numbers = lengths[0] // every, lengths[1] // every
    slices = [_slices(both, side, every) for side in (0, 1)]
    series: Series = {}
    judged = {}
    for keys in both.kept:
        rates = []
        for name, found, number in zip(_SIDES, slices, numbers, strict=True):
            here = [found.get(keys, {}).get(place, SliceCount(0.0, 0, 0)) for place in range(number)]
            series[keys, name] = [(one.n, one.above) for one in here]
            rates.append(dict(enumerate(sorted(one.requests / every.total_seconds() for one in here), 1)))
        judged[keys] = Judged(_MEDIAN, numbers, values=(rates[0], rates[1]))
    level = _level_of([*judged.values()])
    seconds = lengths[0].total_seconds(), lengths[1].total_seconds()
    return {keys: _volume(keys, both.pair(keys), seconds, judged[keys], level) for keys in both.kept}, series


def _slices(both: _Both, side: int, every: dt.timedelta) -> Mapping[Keys, Mapping[int, SliceCount]]:
    medians = {both.rankings[side][keys]: group.durations.p50 or 0.0 for keys, group in both.groups[side].items()}
    return both.sides[side].slices(both.by, medians, every)


def _volume(
    keys: Keys,
    groups: tuple[Group, Group],
    seconds: tuple[float | None, float | None],
    judged: Judged | None = None,
    level: float = ERROR,
) -> Change:
    old, new = groups
    before, after = (group.requests / span if span else None for group, span in zip(groups, seconds, strict=True))
    verdict: Verdict = "unknown" if judged is None else _verdict(judged.direction(level), "more", "fewer")
    interval = (None, None) if judged is None else judged.interval(level)
    return Change(keys, "volume", old.durations.n, new.durations.n, before, after, verdict, *interval)
