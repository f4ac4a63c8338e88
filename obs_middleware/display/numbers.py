"""
Numbers and times as text for people. The console and the HTML page use the same formats.

A number has three significant digits and always its unit. A value that is not zero never looks like zero, and a share
below one never looks like all. None becomes a dash. Nothing depends on the locale or the time zone of the machine.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

__all__ = [
    "MISSING",
    "clock",
    "count",
    "duration",
    "interval",
    "moment",
    "number_of",
    "percent",
    "rate",
    "span",
    "tick",
]

MISSING: Final = "-"
"""Text for a value that is not known."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def count(number: float | None) -> str:
    """Format a number of things with thousands separators: ``1,234``."""
    return MISSING if number is None else f"{number:,.0f}"


def number_of(number: float, thing: str) -> str:
    """Format a number with what it counts, in the singular or the plural: ``1 request``, ``1,234 requests``."""
    return f"{count(number)} {thing}{'' if count(number) == '1' else 's'}"


def duration(seconds: float | None) -> str:
    """Format a duration in µs, ms or s, or from an hour in its two largest units: ``12.3 ms``, ``3 d 12 h``."""
    if seconds is None:
        return MISSING
    # Each limit is where rounding to three digits reaches the next unit.
    if seconds < 0.000_999_5:
        return _microseconds(seconds)
    if seconds < 0.999_5:
        return f"{_three_digits(seconds * 1_000)} ms"
    if seconds < 3_599.5:
        return f"{_three_digits(seconds)} s"
    if seconds < 1e9:
        return _two_units(seconds)
    return f"{seconds:.2e} s"  # a damaged line may claim anything


def tick(seconds: float) -> str:
    """Format a round duration above 0 for an axis, without trailing zeros: ``500 ms``, ``1 s``."""
    return f"{seconds * 1000:g} ms" if seconds < 0.999_5 else f"{seconds:g} s"


def percent(share: float | None) -> str:
    """Format a share from 0 to 1 in percent: ``0%``, ``<0.01%``, ``3.58%``, ``26.5%``, ``>99.9%``, ``100%``."""
    if share is None:
        return MISSING
    if not share:
        return "0%"  # of -0.0 too
    if share >= 1:
        return f"{share:.0%}"
    if share < 0.000_1:
        return "<0.01%"
    if share >= 0.999_5:
        return ">99.9%"
    return f"{share:.2%}" if share < 0.099_95 else f"{share:.1%}"


def rate(per_second: float | None, like: float | None = None) -> str:
    """
    Format a rate in the first of second, minute and hour that gives at least 1: ``12.0 /s``, ``30.0 /min``.

    With *like* it has the unit of that rate, so that you can compare the two.
    """
    if per_second is None:
        return MISSING
    size = per_second if like is None else like
    for factor, unit in ((1, "s"), (60, "min")):
        if size * factor >= 1 or not size:
            return f"{_three_digits(per_second * factor)} /{unit}"
    return f"{_three_digits(per_second * 3600)} /h"


def span(delta: dt.timedelta) -> str:
    """Format a length of time with its two largest units: ``2 h 5 min``."""
    seconds = delta.total_seconds()
    return duration(seconds) if seconds < 60 else _two_units(seconds)


def _two_units(seconds: float) -> str:
    """Format at least a minute with its two largest units."""
    # Each limit is where rounding to the second unit reaches the next first unit.
    step = 3_600 if seconds >= 86_370 else 60 if seconds >= 3_599.5 else 1
    left = round(seconds / step) * step
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number:,} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def moment(time: dt.datetime | None, zone: dt.tzinfo = dt.UTC) -> str:
    """
    Format a time so that you can paste it behind ``--since``: ``2026-11-02T10:00:00Z``, ``2026-11-02T11:00:00+01:00``.

    Milliseconds follow if there are any.
    """
    if time is None:
        return MISSING
    text = time.astimezone(zone).isoformat(timespec="milliseconds" if time.microsecond >= 1000 else "seconds")
    return f"{text.removesuffix('+00:00')}Z" if zone is dt.UTC else text


def clock(time: dt.datetime, step: dt.timedelta) -> str:
    """Format a time as the label of an axis whose labels are *step* apart: ``12:00``, or ``24 Nov`` at midnight."""
    time = time.astimezone(dt.UTC)
    day = f"{time.day} {_MONTHS[time.month - 1]}"
    if step >= dt.timedelta(days=1):
        return day
    if step < dt.timedelta(minutes=1):
        return f"{time:%H:%M:%S}"
    return day if (time.hour, time.minute) == (0, 0) else f"{time:%H:%M}"


def interval(start: dt.datetime, end: dt.datetime) -> str:
    """Format an interval in UTC: ``2026-11-24 14:05 to 14:10``. The second day is written only if it differs."""
    start, end = start.astimezone(dt.UTC), end.astimezone(dt.UTC)
    if end - start < dt.timedelta(seconds=10):
        spec = "milliseconds"
    elif start.second or end.second or start.microsecond or end.microsecond:
        spec = "seconds"
    else:
        spec = "minutes"
    first, last = (time.replace(tzinfo=None).isoformat(" ", spec) for time in (start, end))
    return f"{first} to {last[11:] if start.date() == end.date() else last}"


def _microseconds(seconds: float) -> str:
    """Format less than a millisecond in whole microseconds, the resolution of the lines."""
    if not seconds:
        return "0 ms"
    return "<1 µs" if seconds < 0.000_000_5 else f"{seconds * 1_000_000:.0f} µs"


def _three_digits(number: float) -> str:
    """Format a number from 0 with three significant digits, but at most three decimals."""
    for places, limit in ((3, 0.999_5), (2, 9.995), (1, 99.95)):
        if number < limit:
            return f"{number:.{places}f}" if number else "0"
    return f"{number:,.0f}"
