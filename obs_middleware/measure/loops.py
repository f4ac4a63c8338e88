"""
Notice from another thread that an event loop is blocked, and by what.

Measure. Nothing runs in the loop while it has nothing to do. If the watching thread finds it at work, it asks a
question: a callback, which the loop runs after all that is already waiting. A task that is at work before the question
and still at work later, while there is no answer, has had no pause: its next turn would come after the answer.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
from contextvars import Context
from time import perf_counter
from types import FrameType
from typing import Any, Final

from obs_middleware import threads
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.place import place_of
from obs_middleware.measure.seen import Hold, Seen
from obs_middleware.platforms import is_runnable, running_seconds, waiting_seconds

__all__ = ["BlockedLoop", "WatchedLoop", "context_of"]

_DEBUGGERS: Final = frozenset(
    {"IPython", "_pydev_bundle", "_pydevd_bundle", "_pydevd_frame_eval", "bdb", "debugpy", "pdb", "pudb", "pydevd"}
)
"""Packages whose frames are on the stack while a debugger waits for its user."""

_RUNS_CALLBACK: Final = asyncio.Handle._run.__code__  # noqa: SLF001 -- a canary test checks it


class BlockedLoop(Hold):
    """
    A time that an event loop was blocked, and the unit of work whose code has blocked it.

    Attributes:
        event: The unit, or None if the code belongs to none that is running.
        is_debugged: A debugger has stopped the code.
    """

    __slots__ = ("_ran", "_thread", "_waited", "event", "is_debugged")

    def __init__(self, key: object, now: float, tick: float, thread: int) -> None:
        super().__init__(key, now, tick)
        self.event: Event | None = None
        self.is_debugged = False
        self._thread = thread
        self._ran = running_seconds(thread)
        self._waited = waiting_seconds()

    def extend(self, now: float, paused: float) -> None:
        """Extend it until *now*. On a busy machine, the time that the code waits for a processor does not count."""
        before, self._ran = self._ran, running_seconds(self._thread)
        ran = None
        if before is not None and self._ran is not None and is_runnable(self._thread):
            ran = self._ran - before
        waited, self._waited = self._waited, waiting_seconds()
        self.add(now, paused, ran, self._waited - waited)


class WatchedLoop:
    """
    An event loop that is watched. Create it in the thread of the loop.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threads.ident()
        self._native = threading.get_native_id()
        # Frames below those of a callback. The code of a loop may be in C, so its own frames cannot be told by name.
        self._depth = _depth_of_task()
        self._asked = self._answered = 0
        self._answered_at = 0.0
        self._hold: BlockedLoop | None = None
        if self._depth is None:
            self._asked = 1
            loop.call_soon(self._answer, 1)

    def is_running(self) -> bool:
        """Return whether the loop still runs."""
        return self.loop.is_running() and not self.loop.is_closed()

    def look(
        self, frame: FrameType | None, now: float, limit: float, tick: float, paused: float = 0.0
    ) -> BlockedLoop | None:
        """
        Look at the loop. Return the time that it was blocked, if that has ended since the last look.

        Args:
            frame: The innermost frame of the loop's thread.
            now: ``time.perf_counter()``.
            limit: From how many seconds on the loop counts as blocked.
            tick: Seconds between two looks.
            paused: Seconds since the last look that a garbage collection took.
        """
        stack = self._stack(frame)
        task = asyncio.current_task(self.loop)
        key = _key(task, stack)
        is_answered = self._asked == self._answered  # after the key: the loop runs on while this code does
        hold, over = self._hold, None
        if hold is not None and (is_answered or key != hold.key):
            hold.end(self._answered_at if is_answered else None, paused)
            over = hold
            self._hold = hold = None
        if hold is not None:
            hold.extend(now, paused)
            self._examine(hold, stack, task, limit)
        elif key is not None:
            if is_answered:
                self._ask()
                task = asyncio.current_task(self.loop)  # again: a turn before the question proves nothing
                key = None if task is None else _key(task, [])
            if key is not None:
                self._hold = BlockedLoop(key, now, tick, self._native)
        return over if over is not None and over.stack is not None else None

    def leave(self) -> BlockedLoop | None:
        """Watch no more. Return the time that the loop was blocked, if it was blocked at the last look."""
        hold, self._hold = self._hold, None
        if hold is None or hold.stack is None:
            return None
        hold.end()
        return hold

    @property
    def hold(self) -> BlockedLoop | None:
        """The code that is blocking the loop now, if it has done so for longer than the limit."""
        return self._hold if self._hold is not None and self._hold.stack is not None else None

    def _ask(self) -> None:
        self._asked += 1
        self.loop.call_soon_threadsafe(self._answer, self._asked, context=Context())

    def _answer(self, question: int) -> None:
        self._answered_at = perf_counter()
        self._depth = len(_frames(sys._getframe())) - 1  # noqa: SLF001 -- documented, in spite of the underscore
        self._answered = question

    def _stack(self, frame: FrameType | None) -> list[FrameType]:
        """Return the frames of the callback that runs now, the outermost first. Empty if the loop waits."""
        if frame is None or self._depth is None:
            return []
        return _frames(frame)[self._depth :]

    def _examine(self, hold: BlockedLoop, stack: list[FrameType], task: asyncio.Task[Any] | None, limit: float) -> None:
        """Note on the unit of work that it blocks the loop, while it does: its line may be written before the end."""
        if not hold.is_debugged and any(_package(frame) in _DEBUGGERS for frame in stack):
            hold.is_debugged = True
            hold.stack = None
            if hold.event is not None and hold.event.seen is not None:
                hold.event.seen.forget(hold)
        if hold.is_debugged or hold.seconds < limit or not stack:
            return
        if hold.stack is None:
            frames = [(frame, frame.f_lineno) for frame in stack]
            hold.event = _event_in(_context(task, stack[0]))
            hold.place = place_of(reversed(frames))
            hold.stack = "".join(traceback.format_list(traceback.StackSummary.extract(iter(frames))))
        event = hold.event
        if event is not None and not event.done:
            if event.seen is None:
                event.seen = Seen()
            event.seen.note(hold)


