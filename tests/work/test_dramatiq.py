"""Dramatiq: one line for each attempt to process a message, with its own broker for tests and real worker threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from django.http import HttpRequest, HttpResponse
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit, Retries, Shutdown, SkipMessage, TimeLimitExceeded
from work.table import Row, check, row_of, without_us

from obs_middleware import annotate, bind
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests
from obs_middleware.work import tasks


@pytest.fixture(name="broker")
def _broker() -> Iterator[StubBroker]:
    broker = StubBroker(middleware=[AgeLimit(), Retries(min_backoff=1, max_backoff=1)])
    broker.emit_after("process_boot")
    yield broker
    broker.close()


def process(broker: StubBroker) -> None:
    """Let a worker process all messages that are in the queue, and their retries."""
    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    try:
        broker.join("default", timeout=20_000, fail_fast=False)
        worker.join()
    finally:
        worker.stop()


def actor(broker: StubBroker, function: Callable[..., Any], name: str = "pay", **options: Any) -> Any:
    return dramatiq.actor(broker=broker, actor_name=name, **options)(function)


def fail(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


def send_in_a_request(*actors: Any, **options: Any) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        bind(shop="north")
        for one in actors:
            one.send_with_options(**options)
        return HttpResponse()

    request = HttpRequest()
    request.META["HTTP_X_REQUEST_ID"] = "r-1"
    TimingMiddleware(view)(request)


def test_the_line_of_a_message(broker: StubBroker, lines: CapturedRequests) -> None:
    send_in_a_request(actor(broker, lambda: annotate(rows=3)))
    process(broker)

    request, line = lines
    assert (line["task"], line["queue"], line["attempt"], line["outcome"]) == ("pay", "default", 1, "ok")
    assert (line["request_id"], line["shop"], line["rows"]) == ("r-1", "north", 3)
    assert line["queue_seconds"] >= 0
    assert "tasks" not in request


def test_a_delayed_message_waits_from_the_beginning(broker: StubBroker, lines: CapturedRequests) -> None:
    send_in_a_request(actor(broker, lambda: None), delay=200)
    process(broker)

    assert [line["request_id"] for line in lines] == ["r-1", "r-1"]
    assert lines[1]["queue_seconds"] >= 0.15


def test_a_retry_is_an_attempt_with_a_line(broker: StubBroker, lines: CapturedRequests) -> None:
    send_in_a_request(actor(broker, fail(ValueError("no")), max_retries=2))
    process(broker)

    attempts = [(line["attempt"], line["outcome"], line["level"], line["error_type"]) for line in lines[1:]]
    assert attempts == [
        (1, "retry", "warning", "ValueError"),
        (2, "retry", "warning", "ValueError"),
        (3, "error", "error", "ValueError"),
    ]
    assert {(line["request_id"], line["shop"]) for line in lines[1:]} == {("r-1", "north")}
    assert all("parent_task_id" not in line for line in lines)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("expected"), "error"),
        (TimeLimitExceeded(), "timeout"),
        (Shutdown(), "killed"),
        (SkipMessage("no"), "ignored"),
    ],
)
def test_how_a_message_can_end(error: BaseException, outcome: str, broker: StubBroker, lines: CapturedRequests) -> None:
    send_in_a_request(actor(broker, fail(error), max_retries=0, throws=ValueError))
    process(broker)

    assert [line["outcome"] for line in lines[1:]] == [outcome]


def test_a_message_that_is_too_old(broker: StubBroker, lines: CapturedRequests) -> None:
    send_in_a_request(actor(broker, lambda: None, max_age=-1))
    process(broker)

    assert [line["outcome"] for line in lines[1:]] == ["expired"]


def test_a_message_sent_by_another_one(broker: StubBroker, lines: CapturedRequests) -> None:
    child = actor(broker, lambda: None)
    parent = actor(broker, lambda: child.send(), "order")
    send_in_a_request(parent)
    process(broker)

    _, first, second = lines
    assert (first["task"], first["outcome"], second["task"]) == ("order", "ok", "pay")
    assert (second["parent_task_id"], second["request_id"]) == (first["task_id"], "r-1")


def test_an_actor_called_as_a_function_is_part_of_its_caller(broker: StubBroker, lines: CapturedRequests) -> None:
    with tasks.running("outer", "t-0"):
        actor(broker, lambda: annotate(rows=3))()

    assert [(line["task"], line["rows"]) for line in lines] == [("outer", 3)]


ENDINGS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "The actor returns.": (lambda: None, {}),
    "It raises.": (fail(ValueError("no")), {"max_retries": 0}),
    "It raises, with `max_retries=1`.": (fail(ValueError("no")), {"max_retries": 1}),
    "It runs longer than `time_limit`.": (fail(TimeLimitExceeded()), {"max_retries": 0}),
    "The worker stops while it runs.": (fail(Shutdown()), {"max_retries": 0}),
    "It is older than `max_age`.": (lambda: None, {"max_age": -1}),
    "A middleware skips it.": (fail(SkipMessage("no")), {}),
}
"""What happens, for docs/reference/work.md -> the actor and its options."""


def test_the_page_shows_the_table(lines: CapturedRequests, broker: StubBroker) -> None:
    rows: list[Row] = []
    for ending, (function, options) in ENDINGS.items():
        lines.clear()
        lines.logs.clear()
        send_in_a_request(actor(broker, function, f"actor-{len(rows)}", **options))
        process(broker)
        tasks_lines = lines[1:]
        # Dramatiq's own lines are not folded, so they are those that you get without this package.
        others = [one["message"] for one in lines.logs if tasks_lines[0]["task_id"] in one["message"]]
        rows.append(row_of(ending, "threads", tasks_lines, "r-1", without_us(others, " in .* ms")))
    check("Dramatiq", rows)
