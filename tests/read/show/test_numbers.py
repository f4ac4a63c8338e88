from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from obs_middleware.read.show.numbers import MISSING, clock, count, interval, moment, percent, rate, seconds, span, tick

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def words(text: str) -> str:
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 ms"),
        (0.0000004, "0.000 ms"),
        (0.000012, "0.012 ms"),
        (0.00042, "0.420 ms"),
        (0.0009996, "1.00 ms"),
        (0.00999, "9.99 ms"),
        (0.0099996, "10.0 ms"),
        (0.1234, "123 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (12.345, "12.3 s"),
        (7200.0, "7,200 s"),
    ],
)
def test_a_duration_has_three_digits_and_a_unit(value: float, shown: str) -> None:
    assert words(seconds(value)) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.001, "1 ms"), (0.5, "500 ms"), (10.0**0, "1 s"), (20.0, "20 s")])
def test_a_label_has_the_digits_that_it_needs(value: float, shown: str) -> None:
    assert words(tick(value)) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (0.0, "0 %"),
        (0.0001, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (0.0123, "1.2 %"),
        (0.9994, "99.9 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_what_is_not_nothing_or_all_never_looks_like_it(ratio: float, shown: str) -> None:
    assert words(percent(ratio)) == shown


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [(0.0, "0 /s"), (1234.0, "1,234 /s"), (1.0, "1.00 /s"), (0.5, "30.0 /min"), (0.01, "36.0 /h")],
)
def test_a_rate_has_the_unit_that_gives_a_number_to_read(per_second: float, shown: str) -> None:
    assert words(rate(per_second)) == shown


@pytest.mark.parametrize("write", [count, moment, percent, rate, seconds])
def test_what_is_not_known_is_a_dash(write: Callable[[Any], str]) -> None:
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
def test_a_stretch_of_time_has_two_units(delta: dt.timedelta, shown: str) -> None:
    assert words(span(delta)) == shown


def test_a_moment_is_in_utc_and_has_milliseconds_if_it_needs_them() -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))

    assert moment(NOON.astimezone(berlin)) == "2026-11-24 12:00:00"
    assert moment(NOON.replace(microsecond=34567)) == "2026-11-24 12:00:00.034"


@pytest.mark.parametrize(
    ("time", "step", "shown"),
    [
        (NOON, dt.timedelta(hours=1), "12:00"),
        (NOON.replace(hour=0), dt.timedelta(hours=1), "24 Nov"),
        (NOON, dt.timedelta(days=1), "24 Nov"),
        (NOON, dt.timedelta(seconds=10), "12:00:00"),
    ],
)
def test_a_label_of_time_tells_it_from_its_neighbours(time: dt.datetime, step: dt.timedelta, shown: str) -> None:
    assert words(clock(time, step)) == shown


def test_an_interval_names_a_day_once() -> None:
    assert interval(NOON, NOON + dt.timedelta(minutes=5)) == "2026-11-24 12:00 to 12:05"
    assert interval(NOON, NOON + dt.timedelta(seconds=15)) == "2026-11-24 12:00:00 to 12:00:15"
    assert interval(NOON, NOON + dt.timedelta(seconds=0.25)) == "2026-11-24 12:00:00.000 to 12:00:00.250"
    assert interval(NOON, NOON + dt.timedelta(days=1)) == "2026-11-24 12:00 to 2026-11-25 12:00"
