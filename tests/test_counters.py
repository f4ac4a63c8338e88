"""`obs_middleware.counters`: every request that is over is in exactly one count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import respond
from counts import changes, counts
from django.http import HttpResponse
from django.test import RequestFactory

from obs_middleware import counters, stats
from obs_middleware.counters import SinkFigures, register_sink


@pytest.fixture(name="sinks")
def _sinks() -> Iterator[tuple[SinkFigures, SinkFigures]]:
    """Two sinks that each have a copy of every line."""
    sinks = register_sink(), register_sink()
    yield sinks
    for sink in sinks:
        counters._sinks.remove(sink)


def test_a_dropped_request_is_not_written_too(sinks: tuple[SinkFigures, SinkFigures]) -> None:
    before = counts()
    respond(lambda _: HttpResponse(), RequestFactory().get("/"))

    sinks[0].dropped_requests = 1

    assert changes(before) == {"requests": 1, "dropped": 1}


def test_a_request_that_two_sinks_drop_is_dropped_once_at_most(sinks: tuple[SinkFigures, SinkFigures]) -> None:
    """More copies of lines may be dropped than there were requests; no count is negative, and the sum holds."""
    respond(lambda _: HttpResponse(), RequestFactory().get("/"))
    before = counts()
    for sink in sinks:
        sink.dropped_requests = before["written"] + before["dropped"] + 1

    now = stats()

    assert now["dropped"] == before["written"] + before["dropped"]
    assert now["written"] == 0
    assert now["requests"] == before["requests"]
