"""
The time of a line as text: RFC 3339, UTC, six digits, ``Z``.

Write. A leaf.
"""

from __future__ import annotations

import math
import time
from typing import Final

__all__ = ["Timestamps"]

_DIGITS: Final = tuple(f"{number:03d}" for number in range(1000))
"""To look three digits up takes half the time of formatting six."""

_NEXT: Final = 0.9999995
"""From here on a fraction is rounded up to the next second."""


_LATEST: Final = 2**63 // 10**9
"""Seconds; the nanoseconds beyond do not go into 64 bits."""


class Timestamps:
    """Makes timestamps; the text of a second is made once."""

    def __init__(self) -> None:
        # One tuple, for threads that are in different seconds.
        self._second = (math.inf, "")

    def text(self, created: float) -> str:
        """
        Return the time *created*, in seconds since the epoch, as text, rounded to microseconds.

        1970 for no time, and for one that Elasticsearch cannot store in nanoseconds: before 1970 or after 2262.
        """
        second, text = self._second
        # Of the difference, which is exact, and not of the whole number: small integers are quicker to take apart.
        rest = created - second
        if not 0 <= rest < _NEXT:
            if not 0 <= created < _LATEST:
                return "1970-01-01T00:00:00.000000Z"
            second = created // 1
            if created - second >= _NEXT:
                second += 1
            text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._second = (second, text)
            rest = created - second
        microseconds = int(rest * 1_000_000 + 0.5)
        return f"{text}{_DIGITS[microseconds // 1000]}{_DIGITS[microseconds % 1000]}Z"
