"""
A small site with one of the packages of README's comparison. ``python compared.py PACKAGE`` prints the facts as JSON.

Each package is configured as its documentation says, and OpenTelemetry with spans that are kept in memory. The rows of
the comparison are the facts, see `FACTS`.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging.config
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from unittest import mock

import django
from asgiref.sync import AsyncToSync, SyncToAsync
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path

OUTPUT: Final = io.StringIO()
HANDLER: Final = {"class": "logging.StreamHandler", "stream": OUTPUT, "formatter": "one"}
SPANS: list[Any] = []
MARK: Final = "a line of the view"
SECRET: Final = "hunter2"
FORGED: Final = "6.6.6.6"
QUERIES: Final = 37
SECONDS: Final = 0.05


def page(request: HttpRequest) -> HttpResponse:
    logging.getLogger("shop").info(MARK)
    return HttpResponse("ok")


async def awaited(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def sleeps(request: HttpRequest) -> HttpResponse:
    time.sleep(SECONDS)
    return HttpResponse("ok")


def raises(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


def streams(request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            time.sleep(SECONDS)
            yield b"chunk"

    return StreamingHttpResponse(chunks())


def queries(request: HttpRequest, page: str) -> HttpResponse:
    with connection.cursor() as cursor:
        for _ in range(QUERIES):
            cursor.execute("SELECT 1")
    return HttpResponse(page)


urlpatterns = [
    *(path(f"{view.__name__}/", view) for view in (page, awaited, sleeps, raises, streams)),
    path("<slug:page>/", queries),
]


# The packages


def logging_of(formatter: dict[str, Any], filters: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a dict for `LOGGING` with one handler for all lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": filters or {},
        "formatters": {"one": formatter},
        "handlers": {"memory": HANDLER | {"filters": [*(filters or {})]}},
        "root": {"handlers": ["memory"], "level": "INFO"},
        "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
    }


def ours() -> dict[str, Any]:
    from obs_middleware import logging_config  # noqa: PLC0415 -- only where this package is compared

    config = logging_config()
    config["handlers"]["obs"]["stream"] = OUTPUT
    return {
        "apps": ["obs_middleware"],
        "middleware": ["obs_middleware.middleware.TimingMiddleware"],
        "logging": config,
    }


def django_structlog() -> dict[str, Any]:
    import structlog  # noqa: PLC0415 -- only where it is compared

    chain = [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level]
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processor": structlog.processors.JSONRenderer(),
        "foreign_pre_chain": chain,
    }
    middleware = "django_structlog.middlewares.RequestMiddleware"
    return {"apps": ["django_structlog"], "last": [middleware], "logging": logging_of(formatter)}


def django_guid() -> dict[str, Any]:
    return {
        "apps": ["django_guid"],
        "middleware": ["django_guid.middleware.guid_middleware"],
        "logging": logging_of(
            {"format": '{"id": "%(correlation_id)s", "message": "%(message)s"}'},
            {"correlation_id": {"()": "django_guid.log_filters.CorrelationId"}},
        ),
    }


def opentelemetry() -> dict[str, Any]:
    return {"logging": logging_of({"format": '{"message": "%(message)s"}'}), "after": instrument}


def instrument() -> None:
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415 -- only where it is compared
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter  # noqa: PLC0415 -- as above

    provider = TracerProvider()
    keeps = type("Keeps", (SpanExporter,), {"export": lambda _, spans: SPANS.extend(spans)})
    provider.add_span_processor(SimpleSpanProcessor(keeps()))
    DjangoInstrumentor().instrument(tracer_provider=provider)


def python_json_logger() -> dict[str, Any]:
    return {"logging": logging_of({"()": "pythonjsonlogger.json.JsonFormatter"})}


PACKAGES: Final[dict[str, tuple[str, Callable[[], dict[str, Any]]]]] = {
    "obs-middleware": ("obs-middleware", ours),
    "django-structlog": ("django-structlog", django_structlog),
    "django-guid": ("django-guid", django_guid),
    "OpenTelemetry": ("opentelemetry-instrumentation-django", opentelemetry),
    "python-json-logger": ("python-json-logger", python_json_logger),
}
"""Heading of the column → distribution, and its configuration."""


def start(package: str) -> None:
    """Configure Django with *package*."""
    found = PACKAGES[package][1]()
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            *found.get("apps", []),
        ],
        LOGGING=found["logging"],
        MIDDLEWARE=[
            *found.get("middleware", []),
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            *found.get("last", []),
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test",
    )
    found.get("after", lambda: None)()
    django.setup()


# The facts


class Seen(NamedTuple):
    """
    One request, served to its end.

    Attributes:
        lines: What the package and Django wrote of it, without the lines of the view.
        own: The lines of the view.
        spans: The spans that ended.
        headers: Those of the response.
    """

    lines: list[dict[str, Any]]
    own: list[dict[str, Any]]
    spans: list[Any]
    headers: dict[str, str]

    def where(self, has: Callable[[Any], bool]) -> str:
        """Return where a value is found that *has* what is asked for."""
        if any(has(value) for line in self.lines for value in line.values()):
            return "on the line"
        return "on the span" if any(has(value) for span in self.spans for value in span.attributes.values()) else "no"


def visit(target: str, *, chunks: int | None = None, **meta: str) -> Seen:
    """Serve a GET under WSGI, take all or the first *chunks* of its body, then close it."""
    environ = RequestFactory().get(target).environ | meta
    response: Any = WSGIHandler()(environ, mock.Mock())
    for _ in itertools.islice(response, chunks):
        pass
    if chunks is not None:
        seen()  # a line that says how the request ended cannot be older
    response.close()
    return seen(dict(response.items()))


def seen(headers: dict[str, str] | None = None) -> Seen:
    """Return all that was written since the last call."""
    lines = [json.loads(line) for line in OUTPUT.getvalue().splitlines() if line.startswith("{")]
    result = Seen(
        [line for line in lines if MARK not in line.values()],
        [line for line in lines if MARK in line.values()],
        SPANS[:],
        headers or {},
    )
    OUTPUT.seek(0)
    OUTPUT.truncate()
    SPANS.clear()
    return result


def is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f-]{32,36}", value) is not None


def lasts(at_least: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, float) and at_least <= value < at_least + 10


def duration(found: Seen, at_least: float) -> str:
    if any((span.end_time - span.start_time) / 1e9 >= at_least for span in found.spans):
        return "on the span"
    return found.where(lasts(at_least))


def yes(fact: object) -> str:
    return "yes" if fact else "no"


def hops() -> int:
    """Return how many times work goes to or from another thread in an async request, Django's own included."""
    count = 0
    original = {kind: kind.__call__ for kind in (SyncToAsync, AsyncToSync)}

    def counted(kind: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            return original[kind](self, *args, **kwargs)

        return call

    async def request() -> None:
        await AsyncClient().get("/awaited/")

    asyncio.run(request())
    with (
        mock.patch.object(SyncToAsync, "__call__", counted(SyncToAsync)),
        mock.patch.object(AsyncToSync, "__call__", counted(AsyncToSync)),
    ):
        asyncio.run(request())
    return count


def queries_of_login() -> int:
    """Return the number of queries in a request of a client who is logged in, whose view asks for no user."""
    from django.contrib.auth.models import User  # noqa: PLC0415 -- once Django is set up

    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(User.objects.create(username="ada"))
    with CaptureQueriesContext(connection) as captured:
        client.get("/page/")
    return len(captured)


def facts() -> dict[str, str]:
    """Return the facts: row of the comparison → cell."""
    plain = visit("/page/?token=" + SECRET, HTTP_X_FORWARDED_FOR=f"{FORGED}, 10.0.0.1")
    raised, stream, left = visit("/raises/"), visit("/streams/"), visit("/streams/", chunks=1)
    queried = visit("/queries/")
    return {
        "Lines of a request, and of one that fails": f"{len(plain.lines)}, {len(raised.lines)}",
        "Duration": duration(visit("/sleeps/"), SECONDS),
        "Duration of a stream, to its last byte": duration(stream, 3 * SECONDS),
        "A client that leaves a stream": yes(left.lines or left.spans),
        "Route": queried.where(lambda value: value == "<slug:page>/"),
        "Request id on your own lines": yes(any(is_id(value) for line in plain.own for value in line.values())),
        "Request id in the response": yes(any(map(is_id, plain.headers.values()))),
        "Number of database queries": queried.where(lambda value: value == QUERIES),
        "Queries added for a client who is logged in": str(queries_of_login()),
        "Secrets of the query string": plain.where(lambda value: SECRET in str(value)),
        "Address that the client forged": plain.where(lambda value: FORGED in str(value)),
        "Thread hops added to an async request": str(hops()),
    }


if __name__ == "__main__":
    start(sys.argv[1])
    print(json.dumps(facts()))
