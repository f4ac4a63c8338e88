"""`obs_middleware.measure.stacks`: the stack of the thread or task that works on a request."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest
from steps import steps

from obs_middleware.measure.stacks import Stack, find_stacks
from obs_middleware.testing import parse_line


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
