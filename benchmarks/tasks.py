"""
The cost of a task of Celery that does nothing, with and without this package, and of what goes along with its message.

A worker and its sender share this process and its broker in memory, so the time of the processor counts both. Without
this package Celery writes two lines of text for each task, "received" and "succeeded".
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import threading
import time
from typing import Any, Final

from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.http import HttpRequest

from benchmarks.rows import ROWS
from benchmarks.site import put_in_force
from benchmarks.stages import BATCH, best_of
from obs_middleware import bind
from obs_middleware.middleware import TimingMiddleware

__all__ = ["main"]

TASKS: Final = 300
"""How many tasks one round sends and does."""

ROUNDS: Final = 6


def _time_task() -> float:
    """Return the microseconds of the processor that it takes to send and do one task, in the best round."""
    app = Celery("benchmark", broker="memory://", fixups=set(), set_as_current=False)
    app.conf.worker_hijack_root_logger = False
    is_over = threading.Event()
    left = 0

    def nothing() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            is_over.set()

    task: Any = app.task(name="nothing")(nothing)
    app.finalize()
    least = float("inf")
    with start_worker(app, perform_ping_check=False, loglevel="INFO"):
        for _ in range(ROUNDS):
            left = TASKS
            is_over.clear()
            started = time.process_time()
            for _ in range(TASKS):
                task.delay()
            assert is_over.wait(60)
            least = min(least, (time.process_time() - started) / TASKS)
    return least * 1e6


def _time_message(batches: int) -> float:
    """Return the microseconds that it adds to a message in a request with three bound fields."""
    from obs_middleware.work.celery.messages import add_carrier  # noqa: PLC0415 -- not in the other variant

    times: list[float] = []

    def view(_: HttpRequest) -> None:
        bind(tenant="acme", order=7, is_test=False)
        fresh = functools.partial(best_of, batches, lambda: [{"id": "t-1"} for _ in range(BATCH)])
        times.append(fresh(lambda headers: add_carrier(headers=headers)))

    TimingMiddleware(view)(HttpRequest())
    return times[0]


def main(variant: str, file: str, batches: str = "200") -> None:
    """Print the microseconds of *variant*, ``celery`` or ``ours``, as JSON."""
    result = {}
    if variant == "ours":
        put_in_force(ROWS["ours"], "sync", file, "watched")
        result["message"] = _time_message(int(batches))
    else:
        text = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"  # of Celery
        logging.basicConfig(filename=file, level=logging.INFO, format=text)
    result["task"] = _time_task()
    print(json.dumps(result), flush=True)
    os._exit(0)  # the broker in memory leaves threads behind


if __name__ == "__main__":
    main(*sys.argv[1:])
