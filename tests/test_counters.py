"""`obs_middleware.counters`: every request that is over is in exactly one count."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator

import pytest
from conftest import respond
from counts import changes, counts
from django.http import HttpResponse
from django.test import RequestFactory

from obs_middleware import counters, stats
from obs_middleware.counters import SinkFigures, register_sink


class Sink:
    """The owner of counts."""

    def __init__(self) -> None:
        self.figures = register_sink(self)


@pytest.fixture(name="sinks")
def _sinks() -> Iterator[tuple[SinkFigures, SinkFigures]]:
    """The counts of two sinks that each have a copy of every line."""
    one, two = Sink(), Sink()
    yield one.figures, two.figures
    for sink in (one, two):
        sink.figures.clear()


def test_a_dropped_request_is_not_written_too(sinks: tuple[SinkFigures, SinkFigures]) -> None:
    before = counts()
    respond(lambda _: HttpResponse(), RequestFactory().get("/"))

    sinks[0].dropped_units = 1

    assert changes(before) == {"requests": 1, "dropped": 1}


def test_a_request_that_two_sinks_drop_is_dropped_once_at_most(sinks: tuple[SinkFigures, SinkFigures]) -> None:
    """More copies of lines may be dropped than there were requests; no count is negative, and the sum holds."""
    respond(lambda _: HttpResponse(), RequestFactory().get("/"))
    before = counts()
    for sink in sinks:
        sink.dropped_units = before["written"] + before["dropped"] + 1

    now = stats()

    assert now["dropped"] == before["written"] + before["dropped"]
    assert now["written"] == 0
    assert now["requests"] == before["requests"]


def test_every_request_is_counted_by_the_fate_of_its_line() -> None:
    before = counts()
    for _ in range(3):
        respond(lambda request: HttpResponse(), RequestFactory().get("/"))

    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ValueError

    broken = Raising()
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addFilter(broken)
    respond(lambda request: HttpResponse(), RequestFactory().get("/"))
    root.removeFilter(broken)

    assert changes(before) == {"requests": 4, "written": 3, "failed": 1}


def test_no_count_is_lost_between_threads() -> None:
    def work() -> None:
        for _ in range(2000):
            with counters.LOCK:
                counters.COUNTS["written"] += 1

    before = stats()["written"]
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert stats()["written"] - before == 8000


def test_the_counts_of_sinks_that_exist_no_more_are_one_total() -> None:
    """A test suite or a reload may configure logging thousands of times in one process."""
    before, alive = stats()["sink_written"], len(counters._sinks)
    for _ in range(1000):
        Sink().figures.written += 1
    gc.collect()
    kept = Sink()

    assert stats()["sink_written"] - before == 1000
    assert len(counters._sinks) <= alive + 1
    assert kept.figures.written == 0
