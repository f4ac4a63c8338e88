"""`obs_middleware.measure.ending`: streams are followed to their end, and nothing of them is kept."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import respond
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from endings.drivers import OURS, Visit, site, visit_wsgi

from obs_middleware import get_request_id, in_flight
from obs_middleware.measure.event import current_event
from obs_middleware.testing import CapturedRequests


def test_a_stream_that_nobody_reads_is_lost_without_harm(mode: str, lines: CapturedRequests) -> None:
    def visit() -> None:
        if mode == "sync":
            Client().get("/stream/")
        else:
            asyncio.run(AsyncClient().get("/stream-async/"))

    visit()
    gc.collect()

    assert [line["outcome"] for line in lines] == ["lost"]


def test_a_stream_is_lost_even_if_its_request_refers_to_it(mode: str, lines: CapturedRequests) -> None:
    def body() -> Iterator[bytes]:
        yield b"x"

    async def async_body() -> AsyncIterator[bytes]:
        yield b"x"

    def view(request: Any) -> Any:
        request.response = StreamingHttpResponse(body() if mode == "sync" else async_body())
        return request.response

    async def async_view(request: Any) -> Any:
        return view(request)

    async def visit() -> None:
        await respond(async_view, AsyncRequestFactory().get("/"))

    if mode == "sync":
        respond(view, RequestFactory().get("/"))
    else:
        asyncio.run(visit())
    gc.collect()

    assert [line["outcome"] for line in lines] == ["lost"]
    assert in_flight() == []


def test_two_streams_read_in_turns_do_not_mix(lines: CapturedRequests) -> None:
    seen: list[tuple[str, str | None]] = []

    def view(request: HttpRequest) -> StreamingHttpResponse:
        name = request.path

        def body() -> Iterator[bytes]:
            for _ in range(3):
                seen.append((name, get_request_id()))
                yield b"x"

        return StreamingHttpResponse(body())

    first, second = (respond(view, RequestFactory().get(path)) for path in ("/a", "/b"))
    for _ in zip(first.streaming_content, second.streaming_content, strict=True):
        pass

    ids = {line["path"]: line["request_id"] for line in lines}
    assert all(ids[name] == request_id for name, request_id in seen)
    assert len(ids) == 2


@override_settings(OBS_MIDDLEWARE={"BLOCKED_SECONDS": None})  # the watching thread allocates memory, too
@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_long_stream_costs_no_memory_per_chunk(server: str, lines: CapturedRequests) -> None:
    growth: list[int] = []

    def measure(number: int) -> None:
        if number in {1_000, 9_000}:
            growth.append(tracemalloc.get_traced_memory()[0])

    def body() -> Iterator[bytes]:
        for number in range(10_000):
            measure(number)
            yield b"event"

    async def async_body() -> AsyncIterator[bytes]:
        for chunk in body():
            yield chunk

    def view(request: HttpRequest) -> Any:
        return StreamingHttpResponse(body())

    async def async_view(request: HttpRequest) -> Any:
        response = StreamingHttpResponse(async_body())
        response["X-Accel-Buffering"] = "no"
        return response

    tracemalloc.start()
    try:
        if server == "wsgi":
            for _ in respond(view, RequestFactory().get("/")).streaming_content:
                pass
        else:

            async def visit() -> None:
                response = await respond(async_view, RequestFactory().get("/"))
                async for _ in response.streaming_content:
                    pass

            asyncio.run(visit())
    finally:
        tracemalloc.stop()

    assert lines[0]["response_bytes"] == 50_000
    assert growth[1] - growth[0] < 5_000


def test_django_has_the_closers_that_streams_are_followed_by(tmp_path: Path) -> None:
    """A canary: closers run in order when a response is closed, and a file may have another iterator."""
    order: list[str] = []
    response = StreamingHttpResponse([])
    response._resource_closers.insert(0, lambda: order.append("first"))  # type: ignore[attr-defined]  # the seam
    response._resource_closers.append(lambda: order.append("last"))  # type: ignore[attr-defined]  # the seam
    (tmp_path / "f").write_bytes(b"x")
    file = FileResponse((tmp_path / "f").open("rb"))
    assert file.file_to_stream is not None
    file._iterator = iter([b"y"])  # type: ignore[attr-defined]  # the seam
    assert b"".join(file) == b"y"
    assert file.file_to_stream is not None
    with site(lambda request: response, [OURS]):
        response.close()
        file.close()

    assert order == ["first", "last"]


def test_the_exception_of_a_stream_reaches_the_server_unchanged(lines: CapturedRequests) -> None:
    error = ValueError("mine")

    def body() -> Iterator[bytes]:
        yield b"x"
        raise error

    with site(lambda request: StreamingHttpResponse(body()), [OURS]):
        visit = visit_wsgi(Visit())

    assert visit.raised is error
    assert "ValueError: mine" in lines[0]["stack_trace"]


def test_the_line_comes_after_the_last_chunk_and_the_body_sees_the_request(lines: CapturedRequests) -> None:
    written: list[int] = []
    inside: list[Any] = []

    def body() -> Iterator[bytes]:
        for _ in range(3):
            written.append(len(lines))
            event = current_event.get()
            inside.append(event and event.request_id)
            yield b"x"
        written.append(len(lines))

    with site(lambda request: StreamingHttpResponse(body()), [OURS]):
        visit_wsgi(Visit())

    assert written == [0, 0, 0, 0]
    assert inside == [lines[0]["request_id"]] * 3
