"""
What stock Django shows at a level, a site with the package shows at that level: on the line, or as Django's own record.

Each set-up of handlers and levels sees each record that Django makes of a response, first without the package and then
with it.
"""

from __future__ import annotations

import functools
import logging
import logging.config
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar

import pytest
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

FILTERS = {"fold": {"()": "obs_middleware.logs.filters.FoldDjangoRequests"}}
CONTEXT = {"context": {"()": "obs_middleware.logs.filters.RequestContextFilter"}}
FORMATTERS = {
    "json": {"()": "obs_middleware.logs.formatters.JSONFormatter"},
    "logfmt": {"()": "obs_middleware.logs.formatters.LogfmtFormatter"},
    "console": {"()": "obs_middleware.logs.formatters.ConsoleFormatter", "stream": None},
    "text": {"()": "obs_middleware.logs.formatters.TextFormatter"},
    "message": {"format": "%(levelname)s %(name)s %(message)s"},
    "foreign json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "format": "%(levelname)s %(name)s %(message)s",
    },
}


class Shown(logging.Handler):
    """Keeps the level and the text of what it writes."""

    every: ClassVar[dict[str, list[tuple[int, str]]]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.shown.append((record.levelno, self.format(record)))
        self.every[self.name or ""] = self.shown


def handler(formatter: str = "json", *filters: str, level: str = "NOTSET") -> dict[str, Any]:
    return {"()": Shown, "formatter": formatter, "filters": [*filters, "fold"], "level": level}


def set_up(
    handlers: dict[str, dict[str, Any]], root: str = "INFO", loggers: dict[str, Any] | None = None, **settings: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a dict for `LOGGING`, and settings of the package."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": FILTERS | CONTEXT,
        "formatters": FORMATTERS,
        "handlers": {name: dict(one) for name, one in handlers.items()},
        "root": {"handlers": [name for name in handlers if name != "own"], "level": root},
        "loggers": loggers or {},
    }
    return config, settings


SET_UPS: dict[str, Callable[[], tuple[dict[str, Any], dict[str, Any]]]] = {
    **{f"format {name}": functools.partial(lambda one: set_up({"all": handler(one)}), name) for name in FORMATTERS},
    "foreign json with the context": lambda: set_up({"all": handler("foreign json", "context")}),
    "message with the context": lambda: set_up({"all": handler("message", "context")}),
    "root at WARNING": lambda: set_up({"all": handler()}, "WARNING"),
    "root at ERROR": lambda: set_up({"all": handler()}, "ERROR"),
    "handler at WARNING": lambda: set_up({"all": handler(level="WARNING")}),
    "errors.log": lambda: set_up({"all": handler(), "errors": handler(level="ERROR")}),
    "errors.log as text": lambda: set_up({"all": handler(), "errors": handler("message", level="ERROR")}),
    "disabled": lambda: set_up({"all": handler()}, disable=logging.INFO),
    "everything at INFO": lambda: set_up({"all": handler(), "errors": handler(level="ERROR")}, LEVEL="info"),
    "levels by status": lambda: set_up({"all": handler(), "errors": handler(level="ERROR")}, LEVEL="status"),
    "own level": lambda: set_up({"all": handler()}, LEVEL=lambda status, seconds, outcome: "DEBUG"),
    "a logger at WARNING": lambda: set_up(
        {"all": handler()}, loggers={"shop.lines": {"level": "WARNING"}}, LOGGER="shop.lines"
    ),
    "a logger that is off": lambda: set_up(
        {"all": handler()}, loggers={"shop.lines": {"level": "CRITICAL"}}, LOGGER="shop.lines"
    ),
    "a logger with its own handler": lambda: set_up(
        {"all": handler(), "own": handler()},
        loggers={"shop.lines": {"handlers": ["own"], "propagate": False}},
        LOGGER="shop.lines",
    ),
    "the logger of Django's records": lambda: set_up({"all": handler()}, LOGGER="django.request"),
    "Django's logger with its own handler": lambda: set_up(
        {"all": handler(), "own": handler()}, loggers={"django": {"handlers": ["own"], "propagate": False}}
    ),
    "requests excluded, errors": lambda: set_up({"all": handler(level="ERROR")}, EXCLUDE=["/"]),
    "requests sampled out, errors": lambda: set_up({"all": handler(level="ERROR")}, SAMPLE_RATE=0.0),
}


Shows = dict[str, list[tuple[int, str]]]
"""Name of a handler -> levels and texts of what it wrote."""


def shown(config: dict[str, Any], settings: dict[str, Any], made: str, server: str) -> Shows:
    """Return what the handlers of *config* write of one request."""
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
    """Serve one request; without the package if *settings* has no ``MIDDLEWARE``."""
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
    """Return *config* as a site without the package has it."""
    handlers = {name: one | {"formatter": "message", "filters": []} for name, one in config["handlers"].items()}
    return config | {"handlers": handlers}


@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
@pytest.mark.parametrize("made", MADE_BY_A_VIEW)
@pytest.mark.parametrize("name", SET_UPS)
def test_what_django_shows_at_a_level_is_shown_at_that_level_and_once(name: str, made: str, server: str) -> None:
    config, settings = SET_UPS[name]()
    before = shown(stock(config), {"disable": settings.get("disable", 0), "with_package": False}, made, server)
    after = shown(config, settings | {"with_package": True}, made, server)

    status = MADE_BY_A_VIEW[made][0]
    for handler_name, records in before.items():
        for level, text in records:
            message = text.splitlines()[0].split(" ", 2)[2]
            least = level if level >= logging.ERROR and "LEVEL" not in settings else logging.NOTSET
            lines = [line for level_of_line, line in after.get(handler_name, ()) if level_of_line >= least]
            assert any(message in line or status_on(line) == status for line in lines), (handler_name, text)
            assert REASON not in text or any(REASON in line for line in lines), (handler_name, text)
    for handler_name, written in after.items():
        text = "\n".join(line for _, line in written)
        assert text.count("Request took") <= 1
        assert text.count("Traceback (most recent call last)") <= 1, text
        prints_fields = config["handlers"][handler_name]["formatter"] in {"json", "logfmt", "console"}
        assert len(written) <= 1 or not prints_fields, text


def status_on(line: str) -> int | None:
    found = re.search(r"status\W+(\d+)", line)
    return int(found[1]) if found else None
