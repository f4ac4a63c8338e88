"""
Mistakes in the use of the public API, each of which must be a type error.

mypy and pyright check this file in their strict modes (``make types``); nothing runs it. Each ``type: ignore`` expects
an error on its line: both checkers report an ignore that hides nothing, so an API that accepts a mistake fails.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from obs_middleware import bind, carry, get_request_id, logging_config, stats, timed, unbind
from obs_middleware.asgi import observed
from obs_middleware.decorators import exclude, quiet, sample
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import capture_requests


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


# Options that do not exist, and values that an option does not take

logging_config(schema="esc")  # type: ignore[arg-type]
logging_config(format="jsn")  # type: ignore[arg-type]
logging_config(stream="sdtout")  # type: ignore[arg-type]
logging_config(servce="shop")  # type: ignore[call-arg]
logging_config("flat")  # type: ignore[call-arg]
logging_config(level=1.5)  # type: ignore[arg-type]
logging_config(max_bytes="9000")  # type: ignore[arg-type]
logging_config(processors=[len])  # type: ignore[list-item]
logging_config(processors=print)  # type: ignore[arg-type]
logging_config(nonblocking="no")  # type: ignore[arg-type]
JSONFormatter(schema="ECS")  # type: ignore[arg-type]
JSONFormatter(stream="out")  # type: ignore[arg-type]
JSONFormatter(processors=[len])  # type: ignore[list-item]
ConsoleFormatter(schema="flat")  # type: ignore[call-arg]
NonBlockingHandler(overflow="wait")  # type: ignore[arg-type]
capture_requests(level="INFO")  # type: ignore[arg-type]

# Names and types of what comes back

stats()["writen"]  # type: ignore[typeddict-item]
stats()["written"].upper()  # type: ignore[attr-defined]
carry(logging_config)(schema=7)  # type: ignore[arg-type]  # the arguments of the function
request_id: str = get_request_id()  # type: ignore[assignment]  # None outside a request

# What an application calls

bind({"cart": 7})  # type: ignore[call-arg]
unbind(cart=7)  # type: ignore[call-arg]
unbind(7)  # type: ignore[arg-type]
timed()  # type: ignore[call-arg]
timed(view)  # type: ignore[arg-type]
timed("stripe")(7)  # type: ignore[type-var]
timed("stripe")(view)()  # type: ignore[call-arg]
timed(7)  # type: ignore[arg-type]
with timed("stripe") as block:
    block.seconds  # type: ignore[attr-defined]

# The middleware: a call returns what `get_response` returns

TimingMiddleware()  # type: ignore[call-arg]
TimingMiddleware("shop.views.home")  # type: ignore[arg-type]
forgotten: HttpResponse = TimingMiddleware(async_view)(HttpRequest())  # type: ignore[assignment]


async def awaited() -> None:
    await TimingMiddleware(view)(HttpRequest())  # type: ignore[misc]


observed(view)  # type: ignore[arg-type]

# The decorators keep the type of the view

exclude(7)  # type: ignore[type-var]
sample("0.1")  # type: ignore[arg-type]
quiet(view)()  # type: ignore[call-arg]
number: int = sample(0.1)(view)(HttpRequest())  # type: ignore[assignment]
