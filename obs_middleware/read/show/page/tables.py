"""The tables of the report: routes, slowest requests, and failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from obs_middleware.display.numbers import count, duration
from obs_middleware.display.numbers import tick as tick_label
from obs_middleware.read.answers import BARS, FEW, ErrorRow, Group, SlowRequest, edge
from obs_middleware.read.kinds import REQUEST
from obs_middleware.read.show.page import cells
from obs_middleware.read.show.page.axes import DurationAxis
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.show.page.inline import bar, spread
from obs_middleware.read.show.page.markup import Markup, element, join, visible

__all__ = ["MAX_ROWS", "table_of_failures", "table_of_routes", "table_of_slowest"]

MAX_ROWS: Final = 1000
"""Most rows of a table; the page says how many there are."""


def table_of_routes(data: ReportData) -> Markup:
    """Return requests, share, quantiles and errors by method and route, or by the fields of the kind."""
    rows = data.routes[:MAX_ROWS]
    every = [*rows, data.other_routes] if data.other_routes else rows
    known = [(row.durations.p50, row.durations.max) for row in every]
    low = min((p50 for p50, _ in known if p50), default=0.001)
    high = max((most for _, most in known if most), default=1.0)
    longest = edge(BARS.stop)
    axis = DurationAxis([min(low, longest) * 0.8, min(max(high, low), longest) * 1.1])
    weighted = any(row.requests != row.durations.n for row in every)

    def quantile(name: str) -> Callable[[Group], cells.Cell]:
        return lambda row: cells.duration(getattr(row.durations, name), small=row.durations.n < FEW and name != "p50")

    columns = [
        *cells.key_columns(data.kind),
        cells.Column(
            data.kind.plural.capitalize(),
            lambda row: cells.number(row.requests) if weighted else _few(row.requests, row.durations.n),
            "number",
        ),
        *(
            [
                cells.Column(
                    "n", lambda row: _few(row.durations.n, row.durations.n), "number", "Number of measured durations"
                )
            ]
            if weighted
            else []
        ),
        cells.Column(
            "Time share",
            lambda row: cells.share(row.share),
            "number",
            f"Share of the total time of all {data.kind.plural}",
        ),
        *(cells.Column(name, quantile(name), "number") for name in ("p50", "p90", "p95", "p99")),
        cells.Column("Max", quantile("max"), "number"),
        cells.Column(
            "p50 to max",
            lambda row: cells.Cell(spread(row.durations, axis), None, "drawn"),
            None,
            f"Dot p50, tick p95, bar to p99, line to the maximum; logarithmic, grid at {_ticks(axis)}",
        ),
        cells.Column("Errors", lambda row: cells.number(row.errors, bad=bool(row.errors)), "number"),
        cells.Column(
            "Error rate",
            lambda row: cells.ratio(row.errors / row.requests if row.requests and row.errors is not None else None),
            "number",
        ),
    ]
    return cells.table("routes", columns, rows, rest=data.other_routes)


def table_of_slowest(data: ReportData) -> Markup:
    """Return the slowest requests, or units of another kind, each with its id to find it in the log."""
    most = max((row.duration_seconds for row in data.slowest), default=1.0) or 1.0

    def database(row: SlowRequest) -> cells.Cell:
        seconds = row.fields.get("db_seconds")
        if seconds is None:
            return cells.Cell(None, None, "number")
        drawn = bar(row.duration_seconds / most, seconds / most)
        return cells.Cell(join(drawn, " ", duration(seconds)), seconds, "number")

    def path(row: SlowRequest) -> cells.Cell:
        path, route = row.fields.get("path"), row.fields.get("route")
        if path is None:
            return cells.Cell(None if route is None else cells.route(route), None, "path")
        same = route is None or path == f"/{route}"
        below = None if same else element("small", cells.route(route))
        return cells.Cell(join(visible(path), below), None, "path")

    # A column of fields that the kind does not have is empty, so it is left out.
    columns = [
        cells.Column("Duration", lambda row: cells.duration(row.duration_seconds), "number"),
        cells.Column(
            "Database", database, "number", "The bar is the duration; its filled part is the time in the database"
        ),
        cells.Column("Queries", lambda row: cells.number(row.fields.get("db_queries")), "number"),
        cells.Column("Waited", lambda row: cells.duration(row.fields.get("queue_seconds")), "number"),
        cells.Column("Time", lambda row: cells.time(row.fields.get("timestamp")), "time"),
        cells.Column("Method", lambda row: cells.text(row.fields.get("method"), "method")),
        cells.Column("Path and route" if data.kind is REQUEST else "Path", path),
        cells.Column("Task", lambda row: cells.text(row.fields.get("task"), "path")),
        cells.Column("Command", lambda row: cells.text(row.fields.get("command"), "path")),
        cells.Column("Status", lambda row: cells.status(row.fields.get("status")), "number"),
        cells.Column("Outcome", lambda row: cells.outcome(row.fields.get("outcome"))),
        cells.Column("Attempt", lambda row: cells.number(row.fields.get("attempt")), "number"),
        cells.Column("Queue", lambda row: cells.text(row.fields.get("queue"))),
        cells.Column("Exit code", lambda row: cells.number(row.fields.get("exit_code")), "number"),
        cells.Column("Close code", lambda row: cells.number(row.fields.get("close_code")), "number"),
        cells.Column("User", lambda row: cells.text(row.fields.get("user_id"))),
        cells.Column("Task id", lambda row: _id(data, row.fields, "task_id")),
        cells.Column("Request id", lambda row: _id(data, row.fields, "request_id")),
    ]
    return cells.table("slowest", columns, data.slowest[:MAX_ROWS])


def table_of_failures(data: ReportData) -> Markup:
    """Return the failed requests by error, status and route, or by the fields of the kind."""

    def error(row: ErrorRow) -> cells.Cell:
        if row.error_type is None and row.error_message is None:
            return cells.Cell(None)
        kind = element("b", visible(row.error_type)) if row.error_type is not None else None
        message = element("small", visible(row.error_message)) if row.error_message is not None else None
        return cells.Cell(join(kind, message), None, "error")

    columns = [
        cells.Column(data.kind.plural.capitalize(), lambda row: cells.number(row.count), "number"),
        cells.Column("Status", lambda row: cells.status(row.status), "number"),
        cells.Column("Outcome", lambda row: cells.outcome(row.outcome)),
        cells.Column("Error and newest message", error),
        *cells.key_columns(data.kind),
        cells.Column("Last seen", lambda row: cells.time(row.last_seen), "time"),
        cells.Column(
            f"Newest {data.kind.id.replace('_', ' ')}", lambda row: _id(data, {data.kind.id: row.id}, data.kind.id)
        ),
    ]
    return cells.table("errors", columns, data.failures[:MAX_ROWS])


def _id(data: ReportData, fields: Mapping[str, Any], name: str) -> cells.Cell:
    """Return the cell of an id, with the link of the page if that has this id in it."""
    link = data.link
    url = link.to(fields) if link is not None and name in link.fields else None
    return cells.linked(fields.get(name), url, "id")


def _few(number: int, n: int) -> cells.Cell:
    """Return a number of requests, marked if there are only few durations, *n*."""
    if n >= FEW:
        return cells.number(number)
    mark = element(
        "abbr", "few", title=f"Fewer than {FEW} durations: the high quantiles are not reliable", class_="few"
    )
    return cells.Cell(join(mark, " ", count(number)), number, "number")


def _ticks(axis: DurationAxis) -> str:
    return ", ".join(tick_label(tick) for tick in axis.ticks())
