"""
The tables of the report: routes, slowest requests, and failures.

Each cell has its number in base units as ``data-v``, which the script sorts by. A cell without a value sorts last in
both directions. A column without any value is left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obs_middleware.read.answers import BARS, FEW, ErrorRow, Group, SlowRequest, edge
from obs_middleware.read.show.numbers import MISSING, count, duration, moment, percent
from obs_middleware.read.show.numbers import tick as tick_label
from obs_middleware.read.show.page.axes import DurationAxis
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.show.page.inline import bar, spread
from obs_middleware.read.show.page.markup import Markup, element, join, visible

__all__ = ["MAX_ROWS", "table_of_failures", "table_of_routes", "table_of_slowest"]

MAX_ROWS: Final = 1000
"""Most rows of a table; the page says how many there are."""

_LOOKS: Final[Mapping[str | None, str]] = {None: "", "ok": "", "cancelled": " poor", "aborted": " poor"}
"""CSS class of an outcome; every other outcome is bad."""


@dataclass(frozen=True, slots=True)
class _Cell:
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
class _Column:
    """
    A column of a table.

    Attributes:
        name: Heading.
        cell: Makes the cell of a row.
        sort: ``number`` and ``time`` sort by value, the largest first; ``text`` sorts by content; None does not sort.
        hint: Tooltip of the heading.
    """

    name: str
    cell: Callable[[Any], _Cell]
    sort: str | None = "text"
    hint: str | None = None


def table_of_routes(data: ReportData) -> Markup:
    """Return requests, share, quantiles and errors by method and route."""
    rows = data.routes[:MAX_ROWS]
    every = [*rows, data.other_routes] if data.other_routes else rows
    known = [(row.durations.p50, row.durations.max) for row in every]
    low = min((p50 for p50, _ in known if p50), default=0.001)
    high = max((most for _, most in known if most), default=1.0)
    longest = edge(BARS.stop)
    axis = DurationAxis([min(low, longest) * 0.8, min(max(high, low), longest) * 1.1])
    weighted = any(row.requests != row.durations.n for row in every)

    def quantile(name: str) -> Callable[[Group], _Cell]:
        return lambda row: _duration(getattr(row.durations, name), small=row.durations.n < FEW and name != "p50")

    columns = [
        _Column("Method", lambda row: _text(row.keys[0], "method")),
        _Column("Route", lambda row: _Cell(_route(row.keys[1]), None, "path")),
        _Column(
            "Requests",
            lambda row: _number(row.requests) if weighted else _few(row.requests, row.durations.n),
            "number",
        ),
        *(
            [_Column("n", lambda row: _few(row.durations.n, row.durations.n), "number", "Number of measured durations")]
            if weighted
            else []
        ),
        _Column("Time share", lambda row: _share(row.share), "number", "Share of the total time of all requests"),
        *(_Column(name, quantile(name), "number") for name in ("p50", "p90", "p95", "p99")),
        _Column("Max", quantile("max"), "number"),
        _Column(
            "p50 to max",
            lambda row: _Cell(spread(row.durations, axis), None, "drawn"),
            None,
            f"Dot p50, tick p95, bar to p99, line to the maximum; logarithmic, grid at {_ticks(axis)}",
        ),
        _Column("Errors", lambda row: _number(row.errors, bad=bool(row.errors)), "number"),
        _Column(
            "Error rate",
            lambda row: _ratio(row.errors / row.requests if row.requests and row.errors is not None else None),
            "number",
        ),
    ]
    return _table("routes", columns, rows, rest=data.other_routes)


def table_of_slowest(data: ReportData) -> Markup:
    """Return the slowest requests, each with its id to find it in the log."""
    most = max((row.duration_seconds for row in data.slowest), default=1.0) or 1.0

    def database(row: SlowRequest) -> _Cell:
        if row.db_seconds is None:
            return _Cell(None, None, "number")
        drawn = bar(row.duration_seconds / most, row.db_seconds / most)
        return _Cell(join(drawn, " ", duration(row.db_seconds)), row.db_seconds, "number")

    def path(row: SlowRequest) -> _Cell:
        if row.path is None:
            return _Cell(None if row.route is None else _route(row.route), None, "path")
        same = row.route is None or row.path == f"/{row.route}"
        below = None if same else element("small", _route(row.route))
        return _Cell(join(visible(row.path), below), None, "path")

    columns = [
        _Column("Duration", lambda row: _duration(row.duration_seconds), "number"),
        _Column("Database", database, "number", "The bar is the duration; its filled part is the time in the database"),
        _Column("Queries", lambda row: _number(row.db_queries), "number"),
        _Column("Time", lambda row: _time(row.timestamp), "time"),
        _Column("Method", lambda row: _text(row.method, "method")),
        _Column("Path and route", path),
        _Column("Status", lambda row: _status(row.status), "number"),
        _Column("Outcome", lambda row: _text(row.outcome, f"word{_LOOKS.get(row.outcome, ' bad')}")),
        _Column("User", lambda row: _text(row.user_id)),
        _Column("Request id", lambda row: _text(row.request_id, "id")),
    ]
    return _table("slowest", columns, data.slowest[:MAX_ROWS])


def table_of_failures(data: ReportData) -> Markup:
    """Return the failed requests by error, status and route."""

    def error(row: ErrorRow) -> _Cell:
        if row.error_type is None and row.error_message is None:
            return _Cell(None)
        kind = element("b", visible(row.error_type)) if row.error_type is not None else None
        message = element("small", visible(row.error_message)) if row.error_message is not None else None
        return _Cell(join(kind, message), None, "error")

    columns = [
        _Column("Requests", lambda row: _number(row.count), "number"),
        _Column("Status", lambda row: _status(row.status), "number"),
        _Column("Outcome", lambda row: _text(row.outcome, f"word{_LOOKS.get(row.outcome, ' bad')}")),
        _Column("Error and newest message", error),
        _Column("Method", lambda row: _text(row.method, "method")),
        _Column("Route", lambda row: _Cell(_route(row.route), None, "path")),
        _Column("Last seen", lambda row: _time(row.last_seen), "time"),
        _Column("Newest request id", lambda row: _text(row.request_id, "id")),
    ]
    return _table("errors", columns, data.failures[:MAX_ROWS])


def _few(number: int, n: int) -> _Cell:
    """Return a number of requests, marked if there are only few durations, *n*."""
    if n >= FEW:
        return _number(number)
    mark = element(
        "abbr", "few", title=f"Fewer than {FEW} durations: the high quantiles are not reliable", class_="few"
    )
    return _Cell(join(mark, " ", count(number)), number, "number")


def _table(name: str, columns: Sequence[_Column], rows: Sequence[Any], *, rest: Group | None = None) -> Markup:
    grid = [[column.cell(row) for column in columns] for row in rows]
    used = [index for index in range(len(columns)) if any(cells[index].shown is not None for cells in grid)]
    shown = [columns[index] for index in used]
    foot = None
    if rest is not None:
        cells = [column.cell(rest) for column in columns]
        route = next(index for index, column in enumerate(columns) if column.name == "Route")
        cells[route] = _Cell("(other)", None, "path muted")
        foot = element("tfoot", _row(shown, [cells[index] for index in used]))
    return element(
        "table",
        element("thead", element("tr", *map(_head, shown))),
        element("tbody", *(_row(shown, [cells[index] for index in used]) for cells in grid)),
        foot,
        class_="rows",
        aria_labelledby=f"{name}-title",
    )


def _head(column: _Column) -> Markup:
    return element(
        "th",
        element("span", column.name),
        scope="col",
        title=column.hint,
        class_="number" if column.sort == "number" else None,
        data_sort=column.sort,
    )


def _row(columns: Sequence[_Column], cells: Sequence[_Cell]) -> Markup:
    """Return a row. Its numbers, times and users have their names, for a phone, where a row is a paragraph."""
    return element(
        "tr",
        *(
            element(
                "td",
                element("span", MISSING, class_="missing") if cell.shown is None else cell.shown,
                class_=cell.class_ or None,
                data_v=None if cell.value is None else repr(cell.value),
                data_name=column.name if column.sort in {"number", "time"} or not cell.class_ else None,
            )
            for column, cell in zip(columns, cells, strict=True)
        ),
    )


def _text(value: str | None, class_: str = "") -> _Cell:
    return _Cell(None if value is None else visible(value), None, class_)


def _route(route: str | None) -> Markup | None:
    if route is None:
        return None
    return visible(route) if route else element("span", "(root)", class_="muted")


def _number(value: int | None, *, bad: bool = False) -> _Cell:
    return _Cell(None if value is None else count(value), value, "number bad" if bad else "number")


def _duration(value: float | None, *, small: bool = False) -> _Cell:
    if value is None:
        return _Cell(None, None, "number")
    class_ = "number long" if value >= 0.9995 else "number"
    return _Cell(duration(value), value, f"{class_} small" if small else class_)


def _ratio(value: float | None) -> _Cell:
    return _Cell(None if value is None else percent(value), value, "number bad" if value else "number")


def _share(value: float | None) -> _Cell:
    if value is None:
        return _Cell(None, None, "number")
    return _Cell(join(bar(value, value), " ", percent(value)), value, "number with-bar")


def _status(value: int | None) -> _Cell:
    kind = "" if value is None or value < 400 else " poor" if value < 500 else " bad"
    return _Cell(None if value is None else str(value), value, f"number{kind}")


def _time(time: dt.datetime | None) -> _Cell:
    if time is None:
        return _Cell(None, None, "time")
    return _Cell(element("time", moment(time), datetime=time.astimezone(dt.UTC).isoformat()), time.timestamp(), "time")


def _ticks(axis: DurationAxis) -> str:
    return ", ".join(tick_label(tick) for tick in axis.ticks())