def _frames(frame: FrameType) -> list[FrameType]:
    """Return *frame* and those below it, the outermost first."""
    frames = []
    below: FrameType | None = frame
    while below is not None:
        frames.append(below)
        below = below.f_back
    frames.reverse()
    return frames


def _key(task: asyncio.Task[Any] | None, stack: list[FrameType]) -> object:
    """
    Return what identifies the code that runs now, as long as a question is not answered; None if the loop waits.

    Of a task only the id, because this thread must not keep the objects of the application alive. No task that is
    created after the question has its turn before the answer, so the id is not used again. The frame of a callback
    that is no task is kept, from the second look on.
    """
    return id(task) if task is not None else stack[0] if stack else None


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _depth_of_task() -> int | None:
    """Return how many frames of this thread are below the current task; None if the task cannot be found."""
    task = asyncio.current_task()
    outermost = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    frames = _frames(sys._getframe())  # noqa: SLF001 -- as above
    return frames.index(outermost) if outermost in frames else None


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """Return the context in which *task* runs. Python 3.11 has no public way to it; a canary test checks this one."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    # The first one is that of the task; the others are those of its callbacks.
    return next((one for one in gc.get_referents(task) if type(one) is Context), None)


def _context(task: asyncio.Task[Any] | None, outermost: FrameType) -> Context | None:
    if task is not None:
        return context_of(task)
    below = outermost.f_back
    if below is None or below.f_code is not _RUNS_CALLBACK:
        return None  # uvloop has no frame for it
    context = getattr(below.f_locals.get("self"), "_context", None)
    return context if isinstance(context, Context) else None


def _event_in(context: Context | None) -> Event | None:
    event = None if context is None else context.get(current_event)
    return None if event is None or event.done else event
