"""`obs_middleware.measure.context`: fields that the application adds, and where the request is visible."""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from asgiref.sync import async_to_sync
from conftest import Get, Site, respond
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from pythonjsonlogger.json import JsonFormatter

from obs_middleware import annotate, bind, get_request_id, structlog_config, timed, unbind
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.measure.event import current_event
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

logger = logging.getLogger("site")

PATIENCE = 20


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_bound_fields_are_on_later_lines_and_on_the_request_line(
    get: Get, suffix: str, lines: CapturedRequests
) -> None:
    get(f"/talk{suffix}/")

    before, after = lines.logs
    assert ("cart" in before, after["cart"], lines[0]["cart"]) == (False, 7, 7)


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_an_annotation_is_on_the_request_line_only(get: Get, suffix: str, lines: CapturedRequests) -> None:
    get(f"/talk{suffix}/")

    assert lines[0]["coupon"] == "spring"
    assert all("coupon" not in line for line in lines.logs)


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_every_line_of_a_request_carries_its_id_method_and_path(get: Get, suffix: str, lines: CapturedRequests) -> None:
    response = get(f"/talk{suffix}/?q=1")

    request_id = response.content.decode()
    assert [(line["request_id"], line["method"], line["path"]) for line in (*lines, *lines.logs)] == [
        (request_id, "GET", f"/talk{suffix}/")
    ] * 3
    assert all("status" not in line for line in lines.logs)


def test_lines_of_structlog_loggers_have_the_same_fields(site: Site, lines: CapturedRequests) -> None:
    structlog.configure(**structlog_config())

    def view(request: HttpRequest) -> HttpResponse:
        bind(cart=7)
        structlog.get_logger("site").info("hello %s", "you", price=9.5, status="gold")
        return HttpResponse()

    site.get(view)

    (log,) = lines.logs
    assert (log["message"], log["logger"], log["level"]) == ("hello you", "site", "info")
    assert (log["cart"], log["price"], log["app_status"]) == (7, 9.5, "gold")
    assert log["request_id"] == lines[0]["request_id"]


def test_context_variables_of_structlog_are_kept(site: Site, lines: CapturedRequests) -> None:
    """The package neither adds to them nor clears them."""
    structlog.contextvars.bind_contextvars(region="north")

    def view(request: HttpRequest) -> HttpResponse:
        logger.info("here")
        return HttpResponse()

    site.get(view)

    assert [line["region"] for line in (*lines, *lines.logs)] == ["north", "north"]
    assert structlog.contextvars.get_contextvars() == {"region": "north"}


@pytest.mark.parametrize("url", ["/spread/", "/spread-sync/"])
def test_the_event_is_visible_wherever_the_request_goes(get: Get, url: str, lines: CapturedRequests) -> None:
    """Tasks, gathered calls, threads and both bridges of asgiref add to the same line and log with the same id."""
    get(url)

    (line,) = lines
    places = {"create_task", "gather_1", "gather_2", "wait_for", "to_thread", "sync_to_async", "async_to_sync"}
    assert {name for name in places if line.get(name) is True} == places
    assert {(log["message"], log["request_id"]) for log in lines.logs} == {(p, line["request_id"]) for p in places}


def test_a_thread_that_the_application_starts_is_outside_the_request(site: Site, lines: CapturedRequests) -> None:
    def outside() -> None:
        bind(lost=True)
        assert get_request_id() is None
        logger.info("outside")

    def view(request: HttpRequest) -> HttpResponse:
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join()
        return HttpResponse()

    site.get(view)

    assert "lost" not in lines[0]
    assert "request_id" not in lines.logs[0]


def test_outside_a_request_the_functions_do_nothing(lines: CapturedRequests) -> None:
    bind(a=1)
    annotate(b=2)
    with timed("c"):
        logger.info("alone")

    assert get_request_id() is None
    (line,) = lines.logs
    assert set(line) == {"timestamp", "level", "logger", "message", "event_id"}


