"""
What stock Django shows at a level, a site with the package shows at that level: on the line, or as Django's own record.

Each set-up of handlers and levels sees each record that Django makes of a response, first without the package and then
with it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from nothing_hidden import MADE_BY_A_VIEW, MESSAGE_ALONE, Shown, check_nothing_is_hidden, check_once, shown, stock

FILTERS = {"fold": {"()": "obs_middleware.logs.filters.FoldDjangoRequests"}}
CONTEXT = {"context": {"()": "obs_middleware.logs.filters.RequestContextFilter"}}
FORMATTERS = {
    "json": {"()": "obs_middleware.logs.formatters.JSONFormatter"},
    "logfmt": {"()": "obs_middleware.logs.formatters.LogfmtFormatter"},
    "console": {"()": "obs_middleware.logs.formatters.ConsoleFormatter", "stream": None},
    "text": {"()": "obs_middleware.logs.formatters.TextFormatter"},
    **MESSAGE_ALONE,
    "foreign json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "format": "%(levelname)s %(name)s %(message)s",
    },
}


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


@pytest.mark.parametrize("server", ["wsgi", "asgi", "asgi observed"])
@pytest.mark.parametrize("made", MADE_BY_A_VIEW)
@pytest.mark.parametrize("name", SET_UPS)
def test_what_django_shows_at_a_level_is_shown_at_that_level_and_once(name: str, made: str, server: str) -> None:
    config, settings = SET_UPS[name]()
    before = shown(stock(config), {"disable": settings.get("disable", 0), "with_package": False}, made, server)
    after = shown(config, settings | {"with_package": True}, made, server)

    check_nothing_is_hidden(before, after, MADE_BY_A_VIEW[made][0], decides="LEVEL" in settings)
    check_once(after)
