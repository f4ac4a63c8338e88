"""
Thousands of requests with every ending: nothing grows, nothing is lost, every count is right.

The default is 2,000 requests. For more: ``NO_HARM_SOAK=100000 python -m pytest tests/no_harm/test_soak.py``.
"""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from counts import counts
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from endings.drivers import OURS, SendFailed, Visit, scope_of, site
from no_harm import subject
from no_harm.test_process import forgetful_log, objects, sizes

from obs_middleware import bind, in_flight
from obs_middleware.asgi import observed
from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter

pytestmark = [
    pytest.mark.skipif(not subject.IS_OURS, reason="needs the counts of this package"),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume"),  # of a file, under ASGI
]

REQUESTS = int(os.environ.get("NO_HARM_SOAK", "2000"))
COUNTS = ("requests", "written", "excluded", "suppressed", "sampled_out", "failed", "dropped")
ENDINGS = (
    "fine",
    "talkative",
    "redirect",
    "missing",
    "failing",
    "stream",
    "stream failing",
    "stream left",
    "file",
    "excluded",
    "quiet",
    "hostile",
)
ASYNC_ENDINGS = (*ENDINGS, "gone", "send failing")
SETTINGS = {"EXCLUDE": ["ignored"], "QUIET": ["^/quiet"], "ENRICH": lambda request, response: {"tenant": "t1"}}


class Lines(logging.Handler):
    """Count the request lines as they would be shipped, and keep none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.addFilter(FoldDjangoRequests())
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self.count += '"logger":"root"' in text and '"message":"Request took ' in text


def _answer(ending: str, chunks: Callable[[bool], Any]) -> Any:
    match ending:
        case "redirect":
            return HttpResponseRedirect("/")
        case "missing":
            raise Http404("nothing here")
        case "failing":
            raise ValueError("no good")
        case "stream" | "stream left" | "stream failing":
            return StreamingHttpResponse(chunks(ending == "stream failing"))
        case "file":
            return FileResponse(Path(__file__).open("rb"))
        case "talkative" | "hostile":
            bind(cart=7, value={float("nan"): object()} if ending == "hostile" else "x" * 100)
            logging.getLogger("site").info("in the view")
    return HttpResponse(ending)


def _chunks(fails: bool) -> Iterator[bytes]:
    yield b"one"
    if fails:
        raise ValueError("in the stream")
    yield b"two"


async def _async_chunks(fails: bool) -> AsyncIterator[bytes]:
    for chunk in _chunks(fails):
        yield chunk


def view(request: HttpRequest) -> Any:
    return _answer(request.headers["X-Ending"], _chunks)


async def async_view(request: HttpRequest) -> Any:
    ending = request.headers["X-Ending"]
    if ending == "gone":
        LEAVING[request.headers["X-Number"]].set()
        await asyncio.Event().wait()
    return _answer(ending, _async_chunks)


LEAVING: dict[str, asyncio.Event] = {}


def _address(ending: str, number: int) -> str:
    match ending:
        case "excluded":
            return "/ignored"
        case "quiet":
            return "/quiet"
        case "missing":
            return f"/{number}"
    return "/"


def _serve_wsgi(handler: WSGIHandler, number: int) -> None:
    ending = ENDINGS[number % len(ENDINGS)]
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": _address(ending, number),
        "QUERY_STRING": f"n={number}",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_X_ENDING": ending,
        "HTTP_X_REQUEST_ID": f"id-{number}",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }
    response = handler(environ, lambda *_: None)  # type: ignore[arg-type]  # exc_info is never given
    try:
        for _ in response:
            if ending == "stream left":
                break
    except ValueError:
        assert ending == "stream failing"
    finally:
        response.close()


async def _serve_asgi(application: Any, number: int) -> None:
    ending = ASYNC_ENDINGS[number % len(ASYNC_ENDINGS)]
    left = LEAVING[str(number)] = asyncio.Event()
    sent = 0

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if ending == "send failing":
            raise SendFailed("gone")
        if ending == "stream left" and sent == 2:
            left.set()
            await asyncio.Event().wait()

    asked: list[bool] = []
    headers = {"X-Ending": ending, "X-Number": str(number), "X-Request-ID": f"id-{number}"}
    address = _address(ending, number)
    scope = scope_of(Visit(headers=headers), path=address, raw_path=address.encode())
    try:
        await application(scope, receive, send)
    except BaseException as error:  # noqa: BLE001 -- sorted below
        errors = (error, *getattr(error, "exceptions", ()))
        assert ending in {"stream failing", "send failing"}, errors
    del LEAVING[str(number)]


@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
def test_after_thousands_of_requests_nothing_has_grown_and_every_count_is_right(server: str) -> None:
    lines = Lines()

    def measure() -> tuple[dict[str, int], int, int]:
        return sizes(), objects(), _resident_bytes()

    def serve(numbers: range) -> None:
        handler = WSGIHandler()
        for number in numbers:
            _serve_wsgi(handler, number)

    async def serve_async(numbers: range) -> None:
        application: Any = ASGIHandler()
        if "observed" in server:
            application = observed(application)
        for number in numbers:
            await _serve_asgi(application, number)

    def run(numbers: range) -> None:
        # A separate context, as the worker of a server has.
        if server == "wsgi":
            copy_context().run(serve, numbers)
        else:
            # Not in debug mode, even if Python is: debug mode would take most of the time.
            copy_context().run(lambda: asyncio.run(serve_async(numbers), debug=False))

    urls = type("urls", (), {"urlpatterns": [path(name, _view(server)) for name in ("", "ignored", "quiet")]})
    amount = REQUESTS // 3
    with (
        forgetful_log(lines),
        site(_view(server), [OURS], OBS_MIDDLEWARE=SETTINGS, ALLOWED_HOSTS=["*"]),
        override_settings(ROOT_URLCONF=urls),
    ):
        run(range(amount // 4))  # fills the caches
        gc.collect()
        counted = counts()
        lines.count = 0
        before = measure()
        run(range(amount))
        after = measure()
        difference = {name: counts()[name] - counted[name] for name in COUNTS if name in counted}

    assert in_flight() == []
    assert after[0] == before[0]
    # A few dozen for any number of requests, because some caches are still filling.
    assert after[1] - before[1] < 150
    # The noise of the allocator is some megabytes, and more in the process of a long run. At full size, a kilobyte per
    # request would show.
    assert after[2] - before[2] < max(8_000_000, before[2] // 25) + amount * 100
    assert difference.pop("requests") == sum(difference.values()) == amount
    assert difference["written"] == lines.count > amount // 2
    assert difference["excluded"] == amount // len(_endings(server)) + (amount % len(_endings(server)) > 9)
    assert difference["failed"] == 0


def _view(server: str) -> Any:
    return view if server == "wsgi" else async_view


def _endings(server: str) -> tuple[str, ...]:
    return ENDINGS if server == "wsgi" else ASYNC_ENDINGS


def _resident_bytes() -> int:
    """Return the memory that the process occupies, or 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
