"""Serve a view in an event loop that is watched, and wait for what the watching thread says."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from django.test import AsyncClient, override_settings
from django.urls import path

from obs_middleware.measure.watching import WATCH
from obs_middleware.testing import CapturedRequests

PATIENCE: Final = 20

LOOPS: Final = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
"""The event loops that are installed."""


def new_loop(kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the function that makes an event loop of this *kind*."""
    if kind == "asyncio":
        return asyncio.new_event_loop
    return importlib.import_module("uvloop").new_event_loop  # type: ignore[no-any-return]


def run(main: Awaitable[Any], kind: str = "asyncio") -> Any:
    async def wait() -> Any:
        return await main

    with asyncio.Runner(loop_factory=new_loop(kind)) as runner:
        return runner.run(wait())


def serve(view: Callable[..., Any], kind: str = "asyncio", settings: Mapping[str, Any] | None = None) -> Any:
    """Send a GET to *view* through Django's ASGI handler, with ``OBS_MIDDLEWARE`` as *settings*."""

    class urls:  # noqa: N801 -- used as a module
        urlpatterns = [path("", view, name="view")]  # noqa: RUF012 -- Django's form

    async def visit() -> Any:
        return await AsyncClient(raise_request_exception=False).get("/")

    with override_settings(ROOT_URLCONF=urls, OBS_MIDDLEWARE=dict(settings or {})):
        return run(visit(), kind)


def until(is_so: Callable[[], Any]) -> Any:
    """Wait until *is_so* returns something true, even on a busy machine, and return that."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if answer := is_so():
            return answer
        waiting.wait(0.01)
    raise AssertionError("it never was so")


def blocked(lines: CapturedRequests) -> list[dict[str, Any]]:
    """Return the warnings about blocked event loops."""
    return [log for log in lines.logs if log["message"].startswith("Event loop")]


def block(work: Callable[[], None] = lambda: None) -> None:
    """Block the event loop of this thread until the watching thread has noticed it, and a little longer."""
    watched = WATCH._loops[asyncio.get_running_loop()]
    for _ in range(int(PATIENCE / 0.01)):
        work()
        time.sleep(0.01)
        if watched.hold is not None:
            return
    raise AssertionError("it was not noticed")


def compute(seconds: float) -> None:
    """Use a processor for *seconds*."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
