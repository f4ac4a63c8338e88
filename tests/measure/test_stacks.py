"""`obs_middleware.measure.stacks`: the stack of the thread or task that works on a request."""

from __future__ import annotations

import asyncio
import threading

from steps import steps

from obs_middleware.measure.stacks import Stack, find_stacks


class Request:
    pass


def names(stack: Stack) -> list[str]:
    return [frame.f_code.co_name for frame, _ in stack]


async def wait(request: Request, event: asyncio.Event) -> None:
    await event.wait()


async def with_tasks(number: int) -> int:
    """Return the steps of a search for *number* requests, each of which has a task."""
    requests = [Request() for _ in range(number)]
    event = asyncio.Event()
    tasks = [asyncio.create_task(wait(request, event)) for request in requests]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    found = {}
    count = steps(lambda: found.update(find_stacks(requests, [loop])))
    event.set()
    await asyncio.gather(*tasks)
    assert set(found) == {id(request) for request in requests}
    return count


def test_many_requests_cost_one_look_at_each_frame() -> None:
    few, many = asyncio.run(with_tasks(200)), asyncio.run(with_tasks(400))

    assert many < 2.6 * few


def test_a_thread_comes_before_a_task() -> None:
    request = Request()
    begun, done = threading.Event(), threading.Event()

    def work(request: Request) -> None:
        begun.set()
        done.wait()

    async def main() -> list[str]:
        event = asyncio.Event()
        task = asyncio.create_task(wait(request, event))
        await asyncio.sleep(0)
        thread = threading.Thread(target=work, args=(request,))
        thread.start()
        begun.wait()
        found = find_stacks([request], [asyncio.get_running_loop()])
        done.set()
        thread.join()
        event.set()
        await task
        return names(found[id(request)])

    assert "work" in asyncio.run(main())


def test_a_request_that_nobody_works_on_has_no_stack() -> None:
    requests = [Request()]

    assert find_stacks(requests, []) == {}
