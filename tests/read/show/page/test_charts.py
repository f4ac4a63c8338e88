"""The charts of the report page."""

from __future__ import annotations

import dataclasses
import datetime as dt

from pages import BARE, parse
from reports import shop

from obs_middleware.read.answers import Bin, Count, Group, HeatMap, Quantiles, Slice

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def test_charts_can_be_read_without_being_seen() -> None:
    page = parse(shop())

    charts = [element for element in page.named("div") if element.get("role") == "group"]
    assert [(chart["aria-label"] or "").split(".")[0] for chart in charts] == [
        "Latency over time",
        "Course",
        "Durations",
    ]
    assert all(element.get("aria-hidden") == "true" or element["class"] == "swatch" for element in page.named("svg"))
    assert len(page.named("details")) == len([*charts, "the reasons"])


def test_charts_of_one_request_are_drawn() -> None:
    """One request with a duration of 0, and one interval without requests."""
    second = dt.timedelta(seconds=1)
    data = dataclasses.replace(
        BARE,
        first=NOON,
        last=NOON,
        histogram=(Bin(0.0, 0.001, 1),),
        heat_map=HeatMap((NOON, NOON + second), (0.0, 0.001), ((1,),)),
        course=(
            Slice(NOON, NOON + second, 1, None, Quantiles(1, *[0.0] * 7)),
            Slice(NOON + second, NOON + 2 * second, 0, None, Quantiles(0)),
        ),
        routes=(Group(("GET", "a/"), 1, 0, 0.0, None, Quantiles(1, *[0.0] * 7)),),
        statuses=(Count("2xx", 1), Count("5xx", 0)),
    )

    page = parse(data)
    assert len(page.named("figure")) == 3
    assert "in a cell" not in page.text
    assert "in a cell" in parse(shop()).text


def test_charts_without_requests_are_drawn() -> None:
    empty = HeatMap((NOON, NOON + dt.timedelta(hours=1)), (0.001, 0.01), ((0,),))
    quiet = Slice(NOON, NOON + dt.timedelta(hours=1), 0, 0, Quantiles(0))
    never = Slice(NOON, NOON, 1, 1, Quantiles(0))
    data = dataclasses.replace(BARE, heat_map=empty, course=(quiet, never), histogram=(Bin(0.001, 0.01, 0),))

    assert len(parse(data).named("figure")) == 3
