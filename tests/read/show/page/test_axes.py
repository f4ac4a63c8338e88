from __future__ import annotations

import datetime as dt

import pytest

from obs_middleware.read.show.page.axes import DurationAxis, TimeAxis, round_up

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def test_intervals_have_equal_widths_and_are_logarithmic_inside() -> None:
    axis = DurationAxis([0.001, 0.01, 0.1, 1.0])

    assert [axis.at(value) for value in (0.001, 0.01, 0.1, 1.0)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert axis.at(0.1**1.5) == pytest.approx(0.5)


def test_a_value_outside_is_at_an_end() -> None:
    axis = DurationAxis([0.001, 1.0])

    assert (axis.at(0.0), axis.at(60.0)) == (0, 1)


def test_an_axis_may_begin_at_zero() -> None:
    axis = DurationAxis([0.0, 0.01, 0.1, 1.0, 10.0])

    assert axis.at(0.005) == pytest.approx(1 / 8)
    assert axis.ticks() == pytest.approx([0.01, 0.1, 1, 10])


def test_a_short_axis_has_more_labels_than_powers_of_ten() -> None:
    assert DurationAxis([0.03, 0.3]).ticks() == pytest.approx([0.05, 0.1, 0.2])
    assert DurationAxis([0.0, 0.0]).ticks() == []


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (dt.timedelta(0), dt.timedelta(seconds=1)),
        (dt.timedelta(minutes=1), dt.timedelta(seconds=10)),
        (dt.timedelta(hours=18), dt.timedelta(hours=3)),
        (dt.timedelta(days=30), dt.timedelta(days=5)),
        (dt.timedelta(days=365 * 30), dt.timedelta(days=1000)),
    ],
)
def test_times_on_an_axis_are_round_and_not_too_many(length: dt.timedelta, step: dt.timedelta) -> None:
    axis = TimeAxis(NOON, NOON + length)
    ticks, found = axis.ticks()

    assert found == step
    assert 1 <= len(ticks) <= 8
    assert all(0 <= axis.at(time) <= 1 and time.timestamp() % found.total_seconds() == 0 for time in ticks)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.1, 2), (4, 5), (7, 10), (10, 10), (0.001, 0.001)]
)
def test_the_top_of_a_chart_is_round(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)
