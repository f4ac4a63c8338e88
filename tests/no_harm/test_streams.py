"""Streams and files are not consumed, held back or sent in another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from endings.drivers import Visit
from no_harm import props
from no_harm.world import World, stream


def test_a_stream_is_not_touched_before_the_server_asks(world: World) -> None:
    log: list[Any] = []
    seen_by_the_probe: list[list[Any]] = []
    props.hooks["probe"] = lambda _: seen_by_the_probe.append(log.copy())

    world.serve(stream(world, [b"one", b"two"], log), Visit(), above=["no_harm.props.Probe"])

    assert seen_by_the_probe == [[]]
    assert log == [b"one", b"two", "cleaned up"]


def test_a_stream_is_produced_no_faster_than_the_server_sends(world: World) -> None:
    visit = Visit()
    progress = []

    class Log(list[Any]):
        def append(self, one: Any) -> None:
            progress.append((one, visit.content))
            super().append(one)

    log = Log()
    world.serve(stream(world, [b"one", b"two", b"three"], log), visit)

    assert progress[:3] == [(b"one", b""), (b"two", b"one"), (b"three", b"onetwo")]


def test_a_stream_is_sent_in_the_chunks_in_which_it_came(world: World) -> None:
    chunks = [b"one", b"", b"two", b"x" * 100_000]
    visits = [world.serve(stream(world, chunks, []), Visit(), judged=judged) for judged in (False, True)]

    assert visits[0].messages == [
        message if message["type"] != "http.response.start" else visits[0].messages[0] for message in visits[1].messages
    ]


def test_a_stream_keeps_its_class_and_its_attributes(world: World) -> None:
    world.serve(stream(world, [b"one"], []), Visit(), above=["no_harm.props.Probe"])

    (response,) = props.seen
    assert type(response) is StreamingHttpResponse
    assert response.streaming is True
    assert response.is_async is (world.mode == "async")


class Closer:
    """A body with a method ``close``, which Django calls when the response is closed."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)
        self.closed = 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        return next(self.chunks)

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("take", [None, 1, 0], ids=["whole", "half", "none of it"])
def test_the_closer_of_a_body_runs_once_however_much_was_sent(take: int | None) -> None:
    world = World("sync")
    body = Closer([b"one", b"two"])

    world.serve(lambda request: StreamingHttpResponse(body), Visit(take=take))

    assert body.closed == 1


def test_closers_of_the_response_run_once_in_their_order(world: World) -> None:
    order: list[str] = []

    def view(request: HttpRequest) -> StreamingHttpResponse:
        response: Any = stream_view(request) if world.mode == "sync" else None
        assert response is not None
        return _with_closers(response, order)

    async def async_view(request: HttpRequest) -> StreamingHttpResponse:
        return _with_closers(await stream_view(request), order)

    stream_view = stream(world, [b"one"], [])
    world.serve(view if world.mode == "sync" else async_view, Visit())

    assert order == ["first", "second"]


def _with_closers(response: Any, order: list[str]) -> StreamingHttpResponse:
    response._resource_closers.append(lambda: order.append("first"))
    response._resource_closers.append(lambda: order.append("second"))
    return response  # type: ignore[no-any-return]  # Any in, Any out


def test_a_stream_that_nobody_reads_is_closed_silently(world: World) -> None:
    """A test that drops the response gets no exception at the next garbage collection."""
    log: list[Any] = []

    world.serve(stream(world, [b"one"], log), Visit(take=0, fail_send_at=0))

    assert b"two" not in log


class Recording(FileWrapper):
    """The file wrapper of a server, which sends files by ``sendfile``."""

    files: list[Any] = []  # noqa: RUF012 -- emptied by the test

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:
        self.files.append(filelike)
        super().__init__(filelike, blksize)


def test_a_file_goes_out_through_the_wrapper_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gets the file itself, unread. Otherwise it could not use ``sendfile``."""
    world = World("sync")
    (tmp_path / "file.bin").write_bytes(b"x" * 10_000)
    file = (tmp_path / "file.bin").open("rb")
    monkeypatch.setattr("endings.drivers.FileWrapper", Recording)
    monkeypatch.setattr(Recording, "files", [])

    visit = world.serve(lambda request: FileResponse(file), Visit(file_wrapper=True))

    assert Recording.files == [file]
    assert Recording.files[0] is file
    assert visit.content == b"x" * 10_000
    assert file.closed


def test_a_file_is_answered_as_without_it(world: World, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(b"content")

    def view(request: HttpRequest) -> FileResponse:
        return FileResponse((tmp_path / "file.txt").open("rb"), as_attachment=True)

    bare, judged = world.compare(view)

    assert judged == bare
    assert judged.content == b"content"


def test_an_empty_stream_is_sent_as_one(world: World) -> None:
    bare, judged = world.compare(stream(world, [], []))

    assert judged == bare
    assert judged.content == b""
