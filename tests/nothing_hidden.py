"""
The rule that nothing is hidden: what stock Django shows at a level, a site with the package shows at that level.

`shown` serves a request with a dict for ``LOGGING``, with the package or without it, and returns what each handler
wrote. `check_nothing_is_hidden` and `check_once` compare.
"""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar, Final

from django.core.exceptions import BadRequest, DisallowedHost, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_protect
from endings.drivers import OURS, Visit, site, visit_asgi, visit_wsgi

REASON = "the-reason"
SECURITY = ("SuspiciousOperation", "DisallowedHost", "csrf")
TOUCHED = (
    "",
    "shop.lines",
    "django",
    "django.request",
    "django.server",
    *(f"django.security.{one}" for one in SECURITY),
)


def raising(error: type[Exception]) -> Callable[[], Any]:
    def make() -> Any:
        raise error(REASON)

    return make


def answering(status: int) -> Callable[[], Any]:
    return lambda: HttpResponse(status=status)


MADE_BY_A_VIEW: dict[str, tuple[int, Callable[[], Any]]] = {
    "no failure": (200, lambda: HttpResponse()),
    "404 answered": (404, answering(404)),
    "404 raised": (404, raising(Http404)),
    "403 raised": (403, raising(PermissionDenied)),
    "400 raised": (400, raising(BadRequest)),
    "a bad form": (400, raising(MultiPartParserError)),
    "a form without its token": (403, lambda: HttpResponse()),
    "suspicious": (400, raising(SuspiciousOperation)),
    "a bad host": (400, raising(DisallowedHost)),
    "500 raised": (500, raising(ValueError)),
    "503 answered": (503, answering(503)),
    "503 streamed": (503, lambda: StreamingHttpResponse([b"no"], status=503)),
}
"""Status and view."""

MESSAGE_ALONE = {"message": {"format": "%(levelname)s %(name)s %(message)s"}}
"""A formatter."""


class Shown(logging.Handler):
    """Keeps the level and the text of what it writes."""

    every: ClassVar[dict[str, list[tuple[int, str]]]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "asyncio":
            return  # in development mode it logs each step that takes long, as on a busy machine
        self.shown.append((record.levelno, self.format(record)))
        self.every[self.name or ""] = self.shown


Shows = dict[str, list[tuple[int, str]]]
"""Name of a handler -> levels and texts of what it wrote."""


def shown(config: dict[str, Any], settings: dict[str, Any], made: str, server: str) -> Shows:
    """
    Return what the handlers of *config* write of one request.

    Args:
        config: A dict for ``LOGGING``, whose handlers are `Shown`.
        settings: ``OBS_MIDDLEWARE``; also ``with_package``, and ``disable``: a level for `logging.disable`.
        made: A key of `MADE_BY_A_VIEW`.
        server: ``wsgi``, ``asgi`` or ``asgi observed``.
    """
    settings = dict(settings)
    disable = settings.pop("disable", logging.NOTSET)
    loggers = [logging.getLogger(name) for name in TOUCHED]
    kept = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    for one in loggers[1:]:
        one.handlers[:], one.level, one.propagate = [], logging.NOTSET, True
    Shown.every = {}
    try:
        logging.config.dictConfig(config)
        logging.disable(disable)
        serve(made, server, settings)
        return Shown.every
    finally:
        logging.disable(logging.NOTSET)
        for one, handlers, level, propagate in kept:
            one.handlers[:], one.level, one.propagate = handlers, level, propagate


async def in_an_async_world(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def serve(made: str, server: str, settings: dict[str, Any]) -> None:
    """Serve one request; with the package if *settings* has a true ``with_package``."""
    _, make = MADE_BY_A_VIEW[made]

    def view(request: HttpRequest) -> Any:
        return make()

    async def async_view(request: HttpRequest) -> Any:
        response = make()
        if response.streaming:
            response.streaming_content = in_an_async_world(response.streaming_content)
        return response

    found: Any = view if server == "wsgi" else async_view
    is_refused = made == "a form without its token"
    middleware = [OURS] if settings.pop("with_package") else []
    visit = Visit(method="POST" if is_refused else "GET")
    ours = {"OBS_MIDDLEWARE": settings}
    with site(csrf_protect(found) if is_refused else found, middleware, **ours):
        if server == "wsgi":
            visit_wsgi(visit)
        else:
            visit_asgi(visit, outside="observed" in server and bool(middleware))


def stock(config: dict[str, Any]) -> dict[str, Any]:
    """Return *config*, which has the formatter `MESSAGE_ALONE`, as a site without the package has it."""
    handlers = {name: one | {"formatter": "message", "filters": []} for name, one in config["handlers"].items()}
    return config | {"handlers": handlers}


def check_nothing_is_hidden(before: Shows, after: Shows, status: int, *, decides: bool) -> None:
    """
    Compare what the handlers wrote of a request, without the package and with it.

    Args:
        before: Without the package, each with the formatter `MESSAGE_ALONE`.
        after: With the package.
        status: The status of the response.
        decides: The site itself decides about the level of the request line.
    """
    for name, records in before.items():
        for level, text in records:
            message = text.splitlines()[0].split(" ", 2)[2]
            least = level if level >= logging.ERROR and not decides else logging.NOTSET
            lines = [line for level_of_line, line in after.get(name, ()) if level_of_line >= least]
            assert any(message in line or status_on(line) == status for line in lines), (name, text)
            assert REASON not in text or any(REASON in line for line in lines), (name, text)


def check_once(shows: Shows) -> None:
    """Check that no handler wrote anything twice; nothing but the request line, if that has the fields."""
    for written in shows.values():
        text = "\n".join(line for _, line in written)
        assert sum(is_request_line(line) for _, line in written) <= 1, text
        assert text.count("Traceback (most recent call last)") <= 1, text
        has_fields = any(is_request_line(line) and status_on(line) for _, line in written)
        assert len(written) <= 1 or not has_fields, text


ROW: Final = re.compile(r"\d\d:\d\d:\d\d (?:GET|POST) +/\S* +(\d{3}) ")
"""The beginning of the request line in the format ``console``."""


def is_request_line(line: str) -> bool:
    return "Request took" in line or ROW.match(line) is not None


def status_on(line: str) -> int | None:
    found = ROW.match(line) or re.search(r"status(?:_code)?\W+(\d+)", line)
    return int(found[1]) if found else None
