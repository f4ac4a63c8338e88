"""
Threads and locks of the operating system, also where gevent has replaced those of Python.

A leaf that every wing uses. Under gevent, ``threading.Thread`` starts a greenlet. While a greenlet waits in a system
call, for example for a reader of a full pipe, all requests of the process wait too.
"""

from __future__ import annotations

import contextvars
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Condition", "RLock", "ident", "original", "start"]


def original(module: str, name: str) -> Any:
    """Return what Python itself has under *name* in *module*, even if gevent has replaced it."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(importlib.import_module(module), name) if monkey is None else monkey.get_original(module, name)


def RLock() -> Any:  # noqa: N802 -- its name in Python
    """Return a reentrant lock between threads. Greenlets of one thread hold it together, so do not switch inside."""
    return original("_thread", "RLock")()


def ident() -> int:
    """Return the id of the current thread."""
    current: int = original("_thread", "get_ident")()
    return current


def start(target: Callable[[], None], name: str) -> None:
    """
    Start a daemon thread, in an empty context: it must not inherit the one of the request that starts it.

    Raises:
        RuntimeError: The interpreter is shutting down, or is a sub-interpreter that has no such threads.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        original("_thread", "start_new_thread")(target, ())
    else:
        contextvars.Context().run(threading.Thread(target=target, name=name, daemon=True).start)


class Condition:
    """
    A condition variable like ``threading.Condition``, whose waiting threads wait in the operating system.

    Args:
        lock: An `RLock`, which callers hold.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._new_waiter = original("_thread", "allocate_lock")
        self._waiters: list[Any] = []

    def wait(self, seconds: float | None = None) -> None:
        """Release the lock until `notify_all`, *seconds* at most."""
        waiter = self._new_waiter()
        waiter.acquire()
        self._waiters.append(waiter)
        held = self._lock._release_save()  # noqa: SLF001 -- as threading.Condition does: however often it is held
        try:
            waiter.acquire(True, -1 if seconds is None else max(0.0, seconds))
        finally:
            self._lock._acquire_restore(held)  # noqa: SLF001 -- as above
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def notify_all(self) -> None:
        """Wake all that wait."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.release()
