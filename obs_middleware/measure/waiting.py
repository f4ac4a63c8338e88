"""
Read how long a request waited before it reached Django, from the header in which a proxy says when it came.

Measure, a leaf.
"""

from __future__ import annotations

import re
from time import perf_counter, time  # by name: the middleware's own calls of time.perf_counter are counted
from typing import Final

__all__ = ["LONGEST", "seconds_waited"]

LONGEST: Final = 3600
"""Seconds. A longer time is that of a wrong clock or of a client that made the header up."""

_TIME: Final = re.compile(r"(?:t=)?([0-9]{9,19}(?:\.[0-9]{1,9})?)")

_UNITS: Final = ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))
"""Pairs: numbers below the first are seconds times the second. True for all times from 1973 to 5138."""


def seconds_waited(value: object, started: float) -> float | None:
    """
    Return the seconds from the time in a header until *started*, six decimals.

    Returns None for whole seconds, which are wrong by up to a second, for a time that is later than *started* or more
    than an hour before it, and for anything else. Never raises.

    Args:
        value: The value of the header: seconds with a fraction, milliseconds, microseconds or nanoseconds since 1970,
            with or without ``t=``. If several proxies have sent one, the last of them counts.
        started: ``time.perf_counter()`` when the request began.
    """
    if type(value) is not str or len(value) > 200:
        return None
    found = _TIME.fullmatch(value.rpartition(",")[2].strip())
    if found is None:
        return None
    number = float(found[1])
    unit = next(unit for limit, unit in _UNITS if number < limit)
    if unit == 1 and "." not in found[1]:
        return None
    seconds = time() - (perf_counter() - started) - number / unit
    return round(seconds, 6) if 0 <= seconds <= LONGEST else None
