"""
The time of a line as text: RFC 3339, UTC, six digits, ``Z``.

Write. A leaf.
"""

from __future__ import annotations

import time
from typing import Final

__all__ = ["Timestamps"]

_DIGITS: Final = tuple(f"{number:03d}" for number in range(1000))
"""To look three digits up takes half the time of formatting six."""


class Timestamps:
    """Makes timestamps; the text of a second is made once."""

    def __init__(self) -> None:
        # One tuple, for threads that are in different seconds.
        self._second = (0, "")

    def text(self, created: float) -> str:
        """Return the time *created*, in seconds since the epoch, as text, rounded to microseconds."""
        microseconds = int(created * 1_000_000 + 0.5)
        second = microseconds // 1_000_000
        known, text = self._second
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        rest = microseconds - second * 1_000_000
        return f"{text}.{_DIGITS[rest // 1000]}{_DIGITS[rest % 1000]}Z"
