"""
Walk outwards from a running frame, also from a thread to the coroutine that waits for it.

Measure, a leaf. Django's async ORM runs each query in a thread, which has no frame of the application.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import traceback
from collections.abc import Iterator
from concurrent.futures import thread
from functools import partial
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final

from asgiref import current_thread_executor

__all__ = ["callers", "suspended"]

_MOST: Final = 50
"""How many tasks are followed outwards, and how many futures are followed from one task to the next."""

_RUNS: Final = frozenset(
    module._WorkItem.run.__code__  # noqa: SLF001 -- a canary test checks it
    for module in (thread, current_thread_executor)
)
"""The function at the bottom of the stack of a thread of a pool. Its ``self`` has the future of the result."""

_STEPS: Final = {"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"}
"""Types of objects between a coroutine and the generator or coroutine that it waits for. They do not show it."""

_Coroutine: Final = (CoroutineType, GeneratorType, AsyncGeneratorType)


def callers(frame: FrameType) -> Iterator[tuple[FrameType, int]]:
    """
    Yield *frame* and all frames that wait for it, the innermost first, each with the number of its line.

    Where a thread of a pool works for a coroutine, the coroutine and all that await it come next, also those in other
    tasks, as by ``gather``. Then the rest of the thread follows: ``async_to_sync`` runs such work inside a sync view.
    """
    for one, line in traceback.walk_stack(frame):
        yield one, line
        if one.f_code in _RUNS:
            future = getattr(one.f_locals.get("self"), "future", None)
            for task in _waiting(future):
                yield from reversed([(inner, inner.f_lineno) for inner in suspended(task.get_coro())])


def suspended(awaited: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, from the outermost to the innermost."""
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
        if type(awaited).__name__ in _STEPS:
            inner = (one for one in gc.get_referents(awaited) if _is_awaited(one))
            awaited = next(inner, None)
        else:
            awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _is_awaited(one: object) -> bool:
    return isinstance(one, _Coroutine) or type(one).__name__ in _STEPS


def _first(awaited: Any, *names: str) -> Any:
    """Return the first of these attributes that exists. Coroutines and generators have different names for them."""
    return next((value for name in names if (value := getattr(awaited, name, None)) is not None), None)


def _waiting(future: Any) -> Iterator[asyncio.Task[Any]]:
    """Yield the task that waits for *future*, then the task that waits for that one, and so on."""
    for _ in range(_MOST):
        task = _waits_for(future)
        if task is None:
            return
        yield task
        future = task


def _waits_for(future: Any) -> asyncio.Task[Any] | None:
    """Return the task that continues when *future* is done. Between the two there may be others, as by ``gather``."""
    futures = [future]
    for one in futures:  # grows in the loop
        for callback in _callbacks(one):
            owner = getattr(callback, "__self__", None)
            task = owner if isinstance(owner, asyncio.Task) else getattr(owner, "_parent_task", None)
            if task is not None:
                return task
            futures += [other for other in _futures_of(callback) if not any(other is seen for seen in futures)]
        if len(futures) > _MOST:
            break
    return None


def _callbacks(future: Any) -> list[Any]:
    if isinstance(future, concurrent.futures.Future):
        return list(future._done_callbacks)  # type: ignore[attr-defined]  # noqa: SLF001 -- a canary test checks it
    if asyncio.isfuture(future):
        return [callback for callback, _ in getattr(future, "_callbacks", None) or ()]
    return []


def _futures_of(callback: Any) -> Iterator[Any]:
    """Yield the futures that *callback* completes: it has them in its arguments or its closure."""
    if isinstance(callback, partial):
        yield from filter(_is_future, callback.args)
        callback = callback.func
    for cell in getattr(callback, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:  # empty
            continue
        if _is_future(value):
            yield value


def _is_future(value: object) -> bool:
    return isinstance(value, concurrent.futures.Future) or asyncio.isfuture(value)
