"""
Budgets for the cost of a request, in counts. No test here reads a clock, so a busy machine does not matter.

If a test exceeds its budget, the request path has grown: make the change cheaper, or explain in the commit why it is
worth the cost. Lower a budget that has become generous. `make bench` measures the same in time.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from importlib import metadata
from typing import Final

import django
import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse

from benchmarks.counting import Calls, Peak
from benchmarks.processes import workers
from obs_middleware.decorators import exclude, sample
from obs_middleware.measure.policy import rule_of
from obs_middleware.testing import parse_line

_NEWER: Final = 6 if sys.version_info >= (3, 12) else 0
"""More calls in Python's own logging, where filters can replace records and each record has its task name."""

_FRAMES: Final = 40 if metadata.version("structlog") < "24.2" else 0
"""structlog 24.1 looks for the frame of the caller with an expression that makes five calls a frame."""

_ENTERED: Final = 1 if sys.version_info >= (3, 14) else 0
"""Python tells a profiler of the `__enter__` of a lock, and not only of its `__exit__`, as before."""

CALLS: Final = {
    # The async chain asks which event loop runs, so that a new one is watched.
    ("async chain", "ours"): 100 + _NEWER,
    ("async chain", "ours-std"): 106 + _NEWER,
    ("async chain", "ours-excluded"): 23 + _ENTERED,
    ("async chain", "ours-sampled"): 26 + _ENTERED,
    ("sync chain", "ours"): 99 + _NEWER,
    ("sync chain", "ours-std"): 105 + _NEWER,
    ("sync chain", "ours-excluded"): 22 + _ENTERED,
    ("sync chain", "ours-sampled"): 25 + _ENTERED,
    # asgiref restores a context variable by variable, and Django 6.1 does so once more than Django 5.2.
    ("ASGI handler", "ours"): 119 + (17 if django.VERSION >= (6, 1) else 0) + _ENTERED,
    ("WSGI handler", "ours"): 110 + _NEWER,
    # A plan looks at the type of each value.
    ("sync chain", "ours-ecs"): 107 + _NEWER,
    ("sync chain", "ours-processor"): 115 + _NEWER,
    ("line with extra", "ours"): 78 + _NEWER,
    ("structlog line", "ours"): 93 + _NEWER + _FRAMES,
    ("further line", "ours"): 73 + _NEWER,
    ("further line", "ours-std"): 74 + _NEWER,
    # Five to measure it, six to count its statement.
    ("query", "ours"): 11,
}
"""Calls of Python and C functions that the middleware adds to a request, a line or a query."""

PEAK_BYTES: Final = {
    # `request.request_id` makes the dict of a bare request grow: 480 bytes, which the usual middleware would cause too.
    ("async chain", "ours"): 7_500,
    ("async chain", "ours-std"): 4_400,
    ("async chain", "ours-excluded"): 2_000,
    ("sync chain", "ours"): 7_700,
    ("sync chain", "ours-std"): 4_500,
    ("sync chain", "ours-excluded"): 2_100,
    ("sync chain", "ours-ecs"): 7_500,
    ("sync chain", "ours-processor"): 8_500,
    ("line with extra", "ours"): 6_400,
    ("structlog line", "ours"): 6_700,
    ("further line", "ours"): 5_900,
}
"""Bytes allocated at one time that the middleware adds. Now and then a process needs 64 more than others."""

KEPT_BLOCKS: Final = 50
"""Memory blocks that 2,000 requests may leave behind in total."""

REQUESTS: Final = 20


@functools.cache
def added(driver: str) -> dict[str, dict[str, float]]:
    """Return what each row adds to ``nothing``. Each row is counted in another process."""
    rows = ["nothing", *sorted({row for driver_of_row, row in CALLS if driver_of_row == driver})]
    with workers(rows, driver, "watched", "count") as running:
        counted = {worker.row: worker.ask("count", REQUESTS) for worker in running}
    nothing = counted.pop("nothing")
    return {row: {name: counts[name] - nothing[name] for name in counts} for row, counts in counted.items()}


def ids(key: tuple[str, str]) -> str:
    return " ".join(key)


@pytest.mark.parametrize("key", CALLS, ids=ids)
def test_calls_stay_within_the_budget(key: tuple[str, str]) -> None:
    driver, row = key

    assert added(driver)[row]["calls"] <= CALLS[key]


@pytest.mark.parametrize("key", PEAK_BYTES, ids=ids)
def test_allocations_stay_within_the_budget(key: tuple[str, str]) -> None:
    driver, row = key

    assert added(driver)[row]["peak_bytes"] <= PEAK_BYTES[key]


@pytest.mark.parametrize("driver", ["async chain", "sync chain", "ASGI handler", "WSGI handler"])
def test_there_is_no_thread_hop_and_no_query(driver: str) -> None:
    for counts in added(driver).values():
        assert (counts["hops"], counts["queries"]) == (0, 0)


@pytest.mark.parametrize("row", ["ours", "ours-excluded"])
def test_no_memory_is_kept(row: str) -> None:
    """All requests are different, so a cache by path, id, address or browser would grow."""
    with workers([row], "varied requests", "watched", "time") as (worker,):
        worker.ask("memory", 2_000)
        before, after = (worker.ask("memory", 2_000)["blocks"] for _ in range(2))

    assert after - before <= KEPT_BLOCKS


def test_the_marks_of_a_view_are_merged_once() -> None:
    """Otherwise this would cost as much as the rest of an excluded request."""

    @exclude
    @sample(0.5)
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    rule_of(view)
    calls = Calls()
    for _ in range(3):
        calls.start()
        rule_of(view)
        calls.stop()

    # rule_of, its access to the view and its access to the cache; the other two are calls of the meter.
    assert calls.medians()["calls"] <= 5


def test_the_counted_line_has_all_the_usual_fields() -> None:
    """A budget for a smaller line would be easy to meet."""
    with workers(["ours", "ours-std"], "sync chain", "watched", "count") as running:
        lines = [worker.ask("lines") for worker in running]

    for (line,) in lines:
        assert {"request_id", "route", "view", "status", "client_ip", "db_queries", "response_bytes"} <= set(
            parse_line(line)
        )
        assert len(parse_line(line)) >= 14


# The meters


def test_calls_of_python_and_of_c_are_counted() -> None:
    def two() -> int:
        return abs(-1)

    calls = Calls()
    for _ in range(3):
        calls.start()
        two()
        calls.stop()

    # The function and abs; the other two are calls of the meter: stop() and sys.setprofile().
    assert calls.medians() == {"calls": 4, "hops": 0, "queries": 0}


def test_thread_hops_are_counted() -> None:
    async def hop() -> None:
        calls.start()
        await asyncio.to_thread(abs, -1)
        calls.stop()

    calls = Calls()
    asyncio.run(hop())

    assert calls.medians()["hops"] == 1


@pytest.mark.django_db
def test_queries_are_counted() -> None:
    calls = Calls()
    with connection.cursor() as cursor:
        calls.start()
        cursor.execute("CREATE TEMPORARY TABLE budget (number INTEGER)")
        cursor.executemany("INSERT INTO budget VALUES (%s)", [(1,), (2,)])
        calls.stop()

    assert calls.medians()["queries"] == 2


def test_the_peak_counts_bytes_at_one_time() -> None:
    peak = Peak()
    peak.start()
    for _ in range(10):
        bytes(100_000)
    peak.stop()

    assert 100_000 <= peak.medians()["peak_bytes"] < 200_000
