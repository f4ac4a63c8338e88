"""The section of the page that says why routes are slow."""

from __future__ import annotations

import dataclasses

from pages import BARE, parse
from reports import reasons

from obs_middleware.read.kinds import REQUEST
from obs_middleware.read.show.page.reasons import numbers_of_parts, places_of, table_of_places, table_of_reasons

PAGE = dataclasses.replace(BARE, reasons=reasons(), reasons_total=7)


def test_each_route_has_its_finding() -> None:
    _, *rows = parse(PAGE).tables["why"]

    assert [row[:4] for row in rows] == [
        ["GET", "orders/<int:pk>/", "310 ms", "90.0 ms"],
        ["POST", "checkout/", "500 ms", "70.0 ms"],
    ]
    assert rows[0][-1] == (
        "82% of the time above p50 is database; "
        "38 of 41 queries are one statement, run at shop/views.py:88 in order_lines"
    )
    assert rows[1][-1].startswith("only 2 slow requests to compare: ")


def test_the_places_are_sorted_by_how_often_lines_name_them() -> None:
    _, *rows = parse(PAGE).tables["places"]

    assert [row[:5] for row in rows] == [
        ["40", "Repeated queries", "shop/views.py:88 in order_lines", "38 times", "52 times"],
        ["2", "Caught when slow", "shop/views.py:88 in order_lines", "500 ms", "600 ms"],
    ]


def test_the_bars_have_the_parts_of_slow_and_of_ordinary_requests_at_one_scale() -> None:
    table = table_of_reasons(reasons()[:1], REQUEST)

    assert '<rect class="part-database" x="0%" width="70.968%" height="100%"><title>database 220 ms</title>' in table
    assert '<rect class="part-rest" x="70.968%" width="29.032%" height="100%">' in table
    assert '<rect class="part-rest" x="12.903%" width="16.129%" height="100%">' in table
    assert "part-outgoing" not in table


def test_the_numbers_of_the_bars_are_in_a_table() -> None:
    table = numbers_of_parts(reasons())

    assert "90.0% (chance)" in table
    assert "outgoing calls" not in table


def test_the_page_says_what_is_not_shown_and_not_known() -> None:
    text = " ".join(parse(PAGE).text.split())

    assert "Why requests are slow first 2 of 7" in text
    assert "2 of 22 slow lines have no db_seconds: their time is in the rest." in text
    assert "No slow line has http_seconds" in text
    assert "3 lines with db_repeated_at at other places." in text


def test_without_reasons_there_is_no_section() -> None:
    assert "why" not in parse(BARE).tables


def test_a_place_without_figures_has_dashes() -> None:
    place = places_of(reasons())[0]
    unknown = place._replace(place=dataclasses.replace(place.place, mean=None, most=None))

    assert table_of_places([place, unknown], REQUEST).count('<span class="missing">-</span>') == 2
