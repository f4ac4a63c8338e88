"""
Times and lengths of time as people type them: `seconds_of`, `moment_of` and `zone_of`.

Read. ``1h30m`` is a length of time; ``2026-11-02T10:00:00Z``, ``yesterday``, ``10:01`` and ``1h30m`` ago are times.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final
from zoneinfo import ZoneInfo

from obs_middleware.read.errors import ExpressionError

__all__ = ["UNITS", "moment_of", "seconds_of", "zone_of"]

UNITS: Final = {
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
"""Unit of time -> seconds."""

_PART: Final = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(sorted(UNITS, key=len, reverse=True))})\s*")
_LENGTH: Final = re.compile(rf"\s*(?:{_PART.pattern})+")
_OFFSET: Final = re.compile(r"(?:UTC)?([+-])(\d{1,2})(?::?([0-5]\d))?")
_DAY: Final = re.compile(r"(today|yesterday)?\s*(?:(\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_FIRST: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


def seconds_of(text: str, option: str) -> float:
    """
    Return the seconds in *text*: ``300ms``, ``1.5s``, ``2m``, ``1h30m``.

    Args:
        text: A length of time. A number without a unit is an error, because it may mean seconds or milliseconds; only
            0 needs none.
        option: The option that it belongs to, for the message.

    Raises:
        ExpressionError: *text* is no length of time.
    """
    if text.strip() == "0":
        return 0.0
    if _LENGTH.fullmatch(text):
        return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    if re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", text):
        number = text.strip()
        raise ExpressionError(f"invalid {option} {text!r}: add a unit, for example {number}ms, {number}s or {number}m")
    raise ExpressionError(f"invalid {option} {text!r}: use numbers with units, for example 300ms, 1.5s, 15m or 1h30m")


def zone_of(text: str | None) -> dt.tzinfo:
    """
    Return the time zone of ``--tz``; UTC without it.

    Args:
        text: A name (``Europe/Amsterdam``), an offset (``+02:00``), or ``local`` for the zone of the machine.

    Raises:
        ExpressionError: There is no such time zone.
    """
    if text is None or text.upper() in {"UTC", "Z"}:
        return dt.UTC
    if text.lower() == "local":
        return _Local()
    match = _OFFSET.fullmatch(text)
    try:
        if match is None:
            return ZoneInfo(text)
        offset = dt.timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return dt.timezone(-offset if match[1] == "-" else offset)
    except (OSError, ValueError, KeyError):  # KeyError: ZoneInfoNotFoundError
        raise ExpressionError(
            f"invalid --tz {text!r}: use a name (Europe/Amsterdam), an offset (--tz=+02:00) or local; "
            "a name needs the time zones of the system or the package tzdata"
        ) from None


class _Local(dt.tzinfo):
    """The time zone of the machine. Its offset is that of each time, so summer and winter differ."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta | None:
        return None if when is None else when.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _: dt.datetime | None) -> None:
        return None

    def tzname(self, _: dt.datetime | None) -> str:
        return "local"

    def fromutc(self, when: dt.datetime) -> dt.datetime:
        return when.replace(tzinfo=dt.UTC).astimezone().replace(tzinfo=self)


def moment_of(text: str, option: str, now: dt.datetime) -> dt.datetime:
    """
    Return the time that *text* means, in UTC.

    A time of day is the last one before *now*. An age from before the year 1 means the beginning of time.

    Args:
        text: A time, a date, a day (``today``, ``yesterday 10:01``), a time of day (``10:01``) or an age (``1h30m``).
        option: The option that it belongs to, for the message.
        now: The current time; its time zone is that of a *text* without one.

    Raises:
        ExpressionError: *text* means no time.
    """
    text = text.strip()
    try:
        if _LENGTH.fullmatch(text):
            ago = seconds_of(text, option)
            utc = now.astimezone(dt.UTC)
            return utc - dt.timedelta(seconds=ago) if ago < (utc - _FIRST).total_seconds() else _FIRST
        if text and (match := _DAY.fullmatch(text)):
            return _in_day(match, now).astimezone(dt.UTC)
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)).astimezone(dt.UTC)
    except (ValueError, OverflowError):  # OverflowError: not in a year of UTC
        raise ExpressionError(
            f"invalid {option} {text!r}: use a time (2026-11-02T10:00:00Z, 2026-11-02, 10:01), "
            "a day (today, yesterday) or an age (15m, 1h30m, 1d, 1w)"
        ) from None


def _in_day(match: re.Match[str], now: dt.datetime) -> dt.datetime:
    word, *clock = match.groups()
    hour, minute, second = (int(part or 0) for part in clock)
    day = now.replace(tzinfo=None)
    if word == "yesterday":
        day -= dt.timedelta(days=1)
    moment = day.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if word is None and moment > now.replace(tzinfo=None):
        moment -= dt.timedelta(days=1)
    return moment.replace(tzinfo=now.tzinfo)