@pytest.mark.parametrize("name", [*FIELDS, "event", "exc_info", "stack_info"])
def test_a_name_of_the_package_is_renamed(name: str, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(**{name: "bound"})
        annotate(**{f"other_{name}": "annotated"})
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    (line,) = lines
    assert line[f"app_{name}"] == "bound"
    assert line[f"other_{name}"] == "annotated"
    assert line.get(name) != "bound"


def test_the_last_value_wins_on_the_request_line_and_extra_wins_on_its_own_line(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(step=1)
        bind(step=2)
        logger.info("own", extra={"step": 3})
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert (lines[0]["step"], lines.logs[0]["step"]) == (2, 3)


def test_timed_adds_seconds_and_count(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        for _ in range(2):
            with timed("stripe"):
                pass
        return HttpResponse()

    with patch("time.perf_counter", side_effect=[0.0, 1.0, 1.25, 2.0, 2.5, 3.0]):
        respond(view, RequestFactory().get("/"))

    assert (lines[0]["stripe_seconds"], lines[0]["stripe_count"]) == (0.75, 2)


def test_timed_can_be_nested_and_counts_a_block_that_raises(lines: CapturedRequests) -> None:
    block = timed("work")

    def view(request: HttpRequest) -> HttpResponse:
        with pytest.raises(ValueError, match="inside"), block, block, timed("other"):
            raise ValueError("inside")
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert (lines[0]["work_count"], lines[0]["other_count"]) == (2, 1)
    assert lines[0]["work_seconds"] >= 0


def test_timed_measures_each_call_of_a_function(mode: str, lines: CapturedRequests) -> None:
    clock = 0.0

    class Bank:
        @timed("bank")
        def pay(self, cents: int) -> int:
            nonlocal clock
            clock += 2
            return cents

        @timed("bank")
        async def refund(self, cents: int) -> int:
            nonlocal clock
            await asyncio.sleep(0)
            clock += 3
            if cents < 0:
                raise ValueError("negative")
            return -cents

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{Bank().pay(7)} {asyncio.run(Bank().refund(7))}")

    async def async_view(request: HttpRequest) -> HttpResponse:
        with pytest.raises(ValueError, match="negative"):
            await Bank().refund(-1)
        return HttpResponse(f"{Bank().pay(7)} {await Bank().refund(7)}")

    async def ask() -> Any:
        return await respond(async_view, RequestFactory().get("/"))

    assert (Bank.pay.__name__, Bank.refund.__qualname__.rpartition(".")[2]) == ("pay", "refund")
    assert inspect.iscoroutinefunction(Bank.refund)
    with patch("time.perf_counter", lambda: clock):
        response = respond(view, RequestFactory().get("/")) if mode == "sync" else asyncio.run(ask())

    assert response.content == b"7 -7"
    assert (lines[0]["bank_seconds"], lines[0]["bank_count"]) == ((5, 2) if mode == "sync" else (8, 3))


def test_timed_measures_a_generator_until_it_ends(lines: CapturedRequests) -> None:
    clock = 0.0

    @timed("rows")
    def rows() -> Generator[int, int, str]:
        nonlocal clock
        clock += 1
        sent = yield 1
        clock += sent
        return "end"

    def view(request: HttpRequest) -> HttpResponse:
        nonlocal clock
        found = rows()
        clock += 100  # before the first item
        next(found)
        with pytest.raises(StopIteration, match="end"):
            found.send(10)
        closed = rows()
        next(closed)
        closed.close()
        return HttpResponse()

    with patch("time.perf_counter", lambda: clock):
        respond(view, RequestFactory().get("/"))

    assert (lines[0]["rows_seconds"], lines[0]["rows_count"]) == (12, 2)


def test_timed_measures_an_object_with_an_async_call(lines: CapturedRequests) -> None:
    clock = 0.0

    class Client:
        async def __call__(self) -> None:
            nonlocal clock
            await asyncio.sleep(0)
            clock += 3

    async def async_view(request: HttpRequest) -> HttpResponse:
        await timed("bank")(Client())()
        return HttpResponse()

    async def ask() -> Any:
        return await respond(async_view, RequestFactory().get("/"))

    with patch("time.perf_counter", lambda: clock):
        asyncio.run(ask())

    assert (lines[0]["bank_seconds"], lines[0]["bank_count"]) == (3, 1)


async def _numbers() -> AsyncGenerator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (_numbers, "in its body"),
        (Site, "a function or a method"),
        (staticmethod(print), "below @staticmethod"),
        (classmethod(print), "below @staticmethod"),
        (7, "a function or a method"),
    ],
    ids=["async generator", "class", "staticmethod", "classmethod", "number"],
)
def test_timed_refuses_to_measure_something_that_it_would_break(function: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        timed("work")(function)


def test_timed_without_a_name_says_so_at_the_decorated_function() -> None:
    with pytest.raises(TypeError, match='write @timed\\("stripe"\\)'):

        @timed  # type: ignore[arg-type]  # the mistake under test
        def function() -> None:
            pass


def test_an_unbound_field_is_not_on_later_lines(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        unbind("cart")
        annotate(coupon="spring")
        bind(cart=7, status="gold", region="north")
        logger.info("before")
        unbind("cart", "status", "coupon", "method", "never")
        logger.info("after")
        return HttpResponse()

    unbind("cart")
    site.get(view)

    names = ("cart", "app_status", "region", "coupon", "method")
    before, after = ([name for name in names if name in log] for log in lines.logs)
    assert before == ["cart", "app_status", "region", "method"]
    assert after == ["region", "method"]
    assert [name for name in names if name in lines[0]] == ["region", "coupon", "method"]


def test_timed_adds_up_across_tasks(lines: CapturedRequests) -> None:
    async def call() -> None:
        async with timed("api"):
            await asyncio.sleep(0)

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.gather(call(), call(), call())
        return HttpResponse()

    async def visit() -> None:
        await respond(view, RequestFactory().get("/"))

    asyncio.run(visit())

    assert lines[0]["api_count"] == 3


def test_requests_that_share_a_timed_object_keep_their_own_times(mode: str, lines: CapturedRequests) -> None:
    bank = timed("bank")
    clock = 0.0
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first(request: HttpRequest) -> HttpResponse:
        nonlocal clock
        with bank:
            first_is_in.set()
            assert second_is_in.wait(PATIENCE)
            clock = 5.0
        first_is_out.set()
        return HttpResponse()

    def second(request: HttpRequest) -> HttpResponse:
        nonlocal clock
        assert first_is_in.wait(PATIENCE)
        clock = 3.0
        with bank:
            second_is_in.set()
            assert first_is_out.wait(PATIENCE)
            clock = 7.0
        return HttpResponse()

    async def both() -> None:
        await asyncio.gather(*(asyncio.to_thread(visit, view) for view in (first, second)))

    def visit(view: Any) -> None:
        if mode == "sync":
            respond(view, RequestFactory().get(f"/{view.__name__}"))
        else:

            async def async_view(request: HttpRequest) -> HttpResponse:
                return await asyncio.to_thread(view, request)

            async def ask() -> None:
                await respond(async_view, RequestFactory().get(f"/{view.__name__}"))

            asyncio.run(ask())

    with patch("time.perf_counter", lambda: clock):
        asyncio.run(both())

    assert {line["path"]: (line["bank_seconds"], line["bank_count"]) for line in lines} == {
        "/first": (5.0, 1),
        "/second": (4.0, 1),
    }


def test_a_timed_block_that_was_entered_elsewhere_is_not_counted(lines: CapturedRequests) -> None:
    """A generator of the application may be entered outside a request, or in another one."""
    outside, shared = timed("outside"), timed("shared")

    def view(request: HttpRequest) -> HttpResponse:
        if request.path == "/first":
            shared.__enter__()
        else:
            outside.__exit__(None, None, None)
            with timed("other"):
                shared.__exit__(None, None, None)
        return HttpResponse()

    outside.__enter__()
    for url in ("/first", "/second"):
        respond(view, RequestFactory().get(url))

    assert [[name for name in line if name.endswith("_count")] for line in lines] == [[], ["other_count"]]


def test_a_timed_name_cannot_overwrite_a_field(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with timed("duration"):
            pass
        return HttpResponse()

    respond(view, RequestFactory().get("/"))

    assert "app_duration_seconds" in lines[0]


@pytest.mark.django_db  # closing a response closes old connections
@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_a_request_inside_a_request_leaves_even_if_nobody_closes_its_response(
    streams: bool, mode: str, lines: CapturedRequests
) -> None:
    kept: list[Any] = []
    ids: list[str | None] = []

    def inner(request: HttpRequest) -> Any:
        return StreamingHttpResponse(iter([b"x"])) if streams else HttpResponse()

    async def async_inner(request: HttpRequest) -> Any:
        return inner(request)

    def view(request: HttpRequest) -> HttpResponse:
        ids.append(get_request_id())
        kept.append(respond(inner, RequestFactory().get("/inner/")))
        ids.append(get_request_id())
        logger.info("outer")
        return HttpResponse()

    async def async_view(request: HttpRequest) -> HttpResponse:
        ids.append(get_request_id())
        kept.append(await respond(async_inner, RequestFactory().get("/inner/")))
        ids.append(get_request_id())
        logger.info("outer")
        return HttpResponse()

    async def ask() -> None:
        await respond(async_view, RequestFactory().get("/outer/"))

    if mode == "sync":
        respond(view, RequestFactory().get("/outer/"))
    else:
        asyncio.run(ask())
    for response in kept:
        response.close()

    outer = next(line for line in lines if line["path"] == "/outer/")
    assert ids == [outer["request_id"]] * 2
    assert [log["path"] for log in lines.logs] == ["/outer/"]


def test_a_request_inside_a_request_has_its_own_line_and_restores_the_outer_one(
    mode: str, lines: CapturedRequests
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        before = get_request_id()
        bind(outer=True)
        if request.path == "/":
            (Client().get if mode == "sync" else async_to_sync(AsyncClient().get))("/inner/")
            bind(after=True)
        assert get_request_id() == before
        return HttpResponse()

    urls = type("urls", (), {"urlpatterns": [path("", view), path("inner/", view)]})
    with override_settings(ROOT_URLCONF=urls):
        Client().get("/")

    inner, outer = lines
    assert (inner["path"], "after" in inner) == ("/inner/", False)
    assert (outer["path"], outer["after"]) == ("/", True)
    assert inner["request_id"] != outer["request_id"]


def test_a_hundred_requests_at_once_do_not_mix(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        number = request.GET["n"]
        bind(number=number)
        await asyncio.sleep(0)
        logger.info(number)
        await asyncio.sleep(0)
        return HttpResponse(number)

    middleware: Any = TimingMiddleware(view)

    async def visit() -> None:
        await asyncio.gather(*(middleware(RequestFactory().get(f"/{n}", {"n": n})) for n in range(100)))

    asyncio.run(visit())

    assert {(line["path"], line["number"]) for line in lines} == {(f"/{n}", str(n)) for n in range(100)}
    ids = {line["number"]: line["request_id"] for line in lines}
    assert all(log["request_id"] == ids[log["message"]] for log in lines.logs)


def test_a_hundred_requests_in_threads_do_not_mix(lines: CapturedRequests) -> None:
    def visit(number: int) -> None:
        Client().get(f"/shop/item/{number}/")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(100)))

    assert {line["path"] for line in lines} == {f"/shop/item/{n}/" for n in range(100)}
    assert len({line["request_id"] for line in lines}) == 100


def test_a_task_that_outlives_its_request_is_harmless_and_keeps_its_id(lines: CapturedRequests) -> None:
    async def visit() -> None:
        go = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def later() -> None:
            logger.info("in time")
            await go.wait()
            bind(late=True)
            with timed("late"):
                logger.info("late")

        async def view(request: HttpRequest) -> HttpResponse:
            tasks.append(asyncio.create_task(later()))
            await asyncio.sleep(0)
            return HttpResponse()

        await respond(view, RequestFactory().get("/"))
        go.set()
        await tasks[0]

    asyncio.run(visit())

    (line,) = lines
    assert "late" not in line
    assert "after_response" not in line
    assert [(log["message"], log["request_id"], log.get("after_response")) for log in lines.logs] == [
        ("in time", line["request_id"], None),
        ("late", line["request_id"], True),
    ]


FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "flat": JSONFormatter,
    "a chain": lambda: JSONFormatter(processors=[lambda _, __, event_dict: event_dict]),
    "gcp": lambda: JSONFormatter(schema="gcp"),
    "another package": JsonFormatter,
}


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("traced", [False, True])
def test_lines_after_the_request_line_say_so_in_every_format(formatter: str, traced: bool, site: Site) -> None:
    """Except Django's own records, which come before the response is sent: here "Not Found", which is not folded."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[formatter]())
    if formatter == "another package":
        handler.addFilter(RequestContextFilter())
    logging.getLogger().addHandler(handler)

    def view(request: HttpRequest) -> Any:
        response: Any = HttpResponse(status=404)
        response._resource_closers.append(lambda: logger.info("late"))
        return response

    site.get(view, headers={"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"} if traced else None)

    texts = stream.getvalue().splitlines()
    assert [next(name for name in ("Request took", "Not Found", "late") if name in text) for text in texts] == [
        "Request took",
        "Not Found",
        "late",
    ]
    assert ["after_response" in text for text in texts] == [False, False, True]


def test_a_reused_thread_starts_clean(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(leftover=True)
        raise SystemExit

    with pytest.raises(SystemExit):
        respond(view, RequestFactory().get("/"))

    assert current_event.get() is None
    logger.info("between")
    assert "request_id" not in lines.logs[-1]


def test_the_same_text_logged_by_the_application_is_not_a_request_line(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> Any:
        logging.info("Request took 0.1234 seconds")
        return HttpResponse()

    site.get(view)

    assert len(lines) == 1
    assert ["status" in log for log in lines.logs] == [False]
