"""
Every way in which a request can end, with all kinds of middleware around: exactly one correct line.

Each ending is a view, and a visit by a client and a server. Django's real handlers serve it under WSGI and ASGI, with
and without `observed`, alone and with difficult middleware around.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import django
import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from endings.drivers import OURS, SendFailed, Visit, scope_of, site, visit_asgi, visit_wsgi

from obs_middleware import bind
from obs_middleware.asgi import observed
from obs_middleware.testing import CapturedRequests

BELOW = "testproject.middleware."
COMPANY = {
    "alone": [OURS],
    "sync below": [OURS, BELOW + "sync_only"],
    "sync above": [BELOW + "sync_only", OURS],
    "unmarked below": [OURS, BELOW + "unmarked_async"],
    "twice": [OURS, OURS],
    "outer fails": [BELOW + "failing_outside", OURS],
    "gzip inside": [OURS, "django.middleware.gzip.GZipMiddleware"],
    "gzip outside": ["django.middleware.gzip.GZipMiddleware", OURS],
}

Line = tuple[int | None, str, str | None]


@dataclass
class Ending:
    """
    One way to end.

    Attributes:
        view: The view.
        visit: The behaviour of client and server.
        line: Status, outcome and error type of the line.
    """

    view: Callable[..., Any]
    line: Line
    visit: Visit = field(default_factory=Visit)


def plain(make: Callable[[], Any], line: Line, **visit: Any) -> Callable[[str], Ending]:
    def ending(mode: str) -> Ending:
        def view(request: HttpRequest) -> Any:
            return make()

        async def async_view(request: HttpRequest) -> Any:
            return make()

        return Ending(view if mode == "sync" else async_view, line, Visit(**visit))

    return ending


def raising(error: type[BaseException]) -> Callable[[], Any]:
    def make() -> Any:
        raise error("no")

    return make


def template() -> Any:
    request = HttpRequest()
    return TemplateResponse(request, engines["django"].from_string("{{ bad }}"), {"bad": Unprintable()})


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("render")


BOTH = {
    "normal": plain(lambda: HttpResponse("ok"), (200, "ok", None)),
    "ValueError": plain(raising(ValueError), (500, "error", "ValueError")),
    "Http404": plain(raising(Http404), (404, "ok", None)),
    "PermissionDenied": plain(raising(PermissionDenied), (403, "ok", "django.core.exceptions.PermissionDenied")),
    "BadRequest": plain(raising(BadRequest), (400, "ok", "django.core.exceptions.BadRequest")),
    "SuspiciousOperation": plain(
        raising(SuspiciousOperation), (400, "ok", "django.core.exceptions.SuspiciousOperation")
    ),
    "None": plain(lambda: None, (500, "error", "ValueError")),
    "503": plain(lambda: HttpResponse(status=503), (503, "error", None)),
    "304": plain(lambda: HttpResponse(status=304), (304, "ok", None)),
    "template": plain(template, (500, "error", "ValueError")),
    "HEAD": plain(lambda: HttpResponse("ok"), (200, "ok", None), method="HEAD"),
}


@pytest.mark.parametrize("company", COMPANY)
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
def test_a_plain_ending_is_one_line(server: str, name: str, company: str, lines: CapturedRequests) -> None:
    if server == "wsgi" and company == "unmarked below":
        pytest.skip("Django's sync handler does not support such a layer, with or without the middleware")
    ending = BOTH[name]("sync" if server == "wsgi" else "async")
    with site(ending.view, COMPANY[company]):
        visit = visit_wsgi(ending.visit) if server == "wsgi" else visit_asgi(ending.visit, outside="observed" in server)

    expected = ending.line
    if company == "outer fails" and server == "asgi observed":
        # `observed` sees that the client got a 500. The first exception is the reason.
        expected = (500, "error", (ending.line[1] == "error" and ending.line[2]) or "RuntimeError")
    assert [seen(line) for line in lines] == [expected]
    others = [log["logger"] for log in lines.logs if log["logger"] != "django.request"]
    # The line has one exception, that of the outer layer.
    is_refused_before = name == "SuspiciousOperation" and company == "outer fails" and server == "asgi observed"
    assert others == ["django.security.SuspiciousOperation"] * is_refused_before
    assert visit.raised is None


def seen(line: dict[str, Any]) -> Line:
    return line["status"], line["outcome"], line.get("error_type")


# Streams under WSGI


def chunks(fail_at: int | None = None, count: int = 3) -> Iterator[bytes]:
    for number in range(count):
        if number == fail_at:
            raise ValueError("mid-stream")
        yield b"chunk"


async def async_chunks(fail_at: int | None = None, count: int = 3) -> AsyncIterator[bytes]:
    for chunk in chunks(fail_at, count):
        await asyncio.sleep(0)
        yield chunk


STREAMS_WSGI: dict[str, tuple[dict[str, Any], dict[str, Any], Line, int]] = {
    "whole": ({}, {}, (200, "ok", None), 15),
    "empty": ({"count": 0}, {}, (200, "ok", None), 0),
    "raises at once": ({"fail_at": 0}, {}, (200, "stream_error", "ValueError"), 0),
    "raises later": ({"fail_at": 2}, {}, (200, "stream_error", "ValueError"), 10),
    "client leaves": ({}, {"take": 1}, (200, "aborted", None), 5),
    "client leaves before": ({}, {"take": 0}, (200, "aborted", None), 5),
    "never closed": ({}, {"take": 1, "close": False}, (200, "lost", None), 5),
    "HEAD": ({}, {"take": 0, "method": "HEAD"}, (200, "ok", None), 5),
}


@pytest.mark.parametrize("company", ["alone", "twice", "sync below", "sync above"])
@pytest.mark.parametrize("name", STREAMS_WSGI)
def test_a_stream_under_wsgi_is_one_line_at_its_end(name: str, company: str, lines: CapturedRequests) -> None:
    body, how, expected, size = STREAMS_WSGI[name]
    with site(lambda request: StreamingHttpResponse(chunks(**body)), COMPANY[company]):
        visit = visit_wsgi(Visit(**how))

    (line,) = lines
    assert seen(line) == expected
    assert line["response_bytes"] == size
    assert 0 < line["first_byte_seconds"] <= line["duration_seconds"]
    assert (type(visit.raised) is ValueError) is (expected[1] == "stream_error")


@pytest.mark.parametrize("company", ["gzip inside", "gzip outside"])
@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
def test_a_compressed_stream_is_one_line(company: str, server: str, lines: CapturedRequests) -> None:
    visit = Visit(headers={"Accept-Encoding": "gzip"})
    body = (lambda: async_chunks(count=100)) if "asgi" in server else (lambda: chunks(count=100))
    with site(lambda request: StreamingHttpResponse(body()), COMPANY[company]):
        if server == "wsgi":
            visit_wsgi(visit)
        else:
            visit_asgi(visit, outside="observed" in server)

    (line,) = lines
    assert seen(line) == (200, "ok", None)
    sent = sum(len(message.get("body", b"")) for message in visit.messages)
    if company == "gzip inside" or "observed" in server:
        assert line["response_bytes"] == sent
        assert sent != 500
    else:
        assert line["response_bytes"] == 500


@pytest.mark.parametrize("take", [None, 1])
def test_an_async_body_under_wsgi_is_one_line(take: int | None, lines: CapturedRequests) -> None:
    """Django warns, and consumes the whole body before the first chunk."""
    with (
        site(lambda request: StreamingHttpResponse(async_chunks()), [OURS]),
        pytest.warns(Warning, match="must consume asynchronous iterators"),
    ):
        visit_wsgi(Visit(take=take))

    assert [seen(line) for line in lines] == [(200, "ok", None)]


@pytest.mark.parametrize("wrapper", [False, True], ids=["iterated", "file wrapper"])
def test_a_file_under_wsgi_is_one_line_when_it_is_closed(
    wrapper: bool, tmp_path: Path, lines: CapturedRequests
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 10_000)
    served: list[Any] = []

    def view(request: HttpRequest) -> Any:
        response = FileResponse(path.open("rb"))
        served.append(response.file_to_stream)
        return response

    with site(view, [OURS]):
        visit = visit_wsgi(Visit(file_wrapper=wrapper))

    (line,) = lines
    assert seen(line) == (200, "ok", None)
    assert line["response_bytes"] == 10_000
    assert len(visit.content) == 10_000
    assert served[0].closed


def test_the_file_itself_is_passed_to_the_servers_wrapper(tmp_path: Path, lines: CapturedRequests) -> None:
    """Sendfile works only if nothing has touched the iterator."""
    path = tmp_path / "file.bin"
    path.write_bytes(b"x")
    offered: list[Any] = []

    def view(request: HttpRequest) -> Any:
        return FileResponse(path.open("rb"))

    def wrapper(file: Any, size: int) -> Any:
        offered.append(file)
        return iter(())

    def start_response(*_: Any) -> Any:
        """Accept status and headers."""

    environ = RequestFactory().get("/").environ | {"wsgi.file_wrapper": wrapper}
    with site(view, [OURS]):
        WSGIHandler()(environ, start_response)
        assert lines == []
        offered[0].close()

    assert [seen(line) for line in lines] == [(200, "ok", None)]


class BrokenFile(io.BytesIO):
    """A file whose disk fails after the first chunk."""

    name = "invoice.pdf"

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(10)


def broken_file(request: HttpRequest) -> Any:
    return FileResponse(BrokenFile(b"x" * 100))


@pytest.mark.parametrize("company", ["alone", "twice", "sync below", "sync above"])
@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
def test_a_file_that_cannot_be_read_to_its_end_is_one_line_at_once(
    server: str, company: str, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("endings.drivers.gc.collect", lambda: 0)  # the line must not wait for it
    with site(broken_file, COMPANY[company]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")
        if server == "wsgi":
            visit_wsgi(Visit())
        else:
            visit_asgi(Visit(), outside="observed" in server)

    (line,) = lines
    assert seen(line) == (200, "stream_error", "OSError")
    # Django reads a file to its end before the first chunk, under ASGI. `observed` counts the bytes that were sent.
    assert line["response_bytes"] == (0 if server == "asgi observed" else 10)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, (200, "ok", None, 100)),
        (OSError(5, "Input/output error"), (200, "stream_error", "OSError", None)),
        (BrokenPipeError(), (200, "aborted", None, None)),
        (SystemExit(), (200, "stream_error", "SystemExit", None)),
    ],
    ids=["sent", "disk", "client", "timeout"],
)
@pytest.mark.parametrize("handling", [False, True], ids=["", "while another exception is handled"])
def test_the_servers_file_wrapper_may_fail(
    error: BaseException | None, expected: tuple[Any, ...], handling: bool, lines: CapturedRequests
) -> None:
    """Servers close the response while the exception propagates, as gunicorn and wsgiref do."""
    environ = RequestFactory().get("/").environ | {"wsgi.file_wrapper": FileWrapper}

    def serve() -> None:
        response: Any = WSGIHandler()(environ, lambda *_: None)  # type: ignore[arg-type]  # exc_info is never given
        try:
            if error is not None:
                raise error
        finally:
            response.close()

    with site(lambda request: FileResponse(io.BytesIO(b"x" * 100)), [OURS]):
        try:
            raise LookupError if handling else StopIteration
        except LookupError:
            with contextlib.suppress(BaseException):
                serve()
        except StopIteration:
            pass
        if not handling:
            with contextlib.suppress(BaseException):
                serve()

    (line,) = lines
    assert (*seen(line), line.get("response_bytes")) == expected


@pytest.mark.parametrize(("take", "expected"), [(1, ("aborted", 4096)), (2, ("aborted", 8192)), (3, ("ok", 10_000))])
def test_a_file_of_which_the_server_takes_a_part_is_aborted(
    take: int, expected: tuple[str, int], tmp_path: Path, lines: CapturedRequests
) -> None:
    """A server may stop after the last byte, and not ask for the end."""
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 10_000)
    with site(lambda request: FileResponse(path.open("rb")), [OURS]):
        visit_wsgi(Visit(take=take))

    assert [(line["outcome"], line["response_bytes"]) for line in lines] == [expected]


def test_a_file_response_with_other_content_is_followed(tmp_path: Path, lines: CapturedRequests) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 100)

    def view(request: HttpRequest) -> Any:
        response = FileResponse(path.open("rb"))
        response.streaming_content = chunks(fail_at=1)
        return response

    with site(view, [OURS]):
        visit_wsgi(Visit())

    assert [seen(line) for line in lines] == [(200, "stream_error", "ValueError")]


def test_a_client_that_leaves_while_its_body_is_read_is_one_line(lines: CapturedRequests) -> None:
    with site(lambda request: HttpResponse(request.body), [OURS]):
        visit_wsgi(Visit(method="POST", body=[b"abc"], broken_input=True))

    assert [seen(line) for line in lines] == [(500, "error", "django.http.request.UnreadablePostError")]


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_stop_in_a_view_is_one_line_and_propagates(stop: type[BaseException], lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> Any:
        raise stop

    with site(view, [OURS]):
        visit = visit_wsgi(Visit())

    expected = (499, "cancelled", None) if stop is GeneratorExit else (500, "error", stop.__name__)
    assert [seen(line) for line in lines] == [expected]
    assert type(visit.raised) is stop


# Leaving under ASGI


def leaving(kind: str, visit: Visit) -> tuple[Callable[..., Any], dict[str, Line]]:
    """Return a view during which the client leaves, and the line that the chain or `observed` writes."""
    hang = threading.Event()

    async def waits(request: HttpRequest) -> Any:
        visit.leave()
        await asyncio.Event().wait()

    def blocks(request: HttpRequest) -> Any:
        visit.leave()
        hang.wait(0.2)  # until the cancellation has reached the loop; a sync view is not cancelled
        return HttpResponse()

    async def swallows(request: HttpRequest) -> Any:
        try:
            await waits(request)
        except asyncio.CancelledError:
            return HttpResponse("too late")

    async def converts(request: HttpRequest) -> Any:
        try:
            await waits(request)
        except asyncio.CancelledError:
            raise ValueError("converted") from None

    async def streams(request: HttpRequest) -> Any:
        async def body() -> AsyncIterator[bytes]:
            yield b"x"
            visit.leave()
            await asyncio.Event().wait()

        return StreamingHttpResponse(body())

    gone: Line = (499, "cancelled", None)
    failed: Line = (500, "error", "ValueError")
    kinds: dict[str, tuple[Callable[..., Any], dict[str, Line]]] = {
        "async view": (waits, {"chain": gone, "outside": gone}),
        "sync view": (blocks, {"chain": gone, "outside": gone}),
        "cancel swallowed": (swallows, {"chain": (200, "ok", None), "outside": (200, "ok", None)}),
        "cancel converted": (converts, {"chain": failed, "outside": failed}),
        "stream": (streams, {"chain": (200, "aborted", None), "outside": (200, "aborted", None)}),
    }
    return kinds[kind]


@pytest.mark.parametrize("company", ["alone", "twice", "sync above", "unmarked below", "sync below"])
@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
@pytest.mark.parametrize("kind", ["async view", "sync view", "cancel swallowed", "cancel converted", "stream"])
def test_a_client_that_leaves_is_one_line(kind: str, outside: bool, company: str, lines: CapturedRequests) -> None:
    visit = Visit()
    view, expected = leaving(kind, visit)
    with site(view, COMPANY[company]):
        visit_asgi(visit, outside=outside)

    (line,) = lines
    if outside and kind.startswith("cancel ") and visit.status is None:
        # With a layer in a thread, the answer of the view is not sent. An exception is still reported.
        assert (line["status"], line["outcome"]) == (499, "cancelled")
        assert ("stack_trace" in line) is (kind == "cancel converted")
    else:
        assert seen(line) == expected["outside" if outside else "chain"]
    assert {log["logger"] for log in lines.logs} <= {"asyncio"}  # about futures that asgiref leaves behind


def test_a_sync_view_cannot_change_or_repeat_the_line_after_the_client_left(
    lines: CapturedRequests,
) -> None:

    visit = Visit()
    finished = threading.Event()

    def view(request: HttpRequest) -> Any:
        visit.leave()
        for _ in range(1000):
            if lines:
                break
            threading.Event().wait(0.01)
        bind(late=True)
        logging.getLogger("site").info("still here")
        finished.set()
        return HttpResponse()

    with site(view, [OURS]):
        visit_asgi(visit)
    assert finished.wait(10)

    (line,) = lines
    assert seen(line) == (499, "cancelled", None)
    assert "late" not in line
    assert [log["request_id"] for log in lines.logs] == [line["request_id"]]


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
@pytest.mark.parametrize("at", [0, 1], ids=["start", "body"])
def test_a_send_that_fails_on_a_plain_response_is_one_line(outside: bool, at: int, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> Any:
        return HttpResponse("ok")

    with site(view, [OURS]):
        visit = visit_asgi(Visit(fail_send_at=at), outside=outside)

    chain: Line = (200, "ok", None)  # written before anything is sent, so the failure is not seen
    wrapped: Line = (499, "cancelled", None) if at == 0 else (200, "aborted", None)
    assert [seen(line) for line in lines] == [wrapped if outside else chain]
    assert _failed(visit.raised)


def _failed(error: BaseException | None) -> bool:
    """Return whether *error* is the failure of ``send``. Django 6.1 wraps it in a group."""
    return isinstance(error, SendFailed) or (
        isinstance(error, BaseExceptionGroup) and isinstance(error.exceptions[0], SendFailed)
    )


STREAMS_ASGI: dict[str, tuple[dict[str, Any], dict[str, Any], Line, Line]] = {
    "whole": ({}, {}, (200, "ok", None), (200, "ok", None)),
    "empty": ({"count": 0}, {}, (200, "ok", None), (200, "ok", None)),
    "raises at once": ({"fail_at": 0}, {}, (200, "stream_error", "ValueError"), (200, "stream_error", "ValueError")),
    "raises later": ({"fail_at": 2}, {}, (200, "stream_error", "ValueError"), (200, "stream_error", "ValueError")),
    "send fails at the start": ({}, {"fail_send_at": 0}, (200, "lost", None), (499, "cancelled", None)),
    "send fails in the middle": ({}, {"fail_send_at": 2}, (200, "lost", None), (200, "aborted", None)),
    "client leaves in send": ({}, {"stall_send_at": 2}, (200, "aborted", None), (200, "aborted", None)),
    "client leaves before the first chunk": ({}, {"stall_send_at": 0}, (200, "aborted", None), (200, "aborted", None)),
    "HEAD": ({}, {"method": "HEAD"}, (200, "ok", None), (200, "ok", None)),
}


@pytest.mark.parametrize("company", ["alone", "twice", "sync above", "sync below", "unmarked below"])
@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
@pytest.mark.parametrize("name", STREAMS_ASGI)
def test_a_stream_under_asgi_is_one_line_at_its_end(
    name: str, outside: bool, company: str, lines: CapturedRequests
) -> None:
    body, how, chain, wrapped = STREAMS_ASGI[name]

    async def view(request: HttpRequest) -> Any:
        return StreamingHttpResponse(async_chunks(**body))

    with site(view, COMPANY[company]):
        visit_asgi(Visit(**how), outside=outside)

    assert [seen(line) for line in lines] == [wrapped if outside else chain]


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_the_generator_of_an_abandoned_stream_is_cleaned_up(outside: bool, lines: CapturedRequests) -> None:
    cleaned: list[str] = []
    visit = Visit()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            visit.leave()
            await asyncio.Event().wait()
        finally:
            cleaned.append("done")

    async def view(request: HttpRequest) -> Any:
        return StreamingHttpResponse(body())

    with site(view, [OURS]):
        visit_asgi(visit, outside=outside)

    assert cleaned == ["done"]
    assert [seen(line) for line in lines] == [(200, "aborted", None)]


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_a_sync_body_under_asgi_is_one_line(outside: bool, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> Any:
        return StreamingHttpResponse(chunks())

    with (
        site(view, [OURS]),
        pytest.warns(Warning, match="must consume synchronous iterators"),
    ):
        visit_asgi(Visit(), outside=outside)

    assert [(seen(line), line["response_bytes"]) for line in lines] == [((200, "ok", None), 15)]


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_a_file_under_asgi_is_one_line(outside: bool, tmp_path: Path, lines: CapturedRequests) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 10_000)

    async def view(request: HttpRequest) -> Any:
        return FileResponse(path.open("rb"))

    with site(view, [OURS]), pytest.warns(Warning, match="must consume synchronous iterators"):
        visit_asgi(Visit(), outside=outside)

    assert [(seen(line), line["response_bytes"]) for line in lines] == [((200, "ok", None), 10_000)]


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_a_404_cancelled_while_django_logs_it_is_one_line(outside: bool, lines: CapturedRequests) -> None:
    """The response is never closed then, so the line must not wait for that."""
    visit = Visit()
    release = threading.Event()

    class Leaving(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            visit.leave()
            release.wait(0.2)
            return True

    async def view(request: HttpRequest) -> Any:
        return HttpResponse(status=404)

    leaving_ = Leaving()
    logger = logging.getLogger("django.request")
    logger.addFilter(leaving_)
    try:
        with site(view, [OURS]):
            visit_asgi(visit, outside=outside)
    finally:
        release.set()
        logger.removeFilter(leaving_)

    assert [seen(line) for line in lines] == [(499, "cancelled", None) if outside else (404, "ok", None)]


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_a_request_cancelled_by_the_server_is_one_line(outside: bool, lines: CapturedRequests) -> None:
    """Up to Django 6.0 the chain is not told; only the wrapper knows at once, the chain when its task is ended."""
    visit = Visit(cancel_from_outside=True)

    async def view(request: HttpRequest) -> Any:
        visit.leave()
        await asyncio.Event().wait()

    with site(view, [OURS]):
        visit_asgi(visit, outside=outside)

    assert isinstance(visit.raised, asyncio.CancelledError) or django.VERSION >= (6, 1)
    assert [seen(line) for line in lines] == [(499, "cancelled", None)]


# Endings that only `observed` sees


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_an_upload_that_was_broken_off_is_seen_from_outside(outside: bool, lines: CapturedRequests) -> None:
    """Django never calls the chain, so without `observed` this request has no line."""
    visit = Visit(method="POST", body=[b"abc"])

    async def go() -> None:

        messages = [{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            raise AssertionError("nothing can be sent to a client that has left")

        handler = ASGIHandler()
        await (observed(handler) if outside else handler)(scope_of(visit), receive, send)

    with site(lambda request: HttpResponse(), [OURS]):
        asyncio.run(go())

    assert [seen(line) for line in lines] == ([(499, "cancelled", None)] if outside else [])


@pytest.mark.parametrize("outside", [False, True], ids=["chain", "observed"])
def test_a_query_string_that_is_not_utf8_is_seen_from_outside(outside: bool, lines: CapturedRequests) -> None:
    with site(lambda request: HttpResponse(), [OURS]):
        visit = visit_asgi(Visit(query=b"\xff=\xff"), outside=outside)

    assert visit.status == 400
    headers = dict(visit.messages[0]["headers"])
    if outside:
        assert [(seen(line), line["method"], line["path"]) for line in lines] == [
            ((400, "ok", "UnicodeDecodeError"), "GET", "/")
        ]
        assert lines.logs == []
        assert headers[b"x-request-id"].decode() == lines[0]["request_id"]
    else:
        # There is only Django's own record, which passes the fold filter.
        assert lines == []
        assert ["UnicodeDecodeError" in log["message"] for log in lines.logs] == [True]
