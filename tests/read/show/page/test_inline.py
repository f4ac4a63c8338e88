"""The small drawings in tables and lists."""

from __future__ import annotations

import re

from obs_middleware.read.answers import Count, Quantiles
from obs_middleware.read.show.page.axes import DurationAxis
from obs_middleware.read.show.page.inline import bar, spread, stacked

AXIS = DurationAxis([0.001, 0.01, 0.1, 1.0])


def attributes(markup: str, name: str) -> list[str]:
    return re.findall(rf' {name}="([^"]*)"', markup)


def test_the_spread_goes_from_p50_over_p99_to_the_maximum() -> None:
    drawn = spread(Quantiles(100, p50=0.001, p95=0.01, p99=0.1, max=1.0), AXIS)

    assert drawn is not None
    assert attributes(drawn, "cx") == ["0%"]
    assert '<line class="body" x1="0%" x2="66.667%"' in drawn
    assert '<line class="whisker" x1="66.667%" x2="100%"' in drawn
    assert '<line class="p95" x1="33.333%" x2="33.333%"' in drawn


def test_there_is_no_spread_without_all_quantiles() -> None:
    assert spread(Quantiles(1, p50=0.1, p95=0.1, max=0.1), AXIS) is None


def test_the_filled_part_is_never_longer_than_the_bar() -> None:
    assert attributes(bar(0.5, 0.2), "width") == ["50%", "20%"]
    assert attributes(bar(0.5, 0.9), "width") == ["50%", "50%"]
    assert attributes(bar(0.5), "width") == ["50%"]


def test_the_parts_of_a_stacked_bar_follow_one_another() -> None:
    drawn = stacked([Count("2xx", 3), Count("4xx", 0), Count("5xx", 1)])

    assert re.findall(r'class="(kind-\w+)" x="([^"]*)" width="([^"]*)"', drawn) == [
        ("kind-2xx", "0%", "75%"),
        ("kind-5xx", "75%", "25%"),
    ]
    assert "75.0%" in drawn
    assert "4xx" not in drawn


def test_a_name_that_is_no_css_class_gets_the_plain_one() -> None:
    drawn = stacked([Count('x" onload="y', 1)])

    assert 'class="kind"' in drawn
    assert "kind-x" not in drawn
