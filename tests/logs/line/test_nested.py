"""`obs_middleware.logs.line.nested`: code that logs while a line is being formatted."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import io
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Site
from counts import changes, counts
from django.http import HttpRequest, HttpResponse
from pythonjsonlogger.json import JsonFormatter

from obs_middleware import bind
from obs_middleware.logs.filters import FoldDjangoRequests, RequestContextFilter
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import parse_line

logger = logging.Logger("shop", logging.INFO)  # noqa: LOG001 -- not in the tree: pytest would format its records first

FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "json": JSONFormatter,
    "ecs": lambda: JSONFormatter(schema="ecs"),
    "logfmt": LogfmtFormatter,
    "text": TextFormatter,
    "console": lambda: ConsoleFormatter(stream=None),
}


class Talker:
    """
    Logs *number* records each time that its code runs.

    If *again* is true, each of them has an argument that logs again; most formatters would never end.
    """

    def __init__(self, number: int, *, again: bool = True) -> None:
        self.number = number
        self.again = again
        self.calls = 0

    def talk(self, *_: Any) -> str:
        self.calls += 1
        assert self.calls < 100, "it does not end"
        for count in range(self.number):
            logger.info("inner %d of %s", count, self if self.again else "it")
        return "talked"

    __repr__ = __str__ = talk


class Items(dict[str, Any]):
    talker: Talker

    def items(self) -> Any:
        self.talker.talk()
        return super().items()


class Date(dt.date):
    talker: Talker

    def isoformat(self) -> str:
        self.talker.talk()
        return super().isoformat()


def items(talker: Talker) -> Items:
    made = Items(a=1)
    made.talker = talker
    return made


def date(talker: Talker) -> Date:
    made = Date(2026, 11, 2)
    made.talker = talker
    return made


def log_bound(value: object) -> None:
    bind(value=value)
    logger.info("outer")


def log_exception(talker: Talker) -> None:
    class Failure(Exception):
        __str__ = talker.talk

    try:
        raise Failure
    except Failure:
        logger.exception("outer")


PLACES: dict[str, Callable[[Talker], object]] = {
    "repr of a bound value": lambda talker: log_bound(talker),
    "items() of a bound value": lambda talker: log_bound(items(talker)),
    "isoformat() of a bound value": lambda talker: log_bound(date(talker)),
    "value of extra": lambda talker: logger.info("outer", extra={"value": talker}),
    "argument": lambda talker: logger.info("outer %s", talker),
    "exception": log_exception,
}
"""Code of an application that a formatter calls."""


Handler = logging.StreamHandler[io.StringIO]


@pytest.fixture(name="attach")
def _attach() -> Iterator[Callable[..., Handler]]:
    """Give the logger of this module a handler."""
    handlers: list[Handler] = []

    def attach(formatter: logging.Formatter, *filters: Any) -> Handler:
        handler = logging.StreamHandler(io.StringIO())
        handler.setFormatter(formatter)
        for one in filters:
            handler.addFilter(one)
        logger.addHandler(handler)
        handlers.append(handler)
        return handler

    yield attach
    for handler in handlers:
        logger.removeHandler(handler)


@pytest.fixture(name="handler", params=list(FORMATTERS))
def _handler(request: pytest.FixtureRequest, attach: Any) -> Handler:
    handler: Handler = attach(FORMATTERS[request.param](), FoldDjangoRequests())
    return handler


@pytest.fixture(name="event")
def _event() -> Event:
    """A request is being served, with a bound value."""
    event = Event(0.0, "the-id", "GET", "/pay/")
    current_event.set(event)
    bind(tenant="t1")
    return event


def lines_of(handler: Handler) -> list[str]:
    return [line for line in handler.stream.getvalue().splitlines() if "outer" in line or "inner" in line]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("place", PLACES)
def test_an_inner_record_is_written_without_bound_values_and_one_inside_it_is_dropped(
    handler: Any, event: Event, place: str, number: int
) -> None:
    talker = Talker(number)
    before = counts()

    PLACES[place](talker)

    lines = lines_of(handler)
    inner = [line for line in lines if "inner" in line]
    outer = [line for line in lines if "outer" in line]
    times = len(inner) // number  # a traceback calls the text of its exception more than once
    assert len(outer) == 1
    assert (times >= 1, len(inner)) == (True, number * times)
    assert not [line for line in inner if "t1" in line or "value" in line]
    assert changes(before)["sink_dropped"] == number * number * times
    if not isinstance(handler.formatter, TextFormatter):
        assert all("the-id" in line for line in inner)
        assert "t1" in outer[0]


def test_a_request_whose_bound_value_logs_ends_with_all_its_lines(site: Site, attach: Any) -> None:
    handler = attach(JSONFormatter())
    logging.getLogger().addHandler(handler)
    talker = Talker(2)

    def view(request: HttpRequest) -> HttpResponse:
        bind(basket=talker)
        logger.warning("paid")
        return HttpResponse("thanks")

    site.get(view)

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    paid, request_line = (line for line in lines if "basket" in line)
    assert (paid["basket"], request_line["basket"], request_line["status"]) == ("talked", "talked", 200)
    assert len(lines) <= 20


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_processor_may_log_and_is_not_called_for_its_own_records(attach: Any, event: Event, number: int) -> None:
    talker = Talker(number)

    def add_region(_: Any, __: str, event_dict: Any) -> Any:
        talker.talk()
        return {**event_dict, "region": "eu"}

    handler = attach(JSONFormatter(processors=[add_region]), FoldDjangoRequests())

    logger.warning("outer")

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    assert [line["message"] for line in lines if "region" in line] == ["outer"]
    assert (lines[-1]["message"], lines[-1]["tenant"]) == ("outer", "t1")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_filter_may_log(attach: Any, event: Event, number: int) -> None:
    """It runs before the record is formatted, so its records are like all others."""

    def audit(record: logging.LogRecord) -> bool:
        if record.msg == "outer":
            for count in range(number):
                logger.warning("inner %d", count)
        return True

    handler = attach(JSONFormatter(), audit)

    logger.warning("outer")

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == [*(f"inner {count}" for count in range(number)), "outer"]
    assert all(line["tenant"] == "t1" for line in lines)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_formatter_of_another_package_gets_inner_records_without_bound_values(
    attach: Any, event: Event, number: int
) -> None:
    handler = attach(JsonFormatter(), RequestContextFilter())
    bind(value=Talker(number, again=False))

    logger.warning("outer")

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    assert [line["value"] for line in lines if "value" in line] == ["talked"]
    assert all(line["request_id"] == "the-id" for line in lines)
    assert len(lines) == number + 1


@pytest.mark.parametrize("number", [1, 2])
def test_a_handler_without_our_filter_writes_the_records_that_are_too_deep_without_their_arguments(
    attach: Any, event: Event, number: int
) -> None:
    handler = attach(JSONFormatter())

    logger.warning("outer", extra={"value": Talker(number)})

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    deep = [line for line in lines if line["message"] == "inner %d of %s"]
    assert len(deep) == number * number
    assert all(line["request_id"] == "the-id" and "tenant" not in line for line in deep)


def test_a_record_of_a_thread_that_the_formatting_waits_for_is_an_inner_one(event: Event, tmp_path: Path) -> None:
    """With a handler of this package: those of the standard library hold their lock, so the thread would wait too."""

    class Waiting:
        calls = 0

        def __repr__(self) -> str:
            self.calls += 1
            thread = threading.Thread(target=contextvars.copy_context().run, args=(logger.info, "inner"))
            thread.start()
            thread.join()
            return "waited"

    waiting = Waiting()
    bind(value=waiting)
    handler = LineFileHandler(tmp_path / "shop.log")
    handler.setFormatter(JSONFormatter())
    logger.addHandler(handler)

    logger.info("outer")
    logger.removeHandler(handler)
    handler.close()

    inner, outer = map(parse_line, (tmp_path / "shop.log").read_text().splitlines())
    assert (inner["message"], "tenant" in inner, waiting.calls) == ("inner", False, 1)
    assert (outer["message"], outer["value"]) == ("outer", "waited")


def test_a_task_that_was_started_meanwhile_logs_like_any_other(attach: Any, event: Event) -> None:
    handler = attach(JSONFormatter())
    tasks: list[asyncio.Task[None]] = []

    async def later() -> None:
        logger.warning("later")

    class Starting:
        def __repr__(self) -> str:
            if not tasks:
                tasks.append(asyncio.get_running_loop().create_task(later()))
            return "started"

    async def main() -> None:
        bind(value=Starting())
        logger.warning("outer")
        await tasks[0]

    asyncio.run(main())

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    assert [(line["message"], line["tenant"], line["value"]) for line in lines] == [
        ("outer", "t1", "started"),
        ("later", "t1", "started"),
    ]


def test_a_request_line_that_is_dropped_is_counted_as_such(attach: Any) -> None:
    class Requesting:
        """Ends another request while it is formatted, as a test client in a ``__repr__`` would."""

        def __repr__(self) -> str:
            inner = Event(0.0, "inner", "GET", "/")
            inner.message = "Request took 0.1000 seconds"
            inner.say().bound["value"] = self
            before = current_event.get()
            current_event.set(inner)
            try:
                logger.warning(inner.message)
            finally:
                current_event.set(before)
            return "requested"

    handler = attach(JSONFormatter(), FoldDjangoRequests())
    before = counts()

    logger.warning("outer", extra={"value": Requesting()})

    lines = [parse_line(line) for line in handler.stream.getvalue().splitlines()]
    assert [(line["message"][:13], line["value"]) for line in lines] == [
        ("Request took ", "requested"),
        ("outer", "requested"),
    ]
    assert changes(before)["sink_dropped"] == 1
