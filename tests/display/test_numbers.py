"""The number formats that console and page share, at every edge where rounding could go wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from obs_middleware.display.numbers import (
    MISSING,
    clock,
    count,
    duration,
    interval,
    moment,
    number_of,
    percent,
    rate,
    span,
    tick,
)

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 ms"),
        (0.0000004, "<1 µs"),
        (0.0000006, "1 µs"),
        (0.000012, "12 µs"),
        (0.0009994, "999 µs"),
        (0.0009996, "1.00 ms"),
        (0.00999, "9.99 ms"),
        (0.009996, "10.0 ms"),
        (0.09994, "99.9 ms"),
        (0.09996, "100 ms"),
        (0.1234, "123 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (12.345, "12.3 s"),
        (99.94, "99.9 s"),
        (99.96, "100 s"),
        (3599.4, "3,599 s"),
        (3599.5, "1 h"),
        (7200.0, "2 h"),
        (7290.0, "2 h 2 min"),
        (86_369.0, "23 h 59 min"),
        (86_370.0, "1 d"),
        (302_400.0, "3 d 12 h"),
        (9e8, "10,416 d 16 h"),
        (1e9, "1.00e+09 s"),
    ],
)
def test_a_duration_has_three_digits_and_a_unit(value: float, shown: str) -> None:
    assert duration(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.001, "1 ms"), (0.5, "500 ms"), (10.0**0, "1 s"), (20.0, "20 s")])
def test_the_label_of_an_axis_has_no_trailing_zeros(value: float, shown: str) -> None:
    assert tick(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0%"),
        (0.00001, "<0.01%"),
        (0.0001, "0.01%"),
        (0.0123, "1.23%"),
        (0.09994, "9.99%"),
        (0.09996, "10.0%"),
        (-0.0, "0%"),
        (0.5, "50.0%"),
        (0.9994, "99.9%"),
        (0.9997, ">99.9%"),
        (0.9999999, ">99.9%"),
        (1.0, "100%"),
        (1.0000000000000002, "100%"),
    ],
)
def test_a_share_looks_like_nothing_or_all_only_if_it_is(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [
        (0.0, "0 /s"),
        (1234.0, "1,234 /s"),
        (1.0, "1.00 /s"),
        (0.5, "30.0 /min"),
        (1 / 60, "1.00 /min"),
        (0.01, "36.0 /h"),
        (0.0001, "0.360 /h"),
    ],
)
def test_a_rate_has_the_first_unit_that_gives_at_least_one(per_second: float, shown: str) -> None:
    assert rate(per_second) == shown


def test_a_rate_may_have_the_unit_of_another_one() -> None:
    assert [rate(one, like=0.5) for one in (0.5, 0.001, 2.0)] == ["30.0 /min", "0.060 /min", "120 /min"]
    assert rate(None, like=1.0) == "-"


@pytest.mark.parametrize(("number", "shown"), [(0, "0"), (999, "999"), (1000, "1,000"), (1234.6, "1,235")])
def test_a_count_has_separators_and_no_decimals(number: float, shown: str) -> None:
    assert count(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests"), (1234, "1,234 requests")]
)
def test_one_thing_is_in_the_singular(number: int, shown: str) -> None:
    assert number_of(number, "request") == shown


@pytest.mark.parametrize("write", [count, duration, moment, percent, rate])
def test_an_unknown_value_is_a_dash(write: Callable[[Any], str]) -> None:
    assert write(None) == MISSING


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        (dt.timedelta(milliseconds=250), "250 ms"),
        (dt.timedelta(minutes=5), "5 min"),
        (dt.timedelta(hours=2, minutes=5, seconds=9), "2 h 5 min"),
        (dt.timedelta(days=3, minutes=1), "3 d"),
    ],
)
def test_a_length_of_time_has_two_units(delta: dt.timedelta, shown: str) -> None:
    assert span(delta) == shown


def test_a_moment_is_in_utc_or_a_zone_and_has_milliseconds_if_there_are_any() -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))

    assert moment(NOON.astimezone(berlin)) == "2026-11-24T12:00:00Z"
    assert moment(NOON.replace(microsecond=34567)) == "2026-11-24T12:00:00.034Z"
    assert moment(NOON, berlin) == "2026-11-24T13:00:00+01:00"
    assert moment(NOON, dt.timezone(dt.timedelta(0), "GMT")) == "2026-11-24T12:00:00+00:00"
    assert moment(NOON.replace(microsecond=999)) == "2026-11-24T12:00:00Z"


@pytest.mark.parametrize(
    ("time", "step", "shown"),
    [
        (NOON, dt.timedelta(hours=1), "12:00"),
        (NOON.replace(hour=0), dt.timedelta(hours=1), "24 Nov"),
        (NOON, dt.timedelta(days=1), "24 Nov"),
        (NOON, dt.timedelta(seconds=10), "12:00:00"),
    ],
)
def test_the_label_of_a_time_differs_from_its_neighbours(time: dt.datetime, step: dt.timedelta, shown: str) -> None:
    assert clock(time, step) == shown


def test_an_interval_names_a_day_once() -> None:
    assert interval(NOON, NOON + dt.timedelta(minutes=5)) == "2026-11-24 12:00 to 12:05"
    assert interval(NOON, NOON + dt.timedelta(seconds=15)) == "2026-11-24 12:00:00 to 12:00:15"
    assert interval(NOON, NOON + dt.timedelta(seconds=0.25)) == "2026-11-24 12:00:00.000 to 12:00:00.250"
    assert interval(NOON, NOON + dt.timedelta(days=1)) == "2026-11-24 12:00 to 2026-11-25 12:00"
