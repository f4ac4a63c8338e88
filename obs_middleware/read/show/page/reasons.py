"""
The section of the report that says why routes are slow: a bar of the parts for each, and the places in the code.

A bar has the parts of a slow request, and below it those of an ordinary one at the same scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from obs_middleware.display.numbers import duration, percent
from obs_middleware.read.bands import PLACES, Place
from obs_middleware.read.findings import finding, gaps_of, name_of
from obs_middleware.read.kinds import Kind
from obs_middleware.read.show.page import cells
from obs_middleware.read.show.page.figure import length, numbers_table
from obs_middleware.read.show.page.markup import Markup, element, join, plain, visible
from obs_middleware.read.why import REST, STREAMING, UNCLEAR, Part, Reason

__all__ = [
    "PlaceRow",
    "legend_of_parts",
    "notes_on_reasons",
    "numbers_of_parts",
    "places_of",
    "table_of_places",
    "table_of_reasons",
]

_CLASSES: Final = {
    "database": "database",
    "outgoing calls": "outgoing",
    "blocked event loop": "blocked",
    UNCLEAR: "unclear",
    STREAMING: "streaming",
    REST: "rest",
}
"""Name of a part -> its CSS class and so its colour; a timed block has the class ``block``."""
_WORDS: Final = {
    "db_repeated_at": "Repeated queries",
    "blocked_at": "Blocked event loop",
    "slow_at": "Caught when slow",
}


class PlaceRow(NamedTuple):
    """
    A place of a group, as a row.

    Attributes:
        field: The field that names the place, one of `PLACES`.
        place: The place.
        keys: The values of the group.
    """

    field: str
    place: Place
    keys: tuple[str | None, ...]


def notes_on_reasons(reasons: Sequence[Reason], kind: Kind) -> str:
    """Return what the numbers mean, and what the lines do not say."""
    bands = f"Slow: the slowest tenth of each {kind.by[-1]}. Ordinary: its middle half. Both are means, which add up."
    return " ".join([bands, *(f"{text[0].upper()}{text[1:]}." for text in gaps_of(reasons, kind))])


def places_of(reasons: Iterable[Reason]) -> list[PlaceRow]:
    """Return the places that the lines name, the most frequent first."""
    rows = [
        PlaceRow(name, one, reason.keys) for reason in reasons for name in PLACES for one in reason.places[name].rows
    ]
    return sorted(rows, key=lambda row: -row.place.n)


def table_of_reasons(reasons: Sequence[Reason], kind: Kind) -> Markup:
    """Return the groups with their bars and findings."""
    columns = [
        *cells.key_columns(kind),
        cells.Column("Slow", lambda row: cells.duration(row.slow.seconds), "number", "Mean of the slowest tenth"),
        cells.Column(
            "Ordinary",
            lambda row: cells.duration(row.ordinary.seconds if row.ordinary.n else None),
            "number",
            "Mean of the middle half",
        ),
        cells.Column("Slow, ordinary", lambda row: cells.Cell(_bars(row), None, "parts"), None),
        cells.Column("Why", lambda row: cells.text(finding(row, kind.name), "finding"), None),
    ]
    return cells.table("why", columns, reasons)


def _bars(reason: Reason) -> Markup | None:
    longest = max(reason.slow.seconds, reason.ordinary.seconds)
    if not longest:
        return None
    slow = [(part, part.slow or 0.0) for part in reason.parts]
    ordinary = [(part, part.ordinary or 0.0) for part in reason.parts]
    return join(_bar(slow, longest, "slow"), _bar(ordinary, longest, "ordinary"))


def _bar(parts: Iterable[tuple[Part, float]], longest: float, class_: str) -> Markup:
    left = 0.0
    drawn = []
    for part, seconds in parts:
        if seconds:
            title = element("title", f"{plain(part.name)} {duration(seconds)}")
            width = 100 * seconds / longest
            drawn.append(
                element("rect", title, class_=_class(part), x=length(left), width=length(width), height="100%")
            )
            left += width
    return element("svg", *drawn, class_=f"stack {class_}", aria_hidden="true")


def _class(part: Part) -> str:
    return f"part-{_CLASSES.get(part.name, 'block')}"


def legend_of_parts(reasons: Iterable[Reason]) -> Markup:
    """Return what the colours of the bars mean."""
    used = {_class(part): part for reason in reasons for part in reason.parts if part.slow or part.ordinary}
    names = {class_: "timed blocks" if class_ == "part-block" else part.name for class_, part in used.items()}
    order = [f"part-{name}" for name in ("database", "outgoing", "blocked", "block", "unclear", "streaming", "rest")]
    return element(
        "ul",
        *(
            element(
                "li",
                element("svg", element("rect", class_=class_, width="100%", height="100%"), class_="swatch"),
                names[class_],
            )
            for class_ in order
            if class_ in names
        ),
        class_="keys",
    )


def numbers_of_parts(reasons: Iterable[Reason]) -> Markup:
    """Return the numbers of the bars as a table that can be opened."""

    def rows() -> Iterator[list[str]]:
        for reason in reasons:
            name = name_of(reason.keys)
            for part in reason.parts:
                if part.slow or part.ordinary:
                    share = percent(part.share) + (" (chance)" if part.chance else "")
                    yield [visible(name), visible(part.name), duration(part.slow), duration(part.ordinary), share]

    table = numbers_table(["", "Part", "Slow", "Ordinary", "Of the difference"], rows())
    region = element("div", table, class_="scroll", tabindex=0, role="region", aria_labelledby="why-title")
    return element("details", element("summary", "The numbers as a table"), region)


def table_of_places(places: Sequence[PlaceRow], kind: Kind) -> Markup:
    """Return the places with how often and how bad."""

    def figure(row: PlaceRow, value: float | None) -> cells.Cell:
        if value is None:
            return cells.Cell(None)
        # Numbers of queries and seconds are in one column, which cannot be sorted.
        return cells.Cell(f"{value:,.0f} times" if row.field == "db_repeated_at" else duration(value))

    columns = [
        cells.Column(kind.plural.capitalize(), lambda row: cells.number(row.place.n), "number"),
        cells.Column("What", lambda row: cells.text(_WORDS[row.field])),
        cells.Column("Place", lambda row: cells.text(row.place.place, "path")),
        cells.Column("Mean", lambda row: figure(row, row.place.mean), None),
        cells.Column("Most", lambda row: figure(row, row.place.most), None),
        *cells.key_columns(kind),
    ]
    return cells.table("places", columns, places)
