"""
What a client or an application may make large: the cost of a line grows no faster than it does.

Costs are counted in lines of Python and in bytes, so a busy machine does not matter. Regular expressions and encoders
are not counted in lines; the bytes show whether they get more than they need.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from conftest import Site
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from steps import peak_bytes, steps

from obs_middleware import annotate, bind, timed
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter

FEW, MANY = 600, 1_200
MOST = 2.6
"""Twice as many of anything may cost this many times as much. Quadratic growth would be four times."""

logger = logging.Logger("shop", logging.INFO)  # noqa: LOG001 -- not in the tree: only the handler below gets its records

# The other formats differ from these only in the renderer.
FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "json": JSONFormatter,
    "gcp": lambda: JSONFormatter(schema="gcp"),
    "console": lambda: ConsoleFormatter(stream=None),
}


@pytest.fixture(name="handler", params=list(FORMATTERS))
def _handler(request: pytest.FixtureRequest) -> Iterator[logging.Handler]:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(FORMATTERS[request.param]())
    logging.getLogger().addHandler(handler)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def greek(number: int) -> str:
    """Return a name of two letters that no key may have, so that all such names become the same key."""
    return chr(0x391 + number % 40) + chr(0x391 + number // 40)


def check_growth(cost: Callable[[int], int]) -> None:
    cost(1)
    few, many = cost(FEW), cost(MANY)
    if many >= MOST * few:  # something that happens once may be in one of the two
        few, many = cost(FEW), cost(MANY)
    assert many < MOST * few


# What a client sends


def query_of(make: Callable[[int], str]) -> Callable[[int], dict[str, Any]]:
    return lambda number: {"url": "/?" + "&".join(make(n) for n in range(number))}


REQUESTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "a path": lambda number: {"url": "/" + "x" * number, "route": "<path:rest>"},
    "parameters": query_of(lambda n: f"name{n}=1"),
    "parameters whose names become one": query_of(lambda n: f"{quote(greek(n))}=1"),
    "secrets": query_of(lambda n: f"token{n}=abc"),
    "a value in a query": lambda number: {"url": "/?next=" + "https://a:b@c/?token=x%26" * number},
    "a name in a query": lambda number: {"url": f"/?{'token' * number}=1"},
    "hops": lambda number: {"headers": {"X-Forwarded-For": ",".join(["10.0.0.1"] * number)}},
    "elements": lambda number: {"headers": {"Forwarded": ",".join(['for="10.0.0.1"'] * number)}},
    "quotes": lambda number: {"headers": {"Forwarded": 'for="' * number}},
    "an id": lambda number: {"headers": {"X-Request-ID": "x" * number}},
    "a trace": lambda number: {"headers": {"traceparent": "00-" + "a" * number, "tracestate": "a=1," * number}},
    "a browser": lambda number: {"headers": {"User-Agent": "\xad" * number, "Referer": "/?a=" + "x" * number}},
    "a header": lambda number: {"headers": {"X-Tenant": "x" * number, "Cookie": "a=1; " * number}},
    "a host": lambda number: {"headers": {"Host": "a" + ":1" * number}},
}
EVERYTHING = {
    "FIELDS": ["query", "user_agent", "referrer", "host", "scheme", "http_version"],
    "HEADERS": ["X-Tenant", "Cookie"],
    "TRUSTED_PROXIES": ["127.0.0.0/8", "10.0.0.0/8"],
}


def search(request: HttpRequest, rest: str = "") -> HttpResponse:
    bind(**request.GET.dict())
    logger.info("found %s", request.GET)
    return HttpResponse("nothing found")


@pytest.mark.parametrize("what", REQUESTS)
def test_twice_as_much_from_a_client_costs_twice_as_much(handler: logging.Handler, site: Site, what: str) -> None:
    def cost(number: int) -> int:
        return steps(lambda: site.get(search, OBS_MIDDLEWARE=EVERYTHING, **REQUESTS[what](number)))

    check_growth(cost)


# What an application gives


def log_chain(number: int) -> None:
    error: BaseException | None = None
    for count in range(number):
        error, cause = ValueError(f"failure {count}"), error
        error.__cause__ = cause
    logger.error("failed", exc_info=error)


def measure_blocks(number: int, name: Callable[[int], str]) -> None:
    for count in range(number):
        with timed(name(count)):
            pass


def bind_contextvars(number: int) -> None:
    structlog.contextvars.bind_contextvars(**{greek(n): n for n in range(number)})
    logger.info("x")
    structlog.contextvars.clear_contextvars()


ACTIONS: dict[str, Callable[[int], object]] = {
    "bound names": lambda number: bind(**{f"name{n}": n for n in range(number)}),
    "bound names that become one": lambda number: bind(**{greek(n): n for n in range(number)}),
    "bound names with numbers": lambda number: bind(
        **{f"a_{n}": n for n in range(number)}, **{"a.": 1, "a-": 2, "a ": 3}
    ),
    "annotations": lambda number: annotate(**{greek(n): n for n in range(number)}),
    "extra": lambda number: logger.info("x", extra={greek(n): n for n in range(number)}),
    "extra of our names": lambda number: logger.info(
        "x", extra={"status": 1, **{f"app_status_{n}": n for n in range(number)}}
    ),
    "an event of structlog": lambda number: logger.info({"event": "x", **{greek(n): n for n in range(number)}}),
    "structlog's variables": bind_contextvars,
    "a list": lambda number: bind(value=list(range(number))),
    "a mapping": lambda number: bind(value={greek(n): n for n in range(number)}),
    "lists in lists": lambda number: bind(value=[list(range(number))] * number),
    "texts": lambda number: bind(value=["x" * number] * number),
    "a text": lambda number: bind(value="\0é" * number),
    "a repr": lambda number: bind(value=ValueError("password=1, " * number)),
    "a message": lambda number: logger.info("\u2028 " * number),
    "arguments": lambda number: logger.info("%s" * number, *range(number)),
    "a chain of exceptions": log_chain,
    "a message of an exception": lambda number: logger.error(
        "x", exc_info=ValueError('  File "a", line 1\n' * 5 * number)
    ),
    "blocks": lambda number: measure_blocks(number, lambda _: "bank"),
    "names of blocks": lambda number: measure_blocks(number, greek),
}


# Fields and texts are the same under WSGI and under ASGI.
any_site = Site("sync")


@pytest.mark.parametrize("what", ACTIONS)
def test_twice_as_much_from_the_application_costs_twice_as_much(handler: logging.Handler, what: str) -> None:
    def cost(number: int) -> int:
        def view(request: HttpRequest) -> HttpResponse:
            ACTIONS[what](number)
            logger.info("again")
            return HttpResponse("done")

        return steps(lambda: any_site.get(view))

    check_growth(cost)


def test_twice_as_many_chunks_cost_twice_as_much(handler: logging.Handler, site: Site) -> None:
    def cost(number: int) -> int:
        def read(number: int) -> None:
            response = site.get(lambda request: StreamingHttpResponse(iter([b"x"] * number)))
            if not response.is_async:
                response.getvalue()

        return steps(lambda: read(number))

    check_growth(cost)


# Long texts

LONG: dict[str, Callable[[str], object]] = {
    "bound": lambda text: bind(value=text),
    "annotated": lambda text: annotate(value=text),
    "in a list": lambda text: bind(value=[text]),
    "in a mapping": lambda text: bind(value={"a": text}),
    "in extra": lambda text: logger.info("x", extra={"value": text}),
    "as the message": logger.info,
    "in structlog's event": lambda text: logger.info({"event": "x", "value": text}),
}


@pytest.mark.parametrize("character", ["x", "é", "\0", "\u2028"], ids=["ascii", "latin", "nul", "hidden"])
@pytest.mark.parametrize("place", LONG)
def test_a_long_text_is_cut_before_it_is_encoded(handler: logging.Handler, place: str, character: str) -> None:
    """The second request counts, for which the name of the field is known."""
    text = character * 3_000_000

    def view(request: HttpRequest) -> HttpResponse:
        LONG[place](text)
        logger.info("again")
        return HttpResponse("done")

    any_site.get(view)

    assert peak_bytes(lambda: any_site.get(view)) < 4_000_000


def test_a_line_of_the_console_is_bounded() -> None:
    formatter = ConsoleFormatter(stream=None)
    record = logging.makeLogRecord(
        {"msg": "\x1b" * 10**6, "stack": ["\x1b" * 10**6] * 50, **{f"key{n}": "\x1b" * 10**6 for n in range(150)}}
    )

    text = formatter.format(record)

    assert len(text) < 2_000_000
    assert "truncated" in text
