"""`obs_middleware.measure.event`, `obs_middleware.measure.client`, `obs_middleware.measure.tracing`: the leaves."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import respond
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from obs_middleware.measure import ids
from obs_middleware.measure.event import RequestEvent, event_of
from obs_middleware.measure.headers import declared_bytes, meta_key, response_bytes
from obs_middleware.measure.ids import is_request_id, new_event_id, new_request_id
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import CapturedRequests


def in_a_child(make: Callable[[], str]) -> str:
    """Return what *make* returns in a process that was forked from this one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, make().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        made = pipe.read()
    os.waitpid(child, 0)
    return made


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_event_ids_are_renewed_after_a_fork() -> None:
    """Two workers of one parent must not write the same ids."""
    before = new_event_id().split("-")[0]

    assert in_a_child(new_event_id).split("-")[0] != before
    assert new_event_id().split("-")[0] == before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_request_ids_in_stock_are_not_given_out_by_a_child_as_well() -> None:
    new_request_id()  # so that there are some in stock
    in_stock = 200
    in_child = in_a_child(lambda: " ".join(new_request_id() for _ in range(in_stock))).split()

    assert len(set(in_child)) == in_stock
    assert not set(in_child) & {new_request_id() for _ in range(in_stock)}


def test_every_field_of_the_event_is_documented() -> None:
    event = RequestEvent(0.0, "id", "GET", "/")
    event.queries = []

    assert set(event.line()) <= set(FIELDS)


def test_a_line_is_built_once_and_later_bindings_do_not_show() -> None:
    event = RequestEvent(0.0, "id", "GET", "/")
    event.say().bound["a"] = 1
    line = event.line()
    event.say().bound["b"] = 2

    assert event.line() is line
    assert "b" not in line


def test_what_many_threads_say_first_is_all_kept() -> None:
    for _ in range(50):
        event = RequestEvent(0.0, "id", "GET", "/")
        together = threading.Barrier(8)

        def say(number: int, event: RequestEvent = event, together: threading.Barrier = together) -> None:
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
    """Unlike a builtin exception it can be referred to weakly."""


@pytest.mark.parametrize("error", [False, True], ids=["ok", "error"])
def test_nothing_of_the_request_is_kept_alive(lines: CapturedRequests, error: bool) -> None:
    """Not by the context that the thread keeps, nor by the event, which may live on in a task."""
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        problem = Problem("no good")
        seen.append(weakref.ref(problem))
        if error:
            raise problem
        response = HttpResponse()
        seen.append(weakref.ref(response))
        return response

    def visit() -> RequestEvent | None:
        request = RequestFactory().get("/")
        seen.append(weakref.ref(request))
        try:
            respond(view, request)
        except Problem:
            pass
        return event_of(request)

    event = visit()
    gc.collect()

    assert event is not None
    assert [ref() for ref in seen] == [None] * len(seen)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        ("12", 12),
        ("0", 0),
        ("", None),
        (None, None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("9" * 30, None),
        ("x", None),
    ],
    ids=repr,
)
def test_the_declared_size_is_read_or_left_out(length: str | None, expected: int | None) -> None:
    assert declared_bytes(length) == expected


def test_the_size_of_a_plain_response_is_known() -> None:
    assert response_bytes(HttpResponse("é"), "GET") == 2
    assert response_bytes(HttpResponse("é"), "HEAD") == 0
    assert response_bytes(StreamingHttpResponse([]), "GET") is None


@pytest.mark.parametrize(
    ("header", "key"),
    [("X-Request-ID", "HTTP_X_REQUEST_ID"), ("Content-Type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH")],
)
def test_a_header_has_its_key_in_meta(header: str, key: str) -> None:
    assert meta_key(header) == key


def test_new_ids_are_well_formed_and_different() -> None:
    ids = {new_request_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(is_request_id(one) and len(one) == 32 for one in ids)


def test_the_token_of_the_process_is_random() -> None:
    before = ids._token
    ids._after_fork()

    assert ids._token != before
