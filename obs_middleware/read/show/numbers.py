"""
How numbers and times are written for people: three digits that matter, and always the unit.

Read. None is a dash. Nothing depends on the locale or on the zone of the machine: times are in UTC.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

__all__ = ["MISSING", "clock", "count", "interval", "moment", "percent", "rate", "seconds", "span", "tick"]

MISSING: Final = "\N{EN DASH}"
"""What stands where a value is not known."""

GAP: Final = "\N{NARROW NO-BREAK SPACE}"
"""Between a number and its unit."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def count(number: int | None) -> str:
    """Return *number* with its thousands apart."""
    return MISSING if number is None else f"{number:,}"


def seconds(value: float | None) -> str:
    """Return a duration in milliseconds below one second, else in seconds."""
    if value is None:
        return MISSING
    if value < 0.9995:
        return f"{_digits(value * 1000)}{GAP}ms"
    return f"{_digits(value)}{GAP}s"


def tick(value: float) -> str:
    """Return a round duration, above 0, without the digits that it does not need."""
    return f"{value * 1000:g}{GAP}ms" if value < 0.9995 else f"{value:g}{GAP}s"


def percent(ratio: float | None) -> str:
    """Return *ratio* in percent; what is not nothing, or not all, never looks like it."""
    if ratio is None:
        return MISSING
    if 0 < ratio < 0.0005:
        return f"<{GAP}0.1{GAP}%"
    if 0.9995 <= ratio < 1:
        return f">{GAP}99.9{GAP}%"
    text = f"{ratio:.0%}" if ratio in {0, 1} else f"{ratio:.1%}"
    return f"{text[:-1]}{GAP}%"


def rate(per_second: float | None) -> str:
    """Return a rate per second, minute or hour, whichever gives a number to read."""
    if per_second is None:
        return MISSING
    for factor, unit in ((1, "s"), (60, "min")):
        if per_second * factor >= 1 or not per_second:
            return f"{_digits(per_second * factor)}{GAP}/{unit}"
    return f"{_digits(per_second * 3600)}{GAP}/h"


def span(delta: dt.timedelta) -> str:
    """Return a stretch of time by its two largest units: ``2 h 5 min``."""
    left = delta.total_seconds()
    if left < 60:
        return seconds(left)
    left = round(left)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{GAP}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def moment(time: dt.datetime | None) -> str:
    """Return a point in time to the millisecond, which are left out when there are none."""
    if time is None:
        return MISSING
    time = time.astimezone(dt.UTC)
    return time.isoformat(sep=" ", timespec="milliseconds" if time.microsecond >= 1000 else "seconds")[:-6]


def clock(time: dt.datetime, step: dt.timedelta) -> str:
    """Return what tells *time* from others that are *step* apart, and from other days."""
    time = time.astimezone(dt.UTC)
    day = f"{time.day}{GAP}{_MONTHS[time.month - 1]}"
    if step >= dt.timedelta(days=1):
        return day
    if step < dt.timedelta(minutes=1):
        return f"{time:%H:%M:%S}"
    return day if (time.hour, time.minute) == (0, 0) else f"{time:%H:%M}"


def interval(start: dt.datetime, end: dt.datetime) -> str:
    """Return ``2026-11-24 14:05 to 14:10``; the day of the end only if it is another one."""
    start, end = start.astimezone(dt.UTC), end.astimezone(dt.UTC)
    if end - start < dt.timedelta(seconds=10):
        spec = "milliseconds"
    elif start.second or end.second or start.microsecond or end.microsecond:
        spec = "seconds"
    else:
        spec = "minutes"
    first, last = (time.replace(tzinfo=None).isoformat(" ", spec) for time in (start, end))
    return f"{first} to {last[11:] if start.date() == end.date() else last}"


def _digits(number: float) -> str:
    """Return *number*, not below 0, with three digits that matter, or three decimals if it is small."""
    for places, limit in ((3, 0.9995), (2, 9.995), (1, 99.95)):
        if number < limit:
            text = f"{number:.{places}f}"
            return text if number else "0"
    return f"{number:,.0f}"
