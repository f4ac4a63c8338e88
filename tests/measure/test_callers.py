"""
`obs_middleware.measure.callers`: from a thread to the coroutines that wait for it.

These tests are canaries too: the way leads through private attributes of futures, of the pools of threads and of
asgiref. If one fails after an upgrade, look for the new name of the attribute.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from steps import steps

from obs_middleware.measure.callers import _waiting, callers, suspended


class Work:
    """Work for a thread, that begins when the coroutine waits for it."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.awaited = threading.Event()

    def do(self) -> None:
        assert self.awaited.wait(10)
        self.frames = [frame.f_code.co_name for frame, _ in callers(sys._getframe())]

    async def begin(self) -> None:
        """Do the work in a thread. The loop runs the callback only when no coroutine runs, so all of them wait."""
        asyncio.get_running_loop().call_later(0.01, self.awaited.set)
        await sync_to_async(self.do)()


async def plainly(work: Work) -> None:
    await work.begin()


async def in_a_task(work: Work) -> None:
    await asyncio.create_task(work.begin())


async def gathered(work: Work) -> None:
    await asyncio.gather(work.begin(), asyncio.sleep(0))


async def in_a_group(work: Work) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work.begin())


async def with_a_timeout(work: Work) -> None:
    await asyncio.wait_for(work.begin(), 10)


async def waited_for(work: Work) -> None:
    await asyncio.wait([asyncio.create_task(work.begin())])


async def shielded(work: Work) -> None:
    await asyncio.shield(work.begin())


async def nested(work: Work) -> None:
    async def inner() -> None:
        await asyncio.gather(work.begin())

    await asyncio.gather(inner())


async def in_an_iterator(work: Work) -> None:
    async for _ in rows(work):
        pass


async def with_anext(work: Work) -> None:
    await anext(rows(work), None)


async def rows(work: Work) -> AsyncIterator[None]:
    await work.begin()
    yield None


async def in_another_pool(work: Work) -> None:
    asyncio.get_running_loop().call_later(0.01, work.awaited.set)
    await asyncio.to_thread(work.do)


async def by_the_loop(work: Work) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, work.awaited.set)
    with ThreadPoolExecutor(1) as pool:
        await loop.run_in_executor(pool, work.do)


WAYS = [
    plainly,
    in_a_task,
    gathered,
    in_a_group,
    with_a_timeout,
    waited_for,
    shielded,
    nested,
    in_an_iterator,
    with_anext,
    in_another_pool,
    by_the_loop,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_coroutine_is_found(way: Callable[[Work], Awaitable[None]], loop: str) -> None:
    work = Work()

    async def view() -> None:
        await way(work)

    factory = None if loop == "asyncio" else importlib.import_module(loop).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(view())

    assert work.frames[0] == "do"
    assert work.frames.index(way.__name__) < work.frames.index("view")
    assert "rows" in work.frames or way not in {in_an_iterator, with_anext}


def test_the_rest_of_the_thread_follows() -> None:
    """A sync view calls async code, which has its work done in the thread of the view."""
    work = Work()

    def view() -> None:
        async_to_sync(plainly)(work)

    view()

    assert work.frames.index("plainly") < work.frames.index("view")


def test_a_thread_that_nobody_waits_for_has_its_frames() -> None:
    work = Work()
    work.awaited.set()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work.do).result()

    assert work.frames[:2] == ["do", "run"]


def test_futures_that_wait_for_one_another_have_an_end() -> None:
    """Each of these completes the next one, and the last one the first."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        chain: list[asyncio.Future[None]] = [loop.create_future() for _ in range(1000)]

        def completing(other: asyncio.Future[None]) -> Callable[..., object]:
            return lambda _: other.cancel()

        for one, other in zip(chain, [*chain[1:], chain[0]], strict=True):
            one.add_done_callback(completing(other))
        return steps(lambda: list(_waiting(chain[0])))

    assert asyncio.run(main()) < 20_000


def test_a_generator_that_delegates_is_followed() -> None:
    class Waiting:
        def __await__(self) -> Any:
            yield from inner().__await__()

    async def inner() -> None:
        await asyncio.sleep(10)

    async def outer() -> None:
        await Waiting()

    async def main() -> list[str]:
        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        names = [frame.f_code.co_name for frame in suspended(task.get_coro())]
        task.cancel()
        return names

    assert asyncio.run(main()) == ["outer", "__await__", "inner", "sleep"]
