"""
What a request may cost, in counts: nothing here looks at a clock, so it holds on a busy machine as on an idle one.

A budget that is exceeded says that the request path has grown: either the change is to cost less, or its commit says
why it is worth that. A budget that has become generous is to be lowered. `make bench` has the same in time.
"""

from __future__ import annotations

import asyncio
import functools
import sys
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
"""More calls inside Python's own logging, which lets filters replace records and notes the task of each."""

CALLS: Final = {
    ("async chain", "ours"): 97 + _NEWER,
    ("async chain", "ours-std"): 102 + _NEWER,
    ("async chain", "ours-excluded"): 22,
    ("async chain", "ours-sampled"): 25,
    ("sync chain", "ours"): 97 + _NEWER,
    ("sync chain", "ours-std"): 102 + _NEWER,
    ("sync chain", "ours-excluded"): 22,
    ("sync chain", "ours-sampled"): 25,
    # asgiref puts contexts back variable by variable, and Django 6.1 does so once more than Django 5.2.
    ("ASGI handler", "ours"): 118 + (14 if django.VERSION >= (6, 1) else 0),
    ("WSGI handler", "ours"): 108 + _NEWER,
    ("further line", "ours"): 72 + _NEWER,
    ("further line", "ours-std"): 76 + _NEWER,
    ("query", "ours"): 5,
}
"""Calls of Python and of C functions, more than without the middleware: a request's, a line's, a query's."""

PEAK_BYTES: Final = {
    ("async chain", "ours"): 7_500,
    ("async chain", "ours-std"): 5_500,
    ("async chain", "ours-excluded"): 1_500,
    ("sync chain", "ours"): 7_500,
    ("sync chain", "ours-std"): 5_500,
    ("sync chain", "ours-excluded"): 1_500,
    ("further line", "ours"): 6_500,
}
"""Bytes that are allocated at one time while it lasts, more than without the middleware."""

KEPT_BLOCKS: Final = 50
"""Memory blocks that 2,000 requests may leave behind together."""

REQUESTS: Final = 20


@functools.cache
def added(driver: str) -> dict[str, dict[str, float]]:
    """Return what each row adds to ``nothing``, counted in processes of their own."""
    rows = ["nothing", *sorted({row for driver_of_row, row in CALLS if driver_of_row == driver})]
    with workers(rows, driver, "watched", "count") as running:
        counted = {worker.row: worker.ask("count", REQUESTS) for worker in running}
    nothing = counted.pop("nothing")
    return {row: {name: counts[name] - nothing[name] for name in counts} for row, counts in counted.items()}


def ids(key: tuple[str, str]) -> str:
    return " ".join(key)


@pytest.mark.parametrize("key", CALLS, ids=ids)
def test_it_calls_no_more_than_its_budget(key: tuple[str, str]) -> None:
    driver, row = key

    assert added(driver)[row]["calls"] <= CALLS[key]


@pytest.mark.parametrize("key", PEAK_BYTES, ids=ids)
def test_it_allocates_no_more_than_its_budget(key: tuple[str, str]) -> None:
    driver, row = key

    assert added(driver)[row]["peak_bytes"] <= PEAK_BYTES[key]


@pytest.mark.parametrize("driver", ["async chain", "sync chain", "ASGI handler", "WSGI handler"])
def test_it_changes_no_thread_and_makes_no_query(driver: str) -> None:
    for counts in added(driver).values():
        assert (counts["hops"], counts["queries"]) == (0, 0)


@pytest.mark.parametrize("row", ["ours", "ours-excluded"])
def test_it_keeps_nothing(row: str) -> None:
    """No two of the requests are alike, so a cache by path, id, address or browser would grow."""
    with workers([row], "varied requests", "watched", "time") as (worker,):
        worker.ask("memory", 2_000)
        before, after = (worker.ask("memory", 2_000)["blocks"] for _ in range(2))

    assert after - before <= KEPT_BLOCKS


def test_what_the_marks_of_a_view_say_is_put_together_once() -> None:
    """Else it would cost as much as all else that is done for an excluded request."""

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

    # rule_of, its look at the view and the look into what is known; and two of the meter's own.
    assert calls.medians()["calls"] <= 5


def test_the_line_that_is_counted_has_what_a_site_wants() -> None:
    """A budget for less than this would be easy to hold."""
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

    # One of the function, one of abs, and two of the meter's own: stop, and what it ends the profile with.
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


def test_the_peak_is_that_of_one_time() -> None:
    peak = Peak()
    peak.start()
    for _ in range(10):
        bytes(100_000)
    peak.stop()

    assert 100_000 <= peak.medians()["peak_bytes"] < 200_000
