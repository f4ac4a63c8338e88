"""
The public API as a typed project uses it.

mypy and pyright check this file in their strict modes (``make types``); nothing runs it. `mistakes.py` has the uses
that they must refuse.
"""

from __future__ import annotations

import logging.config
import sys
from typing import assert_type

import structlog
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import View

from obs_middleware import (
    annotate,
    bind,
    carry,
    get_request_id,
    in_flight,
    logging_config,
    stats,
    structlog_config,
    timed,
    unbind,
)
from obs_middleware.__main__ import COMMANDS, main
from obs_middleware.asgi import observed
from obs_middleware.decorators import exclude, quiet, sample
from obs_middleware.logs.elastic import COMPONENT, component_template, index_template, templates
from obs_middleware.logs.filters import FoldDjangoRequests, RequestContextFilter
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.handlers import LineFileHandler, LineStreamHandler, NonBlockingHandler
from obs_middleware.logs.processors import EventDict, add_exception, add_request_context, escape_controls
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequest, CapturedRequests, capture_requests, parse_line

FOREIGN = logging_config(formatter="python-json-logger", stream=None, quiet_servers=False, quiet_tests=False)
LOGGING = logging_config(service="shop", version="1.2", environment="prod", loggers={"noisy": "ERROR"})
OWN = logging_config(level="debug", processors=["shop.logs.own", lambda _, __, event: event], max_bytes=60_000)
logging.config.dictConfig(LOGGING)
structlog.configure(**structlog_config())


def abs_of(number: int) -> int:
    return abs(number)


def own_processor(logger: object, method_name: str, event_dict: EventDict) -> EventDict:
    event_dict["pod"] = "a"
    return add_exception(logger, method_name, add_request_context(logger, method_name, event_dict))


formatters: list[logging.Formatter] = [
    JSONFormatter(schema="flat", processors=[own_processor, "shop.logs.own"]),
    ConsoleFormatter(stream="stderr"),
    LogfmtFormatter(service="shop"),
    TextFormatter(),
]
handlers: list[logging.Handler] = [
    NonBlockingHandler(stream="stderr", overflow="block"),
    LineFileHandler("app.log"),
    LineStreamHandler(sys.stdout),
]
filters: list[logging.Filter] = [RequestContextFilter(), FoldDjangoRequests()]


async def view(request: HttpRequest) -> HttpResponse:
    bind(cart=7, items=["a"])
    unbind("cart", "items")
    annotate(coupon=None)
    with timed("stripe") as block:
        name: str = block.name
    async with timed(name):
        pass
    request_id: str | None = get_request_id()
    assert_type(carry(abs_of)(-1), int)
    return HttpResponse(request_id or escape_controls("-"))


@timed("bank")
def pay(cents: int, *, card: str) -> str:
    return f"{card} {cents}"


@timed("bank")
async def refund(cents: int) -> int:
    return -cents


class Middleware(TimingMiddleware):
    async def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = await super().__call__(request)
        return response


class SyncMiddleware(TimingMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = super().__call__(request)
        return response


@quiet
@sample(0.1)
def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@exclude
async def metrics(request: HttpRequest) -> HttpResponse:
    oldest: float = max((running.age_seconds for running in in_flight()), default=0.0)
    counts = stats()
    written: int = counts["written"] + counts["sink_depth"]
    return HttpResponse(f"{oldest} {written}")


@exclude
class Status(View):
    title = "status"


def decorated(request: HttpRequest, pk: int) -> JsonResponse:
    return JsonResponse({"pk": pk})


async def test_a_call_returns_what_get_response_returns() -> None:
    request = HttpRequest()
    assert_type(TimingMiddleware(health)(request), HttpResponse)
    assert_type(await TimingMiddleware(view)(request), HttpResponse)
    assert_type(SyncMiddleware(health)(request), HttpResponse)
    assert_type(await Middleware(view)(request), HttpResponse)


async def test_a_timed_function_keeps_its_type() -> None:
    assert_type(pay(7, card="a"), str)
    assert_type(await refund(7), int)


def test_a_decorator_keeps_the_type_of_the_view() -> None:
    assert_type(quiet(decorated)(HttpRequest(), pk=7), JsonResponse)
    assert_type(exclude(sample(0.5)(decorated))(HttpRequest(), 7), JsonResponse)
    assert_type(Status.title, str)


middleware: TimingMiddleware = TimingMiddleware(view)
application = observed(get_asgi_application())
response: HttpResponse = health(HttpRequest())

with capture_requests() as captured:
    lines: CapturedRequests = captured
    only: CapturedRequest = captured.one
    few: bool = only.db_repeats < 10
    first: dict[str, object] = lines[0]
    others: list[dict[str, object]] = lines.logs
    parsed: dict[str, object] = parse_line("{}")

exit_code: int = main(["elastic-template", "--for", "opensearch"])
summaries: list[str] = list(COMMANDS.values())
bodies: dict[str, dict[str, object]] = templates("shop", opensearch=True)
bodies = templates("shop", product="elasticsearch-7")
bodies[f"_component_template/{COMPONENT}"] = component_template()
bodies["_index_template/logs-shop"] = index_template("shop", pattern="shop-*", priority=300, plain=True)
