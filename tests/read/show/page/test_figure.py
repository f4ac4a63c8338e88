"""The parts that the large charts share."""

from __future__ import annotations

import pytest

from obs_middleware.read.show.page.figure import bar_height, figure, grid, length, numbers_table, plot
from obs_middleware.read.show.page.markup import raw


@pytest.mark.parametrize(
    ("value", "height"),
    [(50.0, 50.0), (100.0, 100.0), (0.001, 0.7), (120.0, 100.0)],
    ids=["half", "all", "tiny", "over"],
)
def test_a_bar_is_always_visible_and_never_above_the_chart(value: float, height: float) -> None:
    assert bar_height(value, 100) == height


@pytest.mark.parametrize(("value", "text"), [(0.0, "0%"), (100 / 3, "33.333%"), (50.0, "50%"), (100.0, "100%")])
def test_a_length_has_at_most_three_decimals(value: float, text: str) -> None:
    assert length(value) == text


def test_a_grid_counts_from_the_bottom() -> None:
    [low, high] = grid([0.0, 0.75])

    assert 'y1="100%"' in low
    assert 'y1="25%"' in high


def test_the_numbers_are_escaped_text() -> None:
    table = numbers_table(["<a>"], [["1", "<b>"]])

    assert "&lt;a&gt;" in table
    assert "<td>&lt;b&gt;</td>" in table


def test_a_figure_describes_itself_to_readers_who_do_not_see_it() -> None:
    drawn = figure("rows", "Course", "Says it.", plot(class_="low"), raw("<table></table>"), hint="Read it so.")

    assert 'data-chart="rows"' in drawn
    assert 'aria-label="Course. Says it. The arrow keys read it out."' in drawn
    assert "Read it so." in drawn
    assert "<table></table>" in drawn
