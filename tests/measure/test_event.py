"""`obs_middleware.measure.event`: one object for each request, which keeps nothing alive."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from conftest import respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from obs_middleware.measure.event import Event, event_of
from obs_middleware.testing import CapturedRequests


def test_a_line_is_built_once_without_later_bindings() -> None:
    event = Event(0.0, "id", "GET", "/")
    event.say().bound["a"] = 1
    line = event.line()
    event.say().bound["b"] = 2

    assert event.line() is line
    assert "b" not in line


def test_fields_that_many_threads_add_first_are_all_kept() -> None:
    for _ in range(50):
        event = Event(0.0, "id", "GET", "/")
        together = threading.Barrier(8)

        def say(number: int, event: Event = event, together: threading.Barrier = together) -> None:
            together.wait(20)
            event.say().bound[f"key{number}"] = number

        threads = [threading.Thread(target=say, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(event.say().bound) == 8


@pytest.mark.parametrize("request_", [None, object(), HttpRequest(), 7], ids=["none", "object", "bare", "int"])
def test_an_object_without_an_event_has_none(request_: Any) -> None:
    assert event_of(request_) is None


class Problem(Exception):
    """An exception that allows weak references, unlike a builtin one."""


@pytest.mark.parametrize("error", [False, True], ids=["ok", "error"])
def test_nothing_of_the_request_is_kept_alive(
    lines: CapturedRequests, error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by the context of the thread nor by the event, which may live on in a task."""
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        problem = Problem("no good")
        seen.append(weakref.ref(problem))
        if error:
            raise problem
        response = HttpResponse()
        seen.append(weakref.ref(response))
        return response

    def visit() -> Event | None:
        request = RequestFactory().get("/")
        seen.append(weakref.ref(request))
        try:
            respond(view, request)
        except Problem:
            pass
        return event_of(request)

    event = visit()
    for record in caplog.records:
        record.exc_info = None  # pytest keeps the records
    gc.collect()

    assert event is not None
    assert [ref() for ref in seen] == [None] * len(seen)
