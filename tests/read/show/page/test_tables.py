"""The tables of the report page."""

from __future__ import annotations

import dataclasses
import datetime as dt

from pages import BARE, cells, parse
from reports import shop

from obs_middleware.display.numbers import MISSING
from obs_middleware.read.answers import ErrorRow, Group, Quantiles, SlowRequest

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def test_every_row_has_a_cell_for_every_heading() -> None:
    for name, (head, *rows) in parse(shop()).tables.items():
        assert rows, name
        assert {len(row) for row in rows} == {len(head)}, name


def test_the_tables_have_the_figures_of_the_data() -> None:
    data = shop()
    row = next(row for row in cells(data, "routes") if row["Route"] == "checkout/")
    [checkout] = [one for one in data.routes if one.keys[1] == "checkout/"]

    assert row["Method"] == "POST"
    assert row["Requests"] == str(checkout.requests)
    assert row["Errors"] == str(checkout.errors)
    assert checkout.durations.p95 is not None
    assert row["p95"] == f"{checkout.durations.p95:.2f} s"
    assert len(cells(data, "slowest")) == len(data.slowest)
    assert [int(row["Requests"]) for row in cells(data, "errors")] == [one.count for one in data.failures]


def test_an_unknown_value_is_a_dash_and_not_0() -> None:
    row = Group((None, None), 3, None, 0.0, None, Quantiles(3, 0.1))
    full = Group(("GET", "a/"), 3, 0, 0.0, 0.5, Quantiles(3, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2))
    slow = SlowRequest(0.2)
    failure = ErrorRow(1, status=500, keys=(None, None))
    data = dataclasses.replace(
        BARE, routes=(row, full), slowest=(slow,), failures=(failure, ErrorRow(2, "E", "m", keys=(None, None)))
    )

    [unknown, known] = cells(data, "routes")
    assert {unknown[name] for name in ("Method", "Route", "Time share", "p95", "Max", "Errors", "Error rate")} == {
        MISSING
    }
    assert (known["Errors"], known["Error rate"]) == ("0", "0%")
    assert cells(data, "errors") == [
        {"Requests": "1", "Status": "500", "Error and newest message": MISSING},
        {"Requests": "2", "Status": MISSING, "Error and newest message": "Em"},
    ]


def test_an_empty_column_is_left_out() -> None:
    assert cells(dataclasses.replace(BARE, slowest=(SlowRequest(0.2),)), "slowest") == [{"Duration": "200 ms"}]


def test_a_small_n_is_marked() -> None:
    rows = {row["Route"]: row["Requests"] for row in cells(shop(), "routes")}

    assert rows["export/orders.csv"].startswith("few ")
    assert rows["products/"].replace(",", "").isdigit()
    assert "n = 3" in parse(BARE).text
    assert "fewer than 20" in parse(BARE).text
    assert "fewer than 20" not in parse(dataclasses.replace(shop(), routes=())).text


def test_weighted_counts_are_marked_and_n_has_its_own_column() -> None:
    row = Group(("GET", "a/"), 400, 4, 0.0, 1.0, Quantiles(40, *[0.1] * 7))
    data = dataclasses.replace(BARE, requests=400, errors=4, estimated=True, routes=(row,))

    assert "≈ 400" in parse(data).text
    assert "sample rate" in parse(data).text
    [shown] = cells(data, "routes")
    assert (shown["Requests"], shown["n"]) == ("400", "40")


def test_tables_are_cut_at_a_thousand_rows_with_a_note() -> None:
    rows = tuple(Group(("GET", f"r{number}/"), 20, 0, 0.0, 0.0, Quantiles(20, *[0.1] * 7)) for number in range(1200))
    rest = Group((None, None), 5000, 2, 0.0, 0.4, Quantiles(5000, *[0.1] * 7))
    data = dataclasses.replace(BARE, routes=rows, other_routes=rest, routes_total=9000)

    shown = cells(data, "routes")
    assert len(shown) == 1001
    assert (shown[-1]["Route"], shown[-1]["Requests"]) == ("(other)", "5,000")
    assert "Routes first 1,000 of 9,000" in parse(data).text


def test_the_root_route_has_a_name() -> None:
    row = Group(("GET", ""), 30, 0, 0.0, 1.0, Quantiles(30, *[0.1] * 7))

    assert cells(dataclasses.replace(BARE, routes=(row,)), "routes")[0]["Route"] == "(root)"


def test_the_route_is_shown_below_a_path_that_differs() -> None:
    slow = (
        SlowRequest(2.0, {"path": "/a/7/", "route": "a/<int:pk>/"}),
        SlowRequest(1.0, {"path": "/b/", "route": "b/"}),
        SlowRequest(1.0),
    )
    data = dataclasses.replace(BARE, slowest=(*slow, SlowRequest(0.5, {"route": "c/"})))

    assert [row["Path and route"] for row in cells(data, "slowest")] == ["/a/7/a/<int:pk>/", "/b/", MISSING, "c/"]


def test_a_number_has_the_name_of_its_column() -> None:
    """On a phone there are no columns."""
    names = {cell["data-name"] for cell in parse(shop()).named("td") if "data-name" in cell}

    assert {"Requests", "p50", "p90", "p95", "p99", "Max", "Errors", "Duration", "Time", "User", "Status"} <= names
    assert not {"Method", "Route", "Outcome", "p50 to max"} & names
