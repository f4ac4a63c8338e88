"""
The cells of the tables of the report, and how they become a table.

Each cell has its number in base units as ``data-v``, which the script sorts by. A cell without a value sorts last in
both directions. A column without any value is left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.display import numbers
from obs_middleware.read.answers import Group
from obs_middleware.read.kinds import Kind
from obs_middleware.read.show.page.inline import bar
from obs_middleware.read.show.page.markup import Markup, element, join, visible

__all__ = [
    "Cell",
    "Column",
    "duration",
    "key_columns",
    "linked",
    "number",
    "outcome",
    "ratio",
    "route",
    "share",
    "status",
    "table",
    "text",
    "time",
]

_LOOKS: Final[Mapping[str | None, str]] = {
    None: "",
    "ok": "",
    "ignored": "",
    **dict.fromkeys(("cancelled", "aborted", "retry", "rejected", "revoked", "expired"), " poor"),
}
"""CSS class of an outcome; every other outcome is bad."""


@dataclass(frozen=True, slots=True)
class Cell:
    """
    A cell of a table.

    Attributes:
        shown: The content; None if it is not known.
        value: The number to sort by, if there is one.
        class_: Names of CSS classes.
    """

    shown: str | None
    value: float | None = None
    class_: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of a table.

    Attributes:
        name: Heading.
        cell: Makes the cell of a row.
        sort: ``number`` and ``time`` sort by value, the largest first; ``text`` sorts by content; None does not sort.
        hint: Tooltip of the heading.
    """

    name: str
    cell: Callable[[Any], Cell]
    sort: str | None = "text"
    hint: str | None = None


def key_columns(kind: Kind) -> list[Column]:
    """Return the columns of the fields that the rows are grouped by."""

    def column(number: int, name: str) -> Column:
        if name == "route":
            return Column("Route", lambda row: Cell(route(row.keys[number]), None, "path"))
        class_ = "method" if name == "method" else "path"
        return Column(name.capitalize(), lambda row: text(row.keys[number], class_))

    return [column(number, name) for number, name in enumerate(kind.by)]


def table(name: str, columns: Sequence[Column], rows: Sequence[Any], *, rest: Group | None = None) -> Markup:
    """Return the table of *rows*, with all others together as *rest*; the section has the heading *name*-title."""
    grid = [[column.cell(row) for column in columns] for row in rows]
    used = [index for index in range(len(columns)) if any(cells[index].shown is not None for cells in grid)]
    shown = [columns[index] for index in used]
    foot = None
    if rest is not None:
        cells = [column.cell(rest) for column in columns]
        cells[len(rest.keys) - 1] = Cell("(other)", None, "path muted")
        foot = element("tfoot", _row(shown, [cells[index] for index in used]))
    return element(
        "table",
        element("thead", element("tr", *map(_head, shown))),
        element("tbody", *(_row(shown, [cells[index] for index in used]) for cells in grid)),
        foot,
        class_="rows",
        aria_labelledby=f"{name}-title",
    )


def _head(column: Column) -> Markup:
    return element(
        "th",
        element("span", column.name),
        scope="col",
        title=column.hint,
        class_="number" if column.sort == "number" else None,
        data_sort=column.sort,
    )


def _row(columns: Sequence[Column], cells: Sequence[Cell]) -> Markup:
    """Return a row. Its numbers, times and users have their names, for a phone, where a row is a paragraph."""
    return element(
        "tr",
        *(
            element(
                "td",
                element("span", numbers.MISSING, class_="missing") if cell.shown is None else cell.shown,
                class_=cell.class_ or None,
                data_v=None if cell.value is None else repr(cell.value),
                data_name=column.name if column.sort in {"number", "time"} or not cell.class_ else None,
            )
            for column, cell in zip(columns, cells, strict=True)
        ),
    )


def text(value: str | None, class_: str = "") -> Cell:
    """Return the cell of a logged value."""
    return Cell(None if value is None else visible(value), None, class_)


def linked(value: str | None, url: str | None, class_: str) -> Cell:
    """Return the cell of a text that links to *url*, if there is one."""
    if value is None or url is None:
        return text(value, class_)
    return Cell(element("a", visible(value), href=url, rel="noopener noreferrer"), None, class_)


def outcome(word: str | None) -> Cell:
    """Return the cell of an outcome, coloured by how bad it is."""
    return text(word, f"word{_LOOKS.get(word, ' bad')}")


def route(value: str | None) -> Markup | None:
    """Return a route; the root, an empty text, becomes ``(root)``."""
    if value is None:
        return None
    return visible(value) if value else element("span", "(root)", class_="muted")


def number(value: int | None, *, bad: bool = False) -> Cell:
    """Return the cell of a number of things."""
    return Cell(None if value is None else numbers.count(value), value, "number bad" if bad else "number")


def duration(value: float | None, *, small: bool = False) -> Cell:
    """Return the cell of seconds; *small* if they rest on few requests."""
    if value is None:
        return Cell(None, None, "number")
    class_ = "number long" if value >= 0.9995 else "number"
    return Cell(numbers.duration(value), value, f"{class_} small" if small else class_)


def ratio(value: float | None) -> Cell:
    """Return the cell of a share of errors."""
    return Cell(None if value is None else numbers.percent(value), value, "number bad" if value else "number")


def share(value: float | None) -> Cell:
    """Return the cell of a share, with a bar."""
    if value is None:
        return Cell(None, None, "number")
    return Cell(join(bar(value, value), " ", numbers.percent(value)), value, "number with-bar")


def status(value: int | None) -> Cell:
    """Return the cell of a status."""
    kind = "" if value is None or value < 400 else " poor" if value < 500 else " bad"
    return Cell(None if value is None else str(value), value, f"number{kind}")


def time(value: dt.datetime | None) -> Cell:
    """Return the cell of a time."""
    if value is None:
        return Cell(None, None, "time")
    shown = element("time", numbers.moment(value), datetime=value.astimezone(dt.UTC).isoformat())
    return Cell(shown, value.timestamp(), "time")
