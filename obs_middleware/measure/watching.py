"""
The watching thread: it looks at running requests and at event loops from the outside.

Measure. One thread for each process, started with the first request that is to be watched. It looks for three things:
code that blocks an event loop (``BLOCKED_SECONDS``), the place of a request that becomes slow (``SLOW_SECONDS``), and a
request that runs too long (``WATCHDOG_SECONDS``). A request pays for one comparison. The thread sleeps while there is
nothing to watch: it is woken by the next request.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from asyncio import _get_running_loop
from itertools import takewhile
from time import perf_counter, thread_time
from typing import Final

from obs_middleware import threads
from obs_middleware.conf import Settings, django_setting
from obs_middleware.counters import COUNTS
from obs_middleware.failures import report_once
from obs_middleware.measure.alarm import warn
from obs_middleware.measure.event import Event
from obs_middleware.measure.frames import current_frames
from obs_middleware.measure.garbage import PAUSES
from obs_middleware.measure.loops import BlockedLoop, WatchedLoop
from obs_middleware.measure.place import place_of
from obs_middleware.measure.running import RUNNING, request_of
from obs_middleware.measure.seen import TICKS, Seen
from obs_middleware.measure.stacks import Stack, find_stacks
from obs_middleware.processes import call_after_fork

__all__ = ["WATCH", "Watch", "watch_for"]

_LOOKS: Final = 20
"""How often the thread looks at the requests within a time limit. It notices a late one after this part of it."""

_SHORTEST: Final = 0.005
"""
Seconds between two looks, at least, however short the limits are. With 1 ms the thread would take a fifth of a core.
"""

_QUIET_SECONDS: Final = 1.0
"""How long there is nothing to watch before the thread sleeps. Waking it costs a request some microseconds."""

_REST: Final = 20
"""
The thread rests this many times as long as a search for slow requests took. So it takes at most 5 % of a core, even if
every request is slow; some are then found late or not at all.
"""

_STILL_SECONDS: Final = 10.0
"""A loop that is blocked for this long gets its warning now: the end may never come."""

_SLACK_SECONDS: Final = 1.0
"""Requests are in the order in which they began, except for those that several threads began at the same time."""


class _Limit:
    """
    A time limit for requests.

    Attributes:
        seconds: The limit.
    """

    def __init__(self) -> None:
        self.seconds = math.inf
        self._reached = -math.inf

    def due(self, now: float) -> list[Event]:
        """Return the requests that have passed the limit since the last call."""
        before, self._reached = self._reached, max(self._reached, now - self.seconds)
        newest_first = reversed(RUNNING.copy())
        recent = takewhile(lambda event: event.started > before - _SLACK_SECONDS, newest_first)
        return [event for event in recent if before < event.started <= self._reached and not event.done]


class Watch:
    """
    What is watched in this process, and the thread that does it.

    Attributes:
        asleep: There is nothing to watch. Call `attend` when there is.
        loop: The event loop that was last seen to serve requests, or None. Call `attend` in another one.
        units: The events of units in flight that are not in `RUNNING`.
    """

    def __init__(self) -> None:
        self.units: set[Event] = set()
        self._blocked = math.inf
        self._slow, self._late = _Limit(), _Limit()
        self.forget()

    def forget(self) -> None:
        """Start from the beginning, in a process where the thread does not run."""
        self.asleep = True
        self.loop: asyncio.AbstractEventLoop | None = None
        self.units.clear()
        self._loops: dict[asyncio.AbstractEventLoop, WatchedLoop] = {}
        new_lock = threads.original("_thread", "allocate_lock")
        self._is_started = new_lock()
        self._bell = new_lock()  # acquired: nobody has rung
        self._bell.acquire()
        self._told: BlockedLoop | None = None
        self._seen_requests = 0
        self._active_at = self._rest_until = 0.0
        self._paused = 0.0

    def configure(self, settings: Settings) -> None:
        """Take over the limits of *settings*, also for the requests that are running."""
        self._blocked = settings.blocked_seconds or math.inf
        self._slow.seconds = settings.slow_seconds or math.inf
        self._late.seconds = settings.watchdog_seconds or math.inf
        if not self.asleep:
            self._ring()

    def is_needed(self, *, in_thread: bool) -> bool:
        """Return whether requests are to be watched that run in a thread, or in an event loop."""
        limits = self._slow.seconds, self._late.seconds
        return min(limits if in_thread else (*limits, self._blocked)) < math.inf

    def attend(self) -> None:
        """
        Wake the thread, and watch the event loop that runs in this thread, if there is one.

        Never waits and never raises. If the thread cannot be started, the next request tries again.
        """
        try:
            self._attend()
        except BaseException as error:  # noqa: BLE001 -- no more threads are allowed, or a loop is of a strange kind
            report_once("the watching thread", error)

    def _attend(self) -> None:
        loop = _get_running_loop()
        if loop is not None:
            if loop not in self._loops:
                self._loops[loop] = WatchedLoop(loop)
            self.loop = loop
        if self.asleep:
            self.asleep = False
            if not self._is_started.acquire(blocking=False):
                self._ring()
                return
            try:
                threads.start(self._watch, "obs_middleware watchdog")
            except BaseException:
                self._is_started.release()
                self.asleep = True
                raise

    def attend_if_needed(self) -> None:
        """Call `attend` if the event loop that runs in this thread is not watched yet, and is to be."""
        if (self.asleep or _get_running_loop() is not self.loop) and self.is_needed(in_thread=False):
            self.attend()

    def _ring(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:
            pass  # somebody has rung already

    # The thread

    def _watch(self) -> None:
        bell = self._bell
        while True:
            try:
                pause = self._look()
            except BaseException as error:  # noqa: BLE001 -- one failure must not end the watch over the others
                report_once("the watching thread", error)
                pause = _QUIET_SECONDS
            bell.acquire(True, pause)

    def _look(self) -> float:
        """Look at everything once. Return how many seconds to wait before the next look; -1 is until `attend`."""
        now = perf_counter()
        if self._loops:
            self._look_at_loops(now)
        self._look_at_requests(now)
        if self._is_active(now):
            return self._tick()
        self._sleep()
        return self._tick() if self._is_active(now) else -1

    def _tick(self) -> float:
        limit = min(self._slow.seconds, self._late.seconds) / _LOOKS
        tick = min(limit, self._blocked / TICKS) if self._loops else limit
        return max(_SHORTEST, min(tick, _QUIET_SECONDS))

    def _is_active(self, now: float) -> bool:
        """Return whether there is something to watch, or was a short time ago."""
        requests = sum(COUNTS.values())
        if RUNNING or self.units or requests != self._seen_requests:
            self._active_at = now
            self._seen_requests = requests
        return now - self._active_at < _QUIET_SECONDS

    def _sleep(self) -> None:
        """Prepare to sleep. A request that begins from now on calls `attend`; one that began before is in `RUNNING`."""
        for loop in self._loops.copy().values():
            self._drop(loop)
        PAUSES.leave()
        self.asleep = True
        if RUNNING or self.units:
            self.asleep = False

    def _drop(self, loop: WatchedLoop) -> None:
        if self.loop is loop.loop:
            self.loop = None
        self._loops.pop(loop.loop, None)
        over = loop.leave()
        if over is not None:
            self._report(over)

    # Event loops

    def _look_at_loops(self, now: float) -> None:
        for loop in self._loops.copy().values():
            if not loop.is_running():
                self._drop(loop)
        if self._blocked == math.inf:
            return
        PAUSES.watch()
        paused, self._paused = PAUSES.seconds - self._paused, PAUSES.seconds
        if PAUSES.longest >= self._blocked:
            self._report_pause()
        tick = max(self._blocked / TICKS, _SHORTEST)
        frames = current_frames()
        for loop in self._loops.copy().values():
            over = loop.look(frames.get(loop.thread), now, self._blocked, tick, paused)
            if over is not None:
                self._report(over)
            hold = loop.hold
            if hold is not None and hold.seconds >= _STILL_SECONDS and self._told is not hold:
                self._told = hold
                self._warn(hold, f"Event loop still blocked after {hold.seconds:.2f} seconds")

    def _report_pause(self) -> None:
        seconds, PAUSES.longest = PAUSES.longest, 0.0
        text = f"Event loop blocked for {seconds:.2f} seconds by garbage collection"
        warn(text, None, None, {"blocked_seconds": round(seconds, 6)}, "blocked")

    def _report(self, hold: BlockedLoop) -> None:
        if self._told is hold:
            self._told = None
        else:
            self._warn(hold, f"Event loop blocked for {hold.seconds:.2f} seconds")

    def _warn(self, hold: BlockedLoop, text: str) -> None:
        fields = {"blocked_seconds": round(hold.seconds, 6), "blocked_at": hold.place}
        warn(text, hold.event, hold.stack, fields, "blocked")

    # Requests

    def _look_at_requests(self, now: float) -> None:
        late = self._late.due(now) if self._late.seconds < math.inf else []
        slow = self._slow.due(now) if self._slow.seconds < math.inf and now >= self._rest_until else []
        if not slow and not late:
            return
        begun = thread_time()
        stacks = find_stacks({event: request_of(event) for event in (*slow, *late)}, tuple(self._loops))
        for event in slow:
            try:
                _note_place(event, stacks.get(event, []))
            except Exception as error:  # noqa: BLE001 -- the classes of templates are foreign code
                report_once("the watching thread", error)
        for event in late:
            if not event.done:  # it may have ended while the others were reported
                self._warn_of(event, stacks.get(event, []))
        self._rest_until = perf_counter() + _REST * (thread_time() - begun)

    def _warn_of(self, event: Event, frames: Stack) -> None:
        stack = "".join(traceback.format_list(traceback.StackSummary.extract(iter(frames))))
        fields = {"age_seconds": round(perf_counter() - event.started, 6)}
        warn(f"Request still running after {self._late.seconds:.1f} seconds", event, stack, fields, "watchdog")


def _note_place(event: Event, frames: Stack) -> None:
    place = place_of(reversed(frames))
    if place is not None and not event.done:
        if event.seen is None:
            event.seen = Seen()
        event.seen.slow_at = place


WATCH: Final = Watch()


def watch_for(settings: Settings, *, in_thread: bool) -> Watch | None:
    """
    Return the watch with the limits of *settings*, or None if there is nothing to watch.

    Nothing is watched by a middleware that is called by itself, without a site.

    Args:
        settings: The settings in force.
        in_thread: The requests run in threads, not in an event loop.
    """
    WATCH.configure(settings)
    return WATCH if django_setting("MIDDLEWARE") and WATCH.is_needed(in_thread=in_thread) else None


call_after_fork(WATCH.forget)
