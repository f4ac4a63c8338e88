"""
Find the stack of the thread, task or greenlet that works on a request.

Measure, a leaf. A stack belongs to a request if one of its frames has the request as a local variable. So nothing has
to be noted in each request, and a sync view is found in any thread.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from obs_middleware import threads

__all__ = ["Stack", "find_stacks"]

Stack = list[tuple[FrameType, int]]
"""Frames with the numbers of their lines, the outermost first."""


def find_stacks(requests: Iterable[Any], loops: Iterable[asyncio.AbstractEventLoop]) -> dict[int, Stack]:
    """
    Return the stacks of the threads, tasks in *loops* and greenlets that work on *requests*, by the ids of requests.

    Each frame of the process is looked at once, however many requests there are. A request that no frame has is not in
    the result. Do not keep the result, because it keeps the local variables of all these frames alive.
    """
    wanted = {id(request) for request in requests}
    found: dict[int, Stack] = {}
    for stack in _stacks(loops):
        for frame, _ in stack:
            for request in wanted.intersection(map(id, frame.f_locals.copy().values())):
                found.setdefault(request, stack)
    return found


def _stacks(loops: Iterable[asyncio.AbstractEventLoop]) -> Iterator[Stack]:
    own = threads.ident()
    for thread, frame in sys._current_frames().items():  # noqa: SLF001 -- documented, in spite of the underscore
        if thread != own:
            yield list(traceback.walk_stack(frame))[::-1]
    for loop in loops:
        for task in asyncio.all_tasks(loop):
            yield [(frame, frame.f_lineno) for frame in _suspended(task.get_coro())]
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


def _suspended(awaited: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, from the outermost to the innermost."""
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(awaited: Any, *names: str) -> Any:
    """Return the first of these attributes that exists. Coroutines and generators have different names for them."""
    return next((value for name in names if (value := getattr(awaited, name, None)) is not None), None)
