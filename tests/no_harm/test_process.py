"""Effects beyond a request: logging that fails, context variables, memory, threads."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import count
from types import BuiltinMethodType, MethodType
from typing import Any, TypeGuard

import pytest
import structlog
from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from endings.drivers import Visit, site
from no_harm.world import World, stream

_own: ContextVar[str] = ContextVar("own", default="unset")


class Dropped(BaseException):
    """Not an `Exception`, like ``structlog.DropEvent``."""


class Failing(logging.Handler):
    """A handler that fails at one place, for every record except those of asyncio."""

    def __init__(self, place: str, error: type[BaseException]) -> None:
        super().__init__()
        self.place = place
        self.error = error
        self.failures = 0

    def fail(self, place: str, record: logging.LogRecord) -> None:
        if place == self.place and record.name != "asyncio":
            self.failures += 1
            raise self.error("logging is broken")

    def filter(self, record: logging.LogRecord) -> bool:
        self.fail("filter", record)
        return True

    def format(self, record: logging.LogRecord) -> str:
        self.fail("formatter", record)
        return super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        self.fail("handler", record)
        try:
            self.format(record)
        except Exception:  # noqa: BLE001 -- like the handlers of the standard library
            self.handleError(record)


@pytest.fixture(name="broken", params=[ValueError, Dropped])
def _broken(request: pytest.FixtureRequest, place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    """The only handler of the process, and it fails."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = Failing(place, request.param)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    yield handler
    root.handlers[:], root.level = before


@pytest.mark.parametrize("place", ["filter", "formatter", "handler"])
def test_logging_that_fails_does_not_fail_the_request(world: World, broken: Failing) -> None:
    answer = world.visit(world.view(lambda request: HttpResponse("hello")))

    assert (answer.status, answer.content) == (200, b"hello")


@pytest.mark.parametrize("place", ["filter", "formatter", "handler"])
def test_logging_that_fails_does_not_fail_a_stream(world: World, broken: Failing) -> None:
    answer = world.visit(stream(world, [b"one", b"two"], []))

    assert (answer.status, answer.content) == (200, b"onetwo")


def test_context_that_was_bound_at_process_start_is_not_cleared() -> None:
    """The name of a service, bound once with structlog in the thread that then serves requests."""
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(structlog.contextvars.get_contextvars().get("service_name"))
        return HttpResponse()

    def serve() -> str | None:
        structlog.contextvars.bind_contextvars(service_name="shop")
        world.visit(view)
        return structlog.contextvars.get_contextvars().get("service_name")

    world = World("sync")

    assert (copy_context().run(serve), seen) == ("shop", ["shop"])


def test_context_variables_of_the_application_pass_through(world: World) -> None:
    """Values set above are seen in the view, and the reverse as far as without the middleware."""
    ends = []

    def view(request: HttpRequest) -> HttpResponse:
        ends.append(_own.get())
        _own.set("by the view")
        return HttpResponse()

    def serve(judged: bool) -> None:
        _own.set("from above")
        world.visit(world.view(view), judged=judged)
        ends.append(_own.get())

    for judged in (False, True):
        copy_context().run(serve, judged)

    assert ends[:2] == ends[2:]
    assert ends[0] == "from above"


@contextmanager
def forgetful_log(handler: logging.Handler | None = None) -> Iterator[None]:
    """Replace the handlers of pytest, which keep log records, and so exceptions and frames."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.setLevel(logging.INFO)
    root.handlers[:] = [handler or logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers[:], root.level = before, level


def tracked() -> list[Any]:
    """Return all objects that the collector knows after a full collection."""
    gc.unfreeze()
    gc.collect()
    found = gc.get_objects()
    gc.freeze()
    return found


def sizes() -> dict[str, int]:
    # By type(), because isinstance() would evaluate a lazy object.
    signals = [one for one in tracked() if issubclass(type(one), Signal)]
    return {
        "context variables": len(copy_context()),
        "receivers": sum(len(signal.receivers) for signal in signals),
        "loggers": len(logging.root.manager.loggerDict),
        "handlers": len(logging.root.handlers),
        "threads": threading.active_count(),
    }


def objects() -> int:
    """
    Return how many objects the collector knows, once it has collected.

    Without those of coverage: its tracer keeps four bound methods for each thread that ever ran, two of them of the
    lock of its data, and asgiref serves each ASGI request's sync code in a thread of its own.
    """
    found = tracked()
    owners = {id(one) for one in found if _is_of_coverage(one)}
    owners |= {id(lock) for one in found if _is_of_coverage(one) and (lock := vars(one).get("data_lock")) is not None}
    return sum(not _is_bound(one) or id(one.__self__) not in owners for one in found)


def _is_bound(one: object) -> TypeGuard[MethodType | BuiltinMethodType]:
    # By identity: the class of some object in a test refuses to be hashed or compared.
    return type(one) is MethodType or type(one) is BuiltinMethodType


def _is_of_coverage(one: object) -> bool:
    # Past the class's own `__getattribute__`: the class of some object in a test refuses to tell its module.
    module: object = type.__getattribute__(type(one), "__module__")
    return str(module) == "coverage.collector" and hasattr(one, "__dict__")


def test_nothing_grows_over_two_hundred_requests(world: World) -> None:
    numbers = count()

    def view(request: HttpRequest) -> HttpResponse:
        if next(numbers) % 10 == 9:
            raise ValueError("no good")
        return HttpResponse()

    # Without the test client, which connects receivers in every request.
    def request_of(number: int) -> Any:
        factory = RequestFactory() if world.mode == "sync" else AsyncRequestFactory()
        url = f"/{number}/?n={number}" if number % 3 else "/"
        return factory.get(url, headers={"X-Request-ID": f"id-{number}"})

    def visits(handler: BaseHandler, amount: int) -> None:
        for number in range(amount):
            handler.get_response(request_of(number)).close()

    async def visits_async(handler: BaseHandler, amount: int) -> None:
        for number in range(amount):
            response = await handler.get_response_async(request_of(number))
            await sync_to_async(response.close)()

    def serve() -> list[tuple[dict[str, int], int]]:
        handler = BaseHandler()
        handler.load_middleware(is_async=world.mode == "async")
        measured = []
        for amount in (20, 200, 200):
            if world.mode == "sync":
                visits(handler, amount)
            else:
                asyncio.run(visits_async(handler, amount), debug=False)
            measured.append((sizes(), objects()))
        return measured

    with forgetful_log(), site(world.view(view), world.chain(judged=True)):
        _, (before, known), (after, more) = copy_context().run(serve)

    assert {name: (before[name], size) for name, size in after.items() if size > before[name]} == {}
    # Caches of Django and of the interpreter may still grow a little. One object per request would be 200.
    assert more - known < 100


def test_no_request_and_no_response_is_kept_alive(world: World) -> None:
    kept: list[weakref.ref[Any]] = []

    def view(request: HttpRequest) -> HttpResponse:
        response = HttpResponse()
        kept.extend((weakref.ref(request), weakref.ref(response)))
        return response

    world.serve(world.view(view), Visit())
    gc.collect()

    assert [reference() for reference in kept] == [None, None]


def test_no_request_is_kept_alive_by_its_exception(world: World) -> None:
    kept: list[weakref.ref[Any]] = []

    def view(request: HttpRequest) -> HttpResponse:
        kept.append(weakref.ref(request))
        raise ValueError("no good")

    with forgetful_log():
        world.serve(world.view(view), Visit())
        gc.collect()
        alive = [reference() for reference in kept]

    assert alive == [None]
