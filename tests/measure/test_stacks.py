"""`obs_middleware.measure.stacks`: the stack of the thread or task that works on a request."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest
from asgiref.sync import sync_to_async
from paths import ROOT
from steps import steps

from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.stacks import Stack, find_stacks
from obs_middleware.testing import parse_line


class Request:
    pass


def names(stack: Stack) -> list[str]:
    return [frame.f_code.co_name for frame, _ in stack]


async def wait(event: Event, ready: asyncio.Event) -> None:
    current_event.set(event)
    await ready.wait()


async def with_tasks(number: int, others: int = 0) -> int:
    """Return the steps of a search for *number* requests, each of which has a task, among *others*."""
    events = [Event(0.0, "id") for _ in range(number + others)]
    ready = asyncio.Event()
    tasks = [asyncio.create_task(wait(event, ready)) for event in events]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    wanted = dict.fromkeys(events[:number])
    found = {}
    count = steps(lambda: found.update(find_stacks(wanted, [loop])))
    ready.set()
    await asyncio.gather(*tasks)
    assert set(found) == set(wanted)
    return count


def test_many_requests_cost_one_look_at_each_frame() -> None:
    few, many = asyncio.run(with_tasks(200)), asyncio.run(with_tasks(400))

    assert many < 2.6 * few


def test_tasks_of_other_requests_cost_little() -> None:
    """Only their contexts are looked at, not their frames. The process has no threads and tasks of other tests."""
    program = "import asyncio, test_stacks as t; print(*(asyncio.run(t.with_tasks(50, more)) for more in (0, 450)))"
    paths = os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests", ROOT)))
    output = subprocess.check_output(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, text=True
    )
    alone, among = map(int, output.split())

    assert among < 5 * alone


def test_a_thread_comes_before_a_task() -> None:
    request, event = Request(), Event(0.0, "id")
    begun, done = threading.Event(), threading.Event()

    def work(request: Request) -> None:
        begun.set()
        done.wait()

    async def main() -> list[str]:
        ready = asyncio.Event()
        task = asyncio.create_task(wait(event, ready))
        await asyncio.sleep(0)
        thread = threading.Thread(target=work, args=(request,))
        thread.start()
        begun.wait()
        found = find_stacks({event: request}, [asyncio.get_running_loop()])
        done.set()
        thread.join()
        ready.set()
        await task
        return names(found[event])

    assert "work" in asyncio.run(main())


def test_a_thread_that_works_for_a_task_is_found_by_the_task() -> None:
    """The thread itself has neither the request nor its event."""
    event = Event(0.0, "id")
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        done.wait()

    async def view(event: Event) -> None:
        await sync_to_async(work, thread_sensitive=False)()

    async def main() -> list[str]:
        task = asyncio.create_task(view(event))
        await asyncio.to_thread(begun.wait)
        found = find_stacks({event: None}, [asyncio.get_running_loop()])
        done.set()
        await task
        return [name for name in names(found[event]) if name in {"view", "work"}]

    assert asyncio.run(main()) == ["view", "work"]


def test_a_task_without_the_event_in_its_frames_is_not_a_stack_of_it() -> None:
    """A child task of the request, of which there may be many, comes after the request's own."""
    event = Event(0.0, "id")

    async def child(ready: asyncio.Event) -> None:
        await ready.wait()

    async def main() -> dict[Event, Stack]:
        ready = asyncio.Event()
        context = contextvars.copy_context()
        context.run(current_event.set, event)
        task = asyncio.create_task(child(ready), context=context)
        await asyncio.sleep(0)
        found = find_stacks({event: None}, [asyncio.get_running_loop()])
        ready.set()
        await task
        return found

    assert asyncio.run(main()) == {}


def test_a_request_that_nobody_works_on_has_no_stack() -> None:
    events = {Event(0.0, "id"): Request()}
    hidden = [events]
    del events

    assert find_stacks(hidden[0], []) == {}


UNDER_GEVENT: Final = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from obs_middleware import logging_config, threads

wait = gevent.sleep if sys.argv[1] == "waits" else threads.original("time", "sleep")

def working(request):
    wait(1)
    return HttpResponse()

def other(request):
    gevent.sleep(1)
    return HttpResponse()

urlpatterns = [path("working/", working), path("other/", other)]
settings.configure(
    SECRET_KEY="of a test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware"],
    OBS_MIDDLEWARE={"WATCHDOG_SECONDS": 0.2},
    LOGGING=logging_config(),
)
import django
django.setup()
gevent.joinall([gevent.spawn(Client().get, f"/{name}/") for name in ("other", "working")])
"""


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("kind", ["waits", "blocks the process"])
def test_the_stack_of_a_greenlet_is_found(kind: str, tmp_path: Path) -> None:
    """It is not the stack of the watchdog, which has the request as a local variable too."""
    script = tmp_path / "site_of_test.py"
    script.write_text(UNDER_GEVENT)
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    result = subprocess.run(
        [sys.executable, str(script), kind], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    lines = [parse_line(line) for line in result.stdout.splitlines()]
    stacks = {line["path"]: line["stack_info"] for line in lines if line["message"].startswith("Request still running")}

    assert set(stacks) == {"/other/", "/working/"}
    for name in ("other", "working"):
        assert f"in {name}" in stacks[f"/{name}/"]
        assert "_stacks" not in stacks[f"/{name}/"]
