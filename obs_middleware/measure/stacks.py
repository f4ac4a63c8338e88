"""
Find the stack of the thread, task or greenlet that works on a request.

Measure. A stack belongs to a request if one of its frames has the request or its event as a local variable. So nothing
has to be noted in each request, and a sync view is found in any thread.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from collections.abc import Container, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

from obs_middleware import threads
from obs_middleware.measure.callers import callers, suspended
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.frames import current_frames
from obs_middleware.measure.loops import context_of

__all__ = ["Stack", "find_stacks"]

Stack = list[tuple[FrameType, int]]
"""Frames with the numbers of their lines, the outermost first."""


def find_stacks(units: Mapping[Event, Any], loops: Iterable[asyncio.AbstractEventLoop]) -> dict[Event, Stack]:
    """
    Return the stacks of the threads, tasks in *loops* and greenlets that work on *units*, by their events.

    A thread comes before a task. If the thread works for a coroutine, the stack begins with the frames of that. Each
    frame of a thread is looked at once, however many units there are; of the tasks, only those of the units. A unit
    that no frame has is not in the result. Do not keep the result, because it keeps the local variables of all these
    frames alive.

    Args:
        units: The events, each with its request or None.
        loops: The event loops of the process.
    """
    wanted = {id(event): event for event in units}
    wanted |= {id(request): event for event, request in units.items() if request is not None}
    found: dict[Event, Stack] = {}
    for stack in _stacks(units, loops):
        for frame, _ in stack:
            for one in wanted.keys() & map(id, frame.f_locals.copy().values()):
                found.setdefault(wanted[one], stack)
    return found


def _stacks(units: Container[Event], loops: Iterable[asyncio.AbstractEventLoop]) -> Iterator[Stack]:
    own = threads.ident()
    for thread, frame in current_frames().items():
        if thread != own:
            yield list(callers(frame))[::-1]
    for loop in loops:
        for task in asyncio.all_tasks(loop):
            context = context_of(task)
            event = None if context is None else context.get(current_event)
            if event is not None and event in units:
                yield [(frame, frame.f_lineno) for frame in suspended(task.get_coro())]
    for frame in _frames_of_greenlets():
        yield list(traceback.walk_stack(frame))[::-1]


def _frames_of_greenlets() -> Iterator[FrameType]:
    """Yield the innermost frame of each greenlet that waits, if gevent is in use. There is no list of greenlets."""
    greenlet = sys.modules.get("greenlet") if "gevent" in sys.modules else None
    if greenlet is not None:
        for one in gc.get_objects():
            # issubclass, not isinstance: isinstance evaluates a lazy object
            if issubclass(type(one), greenlet.greenlet) and one.gr_frame is not None:
                yield one.gr_frame
