"""Times and lengths of time as people type them."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.where.times import moment_of, seconds_of, zone_of

NOW = dt.datetime(2026, 11, 2, 10, 30, 15, tzinfo=dt.UTC)
NEW_YORK = NOW.astimezone(ZoneInfo("America/New_York"))  # 05:30:15


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("300ms", 0.3),
        ("1.5s", 1.5),
        ("632 us", 0.000632),
        ("15m", 900.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1d 12h", 129_600.0),
        ("1w", 604_800.0),
    ],
)
def test_a_length_of_time_is_numbers_with_units(text: str, seconds: float) -> None:
    assert seconds_of(text, "--p95") == pytest.approx(seconds)


@pytest.mark.parametrize("number", ["300", "1.5", " 2 "])
def test_a_number_without_a_unit_is_an_error_with_the_cure(number: str) -> None:
    with pytest.raises(ExpressionError, match=rf"invalid --p95 '{number}': add a unit, for example {number.strip()}ms"):
        seconds_of(number, "--p95")


@pytest.mark.parametrize("text", ["soon", "", "1h30", "-5m", "1y", "5 m x"])
def test_a_text_without_a_length_of_time_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"invalid --every .*: use numbers with units"):
        seconds_of(text, "--every")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-02", "2026-11-02T00:00:00"),
        ("2026-11-02 09:00", "2026-11-02T09:00:00"),
        ("2026-11-02T10:00:00+01:00", "2026-11-02T09:00:00"),
        ("today", "2026-11-02T00:00:00"),
        ("yesterday", "2026-11-01T00:00:00"),
        ("yesterday 23:10", "2026-11-01T23:10:00"),
        ("10:01", "2026-11-02T10:01:00"),
        ("9:05:30", "2026-11-02T09:05:30"),
        ("10:31", "2026-11-01T10:31:00"),
        ("1h30m", "2026-11-02T09:00:15"),
        ("1w", "2026-10-26T10:30:15"),
        ("9999999h", "0886-01-15T19:30:15"),
        ("99999999h", "0001-01-01T00:00:00"),
    ],
)
def test_a_time_without_a_zone_is_in_utc(text: str, expected: str) -> None:
    assert moment_of(text, "--since", NOW) == dt.datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-11-02T05:00:00"),
        ("yesterday", "2026-11-01T04:00:00"),  # summer time ended on this day
        ("05:00", "2026-11-02T10:00:00"),
        ("10:01", "2026-11-01T15:01:00"),
        ("2026-07-01", "2026-07-01T04:00:00"),
        ("2026-11-02T10:00:00Z", "2026-11-02T10:00:00"),
        ("1h", "2026-11-02T09:30:15"),
    ],
)
def test_a_time_without_a_zone_is_in_the_zone_of_the_user(text: str, expected: str) -> None:
    assert moment_of(text, "--since", NEW_YORK) == dt.datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    "text", ["", "yesterdy", "25:00", "10:61", "today 24:00", "300", "1h30", "0001-01-01T00:00+14"]
)
def test_a_text_without_a_time_is_an_error_with_examples(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"invalid --until .*: use a time .* a day .* or an age"):
        moment_of(text, "--until", NOW)


@pytest.mark.parametrize(
    ("text", "hours"),
    [(None, 0), ("UTC", 0), ("+02:00", 2), ("-0530", -5.5), ("UTC+1", 1), ("Europe/Amsterdam", 1)],
)
def test_a_zone_is_a_name_or_an_offset(text: str | None, hours: float) -> None:
    assert NOW.astimezone(zone_of(text)).utcoffset() == dt.timedelta(hours=hours)


@pytest.fixture(name="in_new_york")
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(("month", "hours"), [(7, -4), (11, -5)])
def test_the_local_zone_is_that_of_the_machine_in_summer_and_winter(month: int, hours: int) -> None:
    noon = NOW.replace(month=month, hour=12, minute=0, second=0)
    there = noon.astimezone(zone_of("local"))

    assert there == noon
    assert (there.hour, there.utcoffset()) == (12 + hours, dt.timedelta(hours=hours))
    assert moment_of(f"2026-{month:02}-02T{12 + hours:02}:00", "--since", there) == noon


@pytest.mark.parametrize("text", ["Mars/Olympus", "", "+25:00", "../../etc/passwd", "+1:99"])
def test_an_unknown_zone_is_an_error_with_examples(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"invalid --tz .*: use a name .* an offset"):
        zone_of(text)
