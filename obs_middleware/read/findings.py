"""
One sentence for each group that says why its requests are slow: `finding`.

Read. A sentence says only what the lines say: where the time goes, and at which places in the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from obs_middleware.display.numbers import MISSING, count, duration, number_of
from obs_middleware.read.answers import Keys
from obs_middleware.read.bands import PLACES, Place
from obs_middleware.read.kinds import Kind
from obs_middleware.read.why import REST, UNCLEAR, Part, Reason

__all__ = ["finding", "gaps_of", "name_of", "telling_first"]

_WORTH: Final = 0.2
"""A part with a smaller share is not worth a word beside a larger one."""
_MOST_PARTS: Final = 2
_PHRASES: Final = {
    "blocked event loop": "the blocked event loop",
    REST: "in none of the measured parts",
    UNCLEAR: "in timed blocks, or beside them",
}

_UNKNOWN: Final = "their time is in the rest"
_GAPS: Final = {
    "db_seconds": (_UNKNOWN, "the database was not measured, its time is in the rest"),
    "http_seconds": (_UNKNOWN, "outgoing calls were not measured (OUTGOING), their time is in the rest"),
}
"""Field -> what it means if some lines do not have it, and if no line has it."""

Share = Callable[[Part], float | None]


def finding(reason: Reason, noun: str = "request") -> str:
    """
    Return why the requests of a group are slow, without the name of the group.

    Args:
        reason: The measurements.
        noun: The word for one request.
    """
    return "; ".join((*_where_time_goes(reason, noun), *_where_in_the_code(reason, noun)))


def telling_first(reasons: Iterable[Reason]) -> tuple[list[Reason], list[Reason]]:
    """
    Return the groups that tell something, those with a place in the code first, and the groups that tell nothing.

    A group tells nothing if its lines name no place, no part but the rest is worth a word, and the rest may be larger
    in slow requests by chance alone.
    """
    ordered = sorted(reasons, key=lambda reason: not _names_place(reason))
    telling = [reason for reason in ordered if _tells(reason)]
    return telling, [reason for reason in ordered if reason not in telling]


def _tells(reason: Reason) -> bool:
    told = ((but, part) for but, parts, _ in _time_goes_to(reason, "request") for part, _ in parts)
    return _names_place(reason) or _waits(reason) or any(not but or part.name != REST for but, part in told)


def _names_place(reason: Reason) -> bool:
    return any(reason.places[name].rows for name in PLACES)


def _where_time_goes(reason: Reason, noun: str) -> Iterator[str]:
    for but, parts, of in _time_goes_to(reason, noun):
        yield but + _listed(parts, of)
    if _waits(reason):
        yield f"slow {noun}s waited {duration(reason.slow.means['queue_seconds'])} before they began"


def _time_goes_to(reason: Reason, noun: str) -> Iterator[tuple[str, list[tuple[Part, float]], str]]:
    """Yield parts with their shares; before them what limits what they say, after them what they are shares of."""
    slow, ordinary = reason.slow, reason.ordinary
    everything = slow.seconds * slow.n + ordinary.seconds * ordinary.n
    if not 0 < everything < math.inf:  # damaged lines may claim any duration
        return
    more = _largest(reason.parts, lambda part: part.share) if reason.compared else []
    all_of = _largest(reason.parts, lambda part: _together(part, reason) / everything)
    of = f"of the time of {number_of(slow.n + ordinary.n, noun)}"
    if more and not more[0][0].chance:
        sure = [one for one in more if not one[0].chance]
        yield "", sure, "of the time above p50"
        # What makes some requests slow may not be measured, or be small beside what makes all of them slow.
        named = {REST, UNCLEAR, *(part.name for part, _ in sure)}
        also = [one for one in all_of if one[0].name not in named and one[1] >= _WORTH]
        yield from (("", [one], of) for one in also[:1])
    else:
        yield f"{_why_of_all(reason, noun, differs=bool(more))}: ", all_of, of


def _waits(reason: Reason) -> bool:
    """Return whether a good part of the time passed before the slow requests began."""
    return reason.slow.means.get("queue_seconds", 0.0) >= _WORTH * reason.slow.seconds > 0


def _why_of_all(reason: Reason, noun: str, *, differs: bool) -> str:
    """Return why nothing is said about the difference: it may be chance, or there is none."""
    alone = reason.slow.n == 1 and not reason.ordinary.n
    if differs or alone:
        return f"only {number_of(reason.slow.n, f'slow {noun}')} to compare"
    return f"slow {noun}s are like ordinary ones"


def _together(part: Part, reason: Reason) -> float:
    """Return the seconds of a part in both bands together."""
    return (part.slow or 0.0) * reason.slow.n + (part.ordinary or 0.0) * reason.ordinary.n


def _largest(parts: Sequence[Part], share: Share) -> list[tuple[Part, float]]:
    """Return the parts with the largest shares, at most two, the largest first."""
    shares = [(part, value) for part in parts if (value := share(part))]
    largest = sorted(shares, key=lambda one: -one[1])[:_MOST_PARTS]
    return [*largest[:1], *(one for one in largest[1:] if one[1] >= _WORTH)]


def _listed(parts: list[tuple[Part, float]], of: str) -> str:
    (part, share), *others = parts
    first = f"{_whole(share)} {of} is {_PHRASES.get(part.name, part.name)}"
    return ", ".join([first, *(f"{_whole(share)} {_PHRASES.get(part.name, part.name)}" for part, share in others)])


def _whole(share: float) -> str:
    """Return a share in whole percent; one below 1 never looks like all."""
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _where_in_the_code(reason: Reason, noun: str) -> Iterator[str]:
    # A place without its figure, or with more repetitions than queries, is on a damaged line.
    if (repeated := _first(reason, "db_repeated_at")) and repeated.mean is not None:
        of = f" of {count(repeated.queries)}" if (repeated.queries or 0) >= repeated.mean else ""
        yield f"{count(repeated.mean)}{of} queries are one statement, run at {repeated.place}"
    if (blocked := _first(reason, "blocked_at")) and blocked.most is not None:
        yield f"the event loop was blocked for up to {duration(blocked.most)} at {blocked.place}"
    if caught := _first(reason, "slow_at"):
        were = "was" if caught.n == 1 else "were"
        yield f"{number_of(caught.n, noun)} over SLOW_SECONDS {were} caught at {caught.place}"


def _first(reason: Reason, field: str) -> Place | None:
    """Return the most frequent place that *field* names."""
    places = reason.places.get(field)
    return places.rows[0] if places is not None and places.rows else None


def name_of(keys: Keys) -> str:
    """Return the name of a group for people: ``GET orders/``, or ``GET ""`` for the root."""
    return " ".join(MISSING if key is None else key or '""' for key in keys)


def gaps_of(reasons: Sequence[Reason], kind: Kind) -> Iterator[str]:
    """Yield what the lines of slow requests do not say, and what the parts mean where they may overlap."""
    yield from _missing(reasons)
    parts = [part for reason in reasons for part in reason.parts]
    if any(part.name == UNCLEAR and (part.slow or part.ordinary) for part in parts):
        yield "unclear: the time of timed blocks that may contain the parts above them; it is one of these, or the rest"
    for name in sorted({name for reason in reasons for name in reason.too_long}):
        yield f"{name} is longer than the {kind.plural}, so it is no part of them"
    if any(part.chance for part in parts):
        yield f"chance: slow {kind.plural} have more of this part, but so few of them may have more by chance alone"
    yield from _about_places(reasons, kind)


def _about_places(reasons: Sequence[Reason], kind: Kind) -> Iterator[str]:
    """Yield what the places mean for other requests, and how many lines name places that are not shown."""
    if blocked := sum(reason.places["blocked_at"].lines for reason in reasons):
        lines = number_of(blocked, kind.name)
        yield f"{lines} blocked an event loop: others waited meanwhile, and that time is in the rest of theirs"
    for name in PLACES:
        if elsewhere := sum(reason.places[name].elsewhere for reason in reasons):
            yield f"{number_of(elsewhere, 'line')} with {name} at other places"


def _missing(reasons: Sequence[Reason]) -> Iterator[str]:
    """Yield how many lines of slow requests lack a field that most sites have."""
    n = sum(reason.slow.n for reason in reasons)
    for field, (some, none) in _GAPS.items():
        known = sum(reason.slow.known.get(field, 0) for reason in reasons)
        if known < n:
            lines = f"{count(n - known)} of {count(n)} slow lines have no" if known else "no slow line has"
            yield f"{lines} {field}: {some if known else none}"
