"""
Format the time of a line: RFC 3339, UTC, six digits, ``Z``.

Write. A leaf.
"""

from __future__ import annotations

import math
import time
from typing import Final

__all__ = ["Timestamps"]

_DIGITS: Final = tuple(f"{number:03d}" for number in range(1000))
"""Looking up three digits twice takes half the time of formatting six."""

_NEXT: Final = 0.9999995
"""A fraction of at least this is rounded up to the next second."""


_LATEST: Final = 2**63 // 10**9
"""Seconds. The nanoseconds of a later time do not fit into 64 bits."""


class Timestamps:
    """Formats timestamps and remembers the text of the current second."""

    def __init__(self) -> None:
        # One tuple, so that threads in different seconds never see half of an update.
        self._second = (math.inf, "")

    def text(self, created: float) -> str:
        """
        Return the time *created*, in seconds since the epoch, as text, rounded to microseconds.

        A value that Elasticsearch cannot store in nanoseconds (before 1970, after 2262, NaN) becomes 1970-01-01.
        """
        second, text = self._second
        # From the difference, which is exact: small integers are faster to split than large ones.
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
