"""
What the watching thread has seen of a unit of work, for its line.

Measure, a leaf. The thread writes here while the unit runs, and the line reads it when the unit is over.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["TICKS", "Hold", "Seen", "counted"]

TICKS: Final = 4
"""How often the thread looks at a loop within ``BLOCKED_SECONDS``."""


def counted(gap: float, tick: float, waited: float = 0.0) -> float:
    """
    Return how much of the time since the last look counts, in seconds.

    The thread looks once per *tick*. If it did not run for much longer, then perhaps nothing did: the process was
    suspended, the machine slept, or other code kept Python's global lock. Such a gap counts as one tick.

    Args:
        gap: The time since the last look.
        tick: Seconds between two looks.
        waited: For how much of *gap* the thread waited for a processor, as on a busy machine. Others may have run.
    """
    return max(gap, 0.0) if gap - waited <= TICKS * tick else tick


class Hold:
    """
    A time that one piece of code has held an event loop without a break.

    Args:
        key: What stays the same as long as it is the same piece of code.
        now: ``time.perf_counter()`` when it was first seen.
        tick: Seconds between two looks.

    Attributes:
        key: As above.
        is_over: It has ended, and its length is final.
        place: The place in the application, as in ``blocked_at``, or None.
        stack: The stack when the limit was reached, as text. None before that.
    """

    __slots__ = ("_state", "_tick", "is_over", "key", "place", "stack")

    def __init__(self, key: object, now: float, tick: float) -> None:
        self.key = key
        self.is_over = False
        self.place: str | None = None
        self.stack: str | None = None
        self._tick = tick
        self._state = (0.0, now)  # in one piece, because another thread reads it

    @property
    def seconds(self) -> float:
        """How long it is known to have lasted."""
        return self._state[0]

    def add(self, now: float, paused: float = 0.0, ran: float | None = None, waited: float = 0.0) -> None:
        """
        Extend it until *now*.

        Args:
            now: ``time.perf_counter()``.
            paused: How much of that time something else took, in seconds.
            ran: How much of it the code ran on a processor, if it ran or wanted to. None if it waited, or if nobody
                knows.
            waited: How much of it the watching thread waited for a processor.
        """
        seconds, seen = self._state
        gap = now - seen
        new = counted(gap - paused, self._tick, waited) if ran is None else max(min(ran, gap) - paused, 0.0)
        self._state = (seconds + new, now)

    def end(self, now: float | None = None, paused: float = 0.0) -> None:
        """End it, at *now* if that is known, otherwise when it was last seen."""
        if now is not None:
            self.add(now, paused)
        self.is_over = True

    def length(self, end: float) -> float:
        """Return its length in seconds. *end* counts if it is not over: the line is written while it lasts."""
        seconds, seen = self._state
        return seconds if self.is_over else seconds + counted(end - seen, self._tick)


class Seen:
    """
    What was seen of one unit of work.

    Attributes:
        hold: The longest time that it has held the event loop, or None.
        slow_at: The place where it was when it became slow, or None.
    """

    __slots__ = ("hold", "slow_at")

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self.slow_at: str | None = None

    def note(self, hold: Hold) -> None:
        """Keep *hold*, unless a longer one is known."""
        if self.hold is None or self.hold.seconds < hold.seconds:
            self.hold = hold

    def forget(self, hold: Hold) -> None:
        """Take back *hold*: the unit was not its cause."""
        if self.hold is hold:
            self.hold = None

    def fields(self, end: float) -> dict[str, Any]:
        """Return the fields for the line of a unit that has ended at *end*, by ``time.perf_counter()``."""
        fields: dict[str, Any] = {}
        hold = self.hold
        if hold is not None:
            fields["blocked_seconds"] = round(hold.length(end), 6)
            if hold.place is not None:
                fields["blocked_at"] = hold.place
        if self.slow_at is not None:
            fields["slow_at"] = self.slow_at
        return fields
