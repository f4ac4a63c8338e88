"""
Where the time of slow requests goes, compared with ordinary ones: `explain`.

Read. A mean can be cut into parts, a percentile cannot. So the two bands of a group are compared by their means: the
parts of each add up to its duration, and the differences of the parts add up to the difference of the durations.

Parts overlap, and no line says by how much: a timed block may contain queries. A part counts only for the time that the
parts before it cannot account for. Time that may be a timed block as well as something else is a part of its own,
`UNCLEAR`. So all parts together are never more than the duration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from obs_middleware.read.answers import Keys, Ranked, most_time_first
from obs_middleware.read.bands import PARTS, PLACES, STREAMED, Band, Bands, Places
from obs_middleware.read.chance import at_least
from obs_middleware.read.questions import Requests

__all__ = [
    "BLOCK",
    "CHANCE",
    "REST",
    "STREAMING",
    "UNCLEAR",
    "Part",
    "Reason",
    "explain",
    "is_by_chance",
    "label_of",
    "parts_of",
]

REST: Final = "the rest"
UNCLEAR: Final = "unclear"
STREAMING: Final = "streaming"
BLOCK: Final = "_seconds"
"""The end of the name of a timed block's field."""

CHANCE: Final = 0.01
"""If slow and ordinary requests did not differ in a part, a larger probability than this is called chance."""

_NAMES: Final = {"db_seconds": "database", "http_seconds": "outgoing calls", "blocked_seconds": "blocked event loop"}
_MORE: Final = 1.1
"""Slow requests that take less than this times as long as ordinary ones differ too little to be compared."""
_MOST_PLACES: Final = 3


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of the duration, on average over a band.

    Attributes:
        name: A name for people: ``database``, or that of a timed block.
        field: The field behind it; None if it is what the fields leave.
        slow: Seconds of slow requests; None if no line of the group has the field.
        ordinary: Seconds of ordinary requests.
        share: The part of the time above ordinary requests, from 0 to 1; None if the two bands are not compared.
        chance: Whether a difference like this is likely by chance alone.
        n: The number of slow lines that have the field.
    """

    name: str
    field: str | None
    slow: float | None
    ordinary: float | None
    share: float | None = None
    chance: bool = False
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why the requests of a group are slow.

    Attributes:
        keys: The values of the fields that the requests are grouped by.
        n: The number of lines.
        bands: The measurements.
        parts: The parts of the duration, which add up to it.
        compared: Whether slow requests take so much longer that the shares of the parts mean something.
        too_long: Fields like those of timed blocks that are longer than the requests, so that they are no part of them.
        places: Field of `PLACES` -> the places that the lines name.
    """

    keys: Keys
    n: int
    bands: Bands
    parts: tuple[Part, ...]
    compared: bool
    too_long: tuple[str, ...] = ()
    places: Mapping[str, Places] = field(default_factory=dict)

    @property
    def slow(self) -> Band:
        """The slow requests."""
        return self.bands.slow

    @property
    def ordinary(self) -> Band:
        """The ordinary requests."""
        return self.bands.ordinary


def explain(requests: Requests, blocks: Sequence[str], limit: int | None = None) -> tuple[tuple[Reason, ...], int]:
    """
    Return the reasons of at most *limit* groups, those first that took the most time together, and the number of all.

    Args:
        requests: They must have been read with `WHY_FIELDS`, *blocks* and the fields of their kind.
        blocks: The fields of timed blocks.
        limit: The number of groups; None for all.
    """
    by = requests.kind.by
    ranking = sorted(requests.ranking(by).values(), key=most_time_first)
    groups = ranking[:limit]
    bands = requests.bands(by, groups, blocks)
    places = {name: requests.places(by, groups, name, _MOST_PLACES) for name in PLACES}
    reasons = (
        _reason(
            group, bands.get(group.keys, Bands()), blocks, {name: found[group.keys] for name, found in places.items()}
        )
        for group in groups
    )
    return tuple(reasons), len(ranking)


