"""
Carry the request into all threads: the setting ``THREADS``. `obs_middleware.carry` does it for one function.

Work. Only the event is carried, and not a copy of the whole context, as `asyncio.to_thread` makes it. That would change
what the site does: ``sync_to_async`` in a thread with an event loop of its own would wait for the thread of the request
that waits for it, and raise when the request is over.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import functools
import threading
from collections.abc import Callable
from types import MethodType
from typing import Any, Final

from asgiref.sync import SyncToAsync

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.context import run_inside
from obs_middleware.measure.event import current_event
from obs_middleware.work.patching import Patches

__all__ = ["install", "prepare", "uninstall"]


def prepare() -> None:
    """Follow the setting ``THREADS`` from now on. Called when the app is ready."""
    keep_configured(_follower, lenient=True)


class _Follower:
    def configure(self, settings: Settings) -> None:
        if settings.threads:
            install()
        else:
            uninstall()


_follower: Final = _Follower()
_patches: Final = Patches()

_MAPS: Final = ("apply_async", "map", "map_async", "starmap", "starmap_async", "imap", "imap_unordered")


def install() -> None:
    """Carry the event into all threads that are started, and into all functions that pools of threads get."""
    _patches.replace(threading.Thread, "start", _start)
    _patches.replace(concurrent.futures.ThreadPoolExecutor, "submit", _submit)
    from multiprocessing.pool import ThreadPool  # noqa: PLC0415 -- few processes need it

    for name in _MAPS:
        _patches.replace(ThreadPool, name, _map)


def uninstall() -> None:
    """Carry nothing from now on."""
    _patches.undo()


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        # Also if there is no event: under gevent, and in a free-threaded Python, a thread has the context of its start.
        if not _brings_context(fn) and not _is_of_interpreters(self):
            fn = functools.partial(run_inside, current_event.get(), fn)
        return original(self, fn, *args, **kwargs)

    return submit


def _brings_context(function: Any) -> bool:
    """Return whether *function* enters a context of its own: that of `asyncio.to_thread` or ``sync_to_async``."""
    if type(function) is not functools.partial:
        return False
    return isinstance(getattr(function.func, "__self__", None), (contextvars.Context, SyncToAsync))


def _is_of_interpreters(executor: Any) -> bool:
    """Return whether *executor* runs functions in other interpreters, which cannot get an event (Python 3.14)."""
    return any(cls.__module__ == "concurrent.futures.interpreter" for cls in type(executor).__mro__)


def _map(original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return original(self, functools.partial(run_inside, current_event.get(), func), *args, **kwargs)

    return method


_SERVING: Final = (
    "concurrent.futures.",
    "multiprocessing.",
    "anyio.",
    "opentelemetry.",
    "psycopg_pool.",
    "sentry_sdk.",
    "twisted.",
)
"""Packages that start a thread in one request and use it for all. Some of what it runs brings an event along."""


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: threading.Thread) -> None:
        event = current_event.get()
        if event is None:
            original(self)
            return
        if _serves_many(self):
            run_inside(None, original, self)  # the thread may copy this context
            return
        run = self.run

        def carried(thread: threading.Thread) -> None:
            thread.__dict__.pop("run", None)  # it refers to the thread
            current_event.set(event)
            run()

        try:
            # A method, because Sentry takes the function of it and passes the thread.
            self.run = MethodType(carried, self)  # type: ignore[method-assign]  # of this one thread
        except BaseException as error:  # noqa: BLE001 -- a subclass may refuse attributes
            report_once("THREADS", error)
            original(self)
            return
        try:
            original(self)
        except BaseException:
            self.run = run  # type: ignore[method-assign]  # as above
            raise

    return start


def _serves_many(thread: threading.Thread) -> bool:
    """Return whether *thread* goes on to serve others, and would keep the request that happened to start it."""
    code = getattr(thread, "_target", None) or type(thread).run
    return f"{getattr(code, '__module__', '')}.".startswith(_SERVING)
