"""`obs_middleware.threads`: threads and locks of the operating system, whatever gevent has done to those of Python."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from typing import Any, Final

import pytest
from queued import PATIENCE

from obs_middleware import threads
from obs_middleware.measure.event import Event, current_event


def test_a_thread_does_not_inherit_the_context_of_its_starter() -> None:
    seen: list[Any] = []
    done = threading.Event()

    def work() -> None:
        seen.append((current_event.get(), threads.ident(), threading.current_thread().name))
        done.set()

    current_event.set(Event(0.0, "id", "GET", "/"))
    threads.start(work, "a name")
    assert done.wait(PATIENCE)

    ((event, ident, name),) = seen
    assert (event, name) == (None, "a name")
    assert ident != threads.ident() == threading.get_ident()


def test_a_condition_wakes_all_that_wait_and_gives_the_lock_back() -> None:
    lock = threads.RLock()
    condition = threads.Condition(lock)
    waiting, woken = threading.Semaphore(0), []

    def work() -> None:
        with lock, lock:  # held twice, as in a signal handler
            waiting.release()
            condition.wait(PATIENCE)
            woken.append(threads.ident())

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for _ in workers:
        assert waiting.acquire(timeout=PATIENCE)
    with lock:  # free only when the last one waits
        assert woken == []
        condition.notify_all()
    for worker in workers:
        worker.join(PATIENCE)

    assert len(set(woken)) == 3


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.001])
def test_a_condition_is_waited_for_no_longer_than_asked(seconds: float) -> None:
    lock = threads.RLock()
    condition = threads.Condition(lock)
    with lock:
        condition.wait(seconds)
        condition.notify_all()

    assert condition._waiters == []


UNDER_GEVENT: Final = """
import os, sys
{before}
from gevent import monkey
monkey.patch_all()
import gevent, threading, time
from obs_middleware import threads

assert threads.original("time", "sleep") is not time.sleep
reading, writing = os.pipe()
lock = threads.RLock()
condition = threads.Condition(lock)
main = threads.ident()
seen = []

def work():
    os.read(reading, 1)  # in the system: a greenlet would stop the process here
    with lock:
        seen.append(threads.ident())
        condition.notify_all()

threads.start(work, "a name")
gevent.spawn(os.write, writing, b".")
gevent.sleep(0)
with lock:
    while not seen:
        condition.wait(20)
assert seen[0] != main
"""


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("before", ["", "from obs_middleware import threads"], ids=["patched first", "imported first"])
def test_under_gevent_a_thread_is_one_of_the_operating_system(before: str) -> None:
    # gevent looks at all objects of a process, and so evaluates the settings of Django.
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "django.conf.global_settings"}
    subprocess.run([sys.executable, "-c", UNDER_GEVENT.format(before=before)], env=env, timeout=PATIENCE, check=True)