def _reason(group: Ranked, bands: Bands, blocks: Iterable[str], places: Mapping[str, Places]) -> Reason:
    slow, ordinary = bands.slow, bands.ordinary
    too_long = tuple(one for one in blocks if any(band.means.get(one, 0.0) > band.seconds for band in (slow, ordinary)))
    inside = [one for one in blocks if one not in too_long]
    of_slow, of_ordinary = parts_of(slow, inside), parts_of(ordinary, inside)
    compared = ordinary.n > 0 and slow.seconds >= _MORE * ordinary.seconds
    # A sum of the same floats differs from run to run in its last digits.
    more = {name: max(round(of_slow[name] - of_ordinary[name], 9), 0.0) for name in of_slow}
    total = sum(more.values()) if compared else 0.0
    shares = {name: seconds / total if total else None for name, seconds in more.items()}
    parts = tuple(_part(name, of_slow[name], of_ordinary[name], shares[name], bands) for name in of_slow)
    return Reason(group.keys, group.n, bands, parts, compared, too_long, places)


def _part(name: str, seconds: float, usual: float, share: float | None, bands: Bands) -> Part:
    slow, ordinary = bands.slow, bands.ordinary
    field_name = name if name in slow.known and name != STREAMED else None
    n = slow.known.get(name)
    if n == 0 and not ordinary.known.get(name):
        return Part(label_of(name), field_name, None, None, n=n)
    chance = bool(share) and is_by_chance(name, bands)
    return Part(label_of(name), field_name, seconds, usual if ordinary.n else None, share, chance=chance, n=n)


def parts_of(band: Band, blocks: Iterable[str]) -> dict[str, float]:
    """
    Return the parts of the mean duration, which add up to it: a field or another name -> seconds.

    Queries and outgoing calls are counted first, as if none ran beside another. Then the time of a blocked event loop
    beyond the outgoing calls, which may have blocked it. Then of each timed block only what is longer than all of
    these, as if no block contained another one; then the time that may be such a block or not; then of the time after
    the first byte only what is longer than all of these.
    """
    left = band.seconds
    parts: dict[str, float] = {}

    def take(name: str, seconds: float) -> None:
        nonlocal left
        parts[name] = min(max(seconds, 0.0), left)
        left -= parts[name]

    database, outgoing, blocked = (band.means.get(name, 0.0) for name in PARTS)
    for name, seconds in zip(PARTS, (database, outgoing, blocked - outgoing), strict=True):
        take(name, seconds)
    before = sum(parts.values())
    room = left
    named = sorted(((band.means.get(name, 0.0), name) for name in blocks), reverse=True)
    for seconds, name in named:
        take(name, seconds - before)
    together = sum(seconds for seconds, _ in named)
    take(UNCLEAR, min(together, room) - (room - left))
    take(STREAMED, band.means.get(STREAMED, 0.0) - (band.seconds - left))
    parts[REST] = max(left, 0.0)
    return parts


def is_by_chance(name: str, bands: Bands) -> bool:
    """
    Return whether slow requests have more of a part only by chance.

    If a part has nothing to do with being slow, the lines with much of it are spread over both bands like any other
    lines. "Much" is more than the mean of both bands together, which does not depend on who is slow.
    """
    slow, ordinary = bands.slow, bands.ordinary
    # What is computed from other fields has no such counts. Then only the number of lines is judged.
    marked = slow.above[name] + ordinary.above[name] if name in slow.above else slow.n
    found = slow.above.get(name, slow.n)
    return at_least(found, slow.n + ordinary.n, marked, slow.n) > CHANCE


def label_of(name: str) -> str:
    """Return the name of a part for people: that of a timed block is the name that the application gave it."""
    if name == STREAMED:
        return STREAMING
    return _NAMES.get(name, name.removesuffix(BLOCK))
