"""`obs_middleware.measure.loops`: what it relies on in asyncio, asgiref and uvloop, and a process that is suspended."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Final

import pytest
from watched import LOOPS, PATIENCE, new_loop, run

from obs_middleware.measure.loops import WatchedLoop, _context, context_of
from obs_middleware.platforms import is_runnable, running_seconds, waiting_seconds
from obs_middleware.testing import parse_line

VAR: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("var")

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells it")


def from_outside(look: Callable[[FrameType], Any]) -> Any:
    """Return the result of *look*, called in another thread with the innermost frame of this one."""
    thread_of_loop = threading.get_ident()
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(look(sys._current_frames()[thread_of_loop])))
    thread.start()
    thread.join()
    return results[0]


def _ignore(*_: object) -> None:
    """Do nothing, as a callback with arguments."""


# Canaries: if one of these fails, Python or uvloop has changed, and `loops` must look elsewhere.


@pytest.mark.parametrize("kind", LOOPS)
def test_the_context_of_a_running_task_is_found(kind: str) -> None:
    """Also with callbacks, which have contexts too."""

    async def child() -> None:
        task = asyncio.current_task()
        assert task is not None
        VAR.set("child")
        for name in "ab":
            contextvars.copy_context().run(task.add_done_callback, partial(_ignore, name))
        context = context_of(task)
        assert context is not None
        assert context.get(VAR) == "child"

    async def main() -> None:
        VAR.set("main")
        await asyncio.create_task(child())

    run(main(), kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_the_task_that_runs_is_known_in_other_threads(kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert from_outside(lambda _: asyncio.current_task(loop)) is asyncio.current_task()

    run(main(), kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_the_frames_of_the_loop_itself_are_left_out(kind: str) -> None:
    """Found from a task, and from the loop's first answer."""

    async def main() -> None:
        watched = WatchedLoop(asyncio.get_running_loop())
        depth = watched._depth
        names = [frame.f_code.co_name for frame in from_outside(watched._stack)]
        assert names[:2] == ["wait", "main"]
        watched._ask()
        await asyncio.sleep(0.05)
        assert watched._asked == watched._answered == 1
        assert watched._depth == depth

    run(main(), kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_that_waits_has_no_frames(kind: str) -> None:
    async def main() -> list[Any]:
        watched = WatchedLoop(asyncio.get_running_loop())
        ident = threading.get_ident()

        def look() -> list[Any]:
            for _ in range(PATIENCE * 100):
                if not (frames := watched._stack(sys._current_frames()[ident])):
                    return frames
                threading.Event().wait(0.01)
            return frames

        return await asyncio.to_thread(look)

    assert run(main(), kind) == []


@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_that_is_met_outside_a_task_tells_its_depth_later(kind: str) -> None:
    async def main() -> int | None:
        found: list[WatchedLoop] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: found.append(WatchedLoop(loop)))
        while not found or found[0]._asked != found[0]._answered:  # noqa: ASYNC110 -- the loop itself sets it
            await asyncio.sleep(0)
        return found[0]._depth

    assert run(main(), kind)


def test_the_context_of_a_callback_is_found_in_asyncio() -> None:
    found: list[Any] = []

    def callback() -> None:
        found.append(_context(None, sys._getframe()))

    async def main() -> None:
        VAR.set("main")
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main())

    assert found[0].get(VAR) == "main"


def test_what_is_no_callback_has_no_context() -> None:
    assert _context(None, sys._getframe()) is None


# The end of a watch


def test_a_loop_that_is_closed_is_over() -> None:
    loop = new_loop("asyncio")()

    async def main() -> WatchedLoop:
        watched = WatchedLoop(loop)
        assert watched.is_running()
        return watched

    watched = loop.run_until_complete(main())
    loop.close()

    assert not watched.is_running()
    assert watched.leave() is None


# Processor times


@linux
def test_the_system_tells_whether_a_thread_runs() -> None:
    native = threading.get_native_id()
    before = running_seconds(native)
    assert before is not None
    assert sum(range(1_000_000))
    after = running_seconds(native)
    assert after is not None
    assert after >= before
    assert is_runnable(native)
    assert waiting_seconds() >= 0

    stopped = threading.Event()
    thread = threading.Thread(target=stopped.wait)
    thread.start()
    waiting = threading.Event()
    for _ in range(PATIENCE * 100):
        if not is_runnable(thread.native_id or 0):
            break
        waiting.wait(0.01)
    assert not is_runnable(thread.native_id or 0)
    gone = thread.native_id
    stopped.set()
    thread.join()
    assert gone is not None
    for _ in range(PATIENCE * 100):
        if running_seconds(gone) is None:
            break
        waiting.wait(0.01)
    assert running_seconds(gone) is None
    assert not is_runnable(gone)


# A process that is suspended

SITE: Final = """
import asyncio, sys, time
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from obs_middleware import logging_config

async def view(request):
    end = time.perf_counter() + 4
    print('{"message": "begun"}', flush=True)
    while time.perf_counter() < end:
        work = time.thread_time() + 0.03
        while time.thread_time() < work:
            pass
        await asyncio.sleep(0)
    return HttpResponse()

urlpatterns = [path("", view)]
settings.configure(
    SECRET_KEY="of a test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware"],
    LOGGING=logging_config(),
)
import django
django.setup()
from django.test import AsyncClient
asyncio.run(AsyncClient().get("/"))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no such signal")
def test_a_process_that_was_suspended_blames_nobody(tmp_path: Any) -> None:
    """It is stopped while a task of the loop runs."""
    script = tmp_path / "site_of_test.py"
    script.write_text(SITE)
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    with subprocess.Popen([sys.executable, str(script)], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        waiting = threading.Event()
        for _ in range(3):
            waiting.wait(0.3)
            process.send_signal(signal.SIGSTOP)
            waiting.wait(0.4)
            process.send_signal(signal.SIGCONT)
        lines += process.stdout.readlines()
        assert process.wait(PATIENCE) == 0

    # The first request imports the site, which may take a slow machine some time; that is before "begun".
    after = [parse_line(line) for line in lines[1:]]
    assert [line["message"] for line in after if "Event loop" in line["message"]] == []
    assert "blocked_seconds" not in after[-1]
