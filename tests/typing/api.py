"""The public API as a typed project uses it; read by type checkers, run by nobody."""

from __future__ import annotations

import logging.config

import structlog
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse

from obs_middleware import (
    annotate,
    bind,
    get_request_id,
    in_flight,
    logging_config,
    stats,
    structlog_config,
    timed,
)
from obs_middleware.__main__ import COMMANDS, main
from obs_middleware.asgi import observed
from obs_middleware.decorators import exclude, quiet, sample
from obs_middleware.logs.elastic import COMPONENT, component_template, index_template, templates
from obs_middleware.logs.filters import FoldDjangoRequests, RequestContextFilter
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.processors import EventDict, add_exception, add_request_context, escape_controls
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests, capture_requests, parse_line

LOGGING = logging_config(service="shop", version="1.2", environment="prod", loggers={"noisy": "ERROR"})
logging.config.dictConfig(LOGGING)
structlog.configure(**structlog_config())


def own_processor(logger: object, method_name: str, event_dict: EventDict) -> EventDict:
    event_dict["pod"] = "a"
    return add_exception(logger, method_name, add_request_context(logger, method_name, event_dict))


formatters: list[logging.Formatter] = [
    JSONFormatter(schema="flat", processors=[own_processor, "shop.logs.own"]),
    ConsoleFormatter(stream="stderr"),
    LogfmtFormatter(service="shop"),
    TextFormatter(),
]
filters: list[logging.Filter] = [RequestContextFilter(), FoldDjangoRequests()]


async def view(request: HttpRequest) -> HttpResponse:
    bind(cart=7, items=["a"])
    annotate(coupon=None)
    with timed("stripe") as block:
        name: str = block.name
    async with timed(name):
        pass
    request_id: str | None = get_request_id()
    return HttpResponse(request_id or escape_controls("-"))


class Middleware(TimingMiddleware):
    async def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = await super().__call__(request)
        return response


@quiet
@sample(0.1)
def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@exclude
async def metrics(request: HttpRequest) -> HttpResponse:
    oldest: float = max((running.age_seconds for running in in_flight()), default=0.0)
    written: int = stats()["written"]
    return HttpResponse(f"{oldest} {written}")


middleware = TimingMiddleware(view)
application = observed(get_asgi_application())
response: HttpResponse = health(HttpRequest())

with capture_requests() as captured:
    lines: CapturedRequests = captured
    first: dict[str, object] = lines[0]
    others: list[dict[str, object]] = lines.logs
    parsed: dict[str, object] = parse_line("{}")

exit_code: int = main(["elastic-template", "--opensearch"])
summaries: list[str] = [command.summary for command in COMMANDS.values()]
bodies: dict[str, dict[str, object]] = templates("shop", opensearch=True)
bodies[f"_component_template/{COMPONENT}"] = component_template()
bodies["_index_template/logs-shop"] = index_template("shop", pattern="shop-*", priority=300, plain=True)
