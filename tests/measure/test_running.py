"""`obs_middleware.measure.running`: requests in flight, and the watchdog for late ones."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from conftest import Get, Site, respond
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.urls import resolve

from obs_middleware import in_flight, stats

# From Python 3.12 on, a fork of a process with threads is a warning. These tests need it.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SOON = 0.05
PATIENCE = 20


def test_a_request_is_in_flight_while_it_runs(get: Get, site: Site) -> None:
    seen: list[Any] = []

    def view(request: HttpRequest, number: int) -> HttpResponse:
        seen.extend(in_flight())
        return HttpResponse()

    site.get(view, "/7/", route="<int:number>/")

    (running,) = seen
    assert (running.method, running.path, running.route) == ("GET", "/7/", "<int:number>/")
    assert len(running.request_id) == 32
    assert 0 < running.age_seconds < PATIENCE
    assert in_flight() == []


def test_a_stream_is_in_flight_until_its_body_is_over() -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"x"]))

    request = RequestFactory().get("/shop/item/7/")
    request.resolver_match = resolve(request.path)
    response = respond(view, request)
    del request  # the line is not delayed by a reference of ours to the request
    assert [(running.path, running.route) for running in in_flight()] == [("/shop/item/7/", "shop/item/<int:number>/")]
    list(response.streaming_content)

    assert in_flight() == []


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_a_request_that_fails_is_not_in_flight_any_more(error: type[BaseException]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(error):
        respond(view, RequestFactory().get("/"))

    assert in_flight() == []


def test_the_oldest_request_comes_first() -> None:
    seen: list[str | None] = []

    def inner(request: HttpRequest) -> HttpResponse:
        seen.extend(running.path for running in in_flight())
        return HttpResponse()

    def outer(request: HttpRequest) -> Any:
        return respond(inner, RequestFactory().get("/inner/"))

    respond(outer, RequestFactory().get("/outer/"))

    assert seen == ["/outer/", "/inner/"]


@forking
def test_a_child_process_has_no_requests_of_its_parent() -> None:
    reading, writing = os.pipe()

    def view(request: HttpRequest) -> HttpResponse:
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, f"{len(in_flight())} {stats()['requests']}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return HttpResponse()

    respond(view, RequestFactory().get("/"))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "0 0"
