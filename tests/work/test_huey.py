"""Huey: one line for each attempt to do a task, found from the request by the id of the task."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from huey import CancelExecution, MemoryHuey, RetryTask
from huey.exceptions import RateLimitExceeded, TaskLockedException, TaskTimeout
from work.table import Row, check, row_of, without_us

from obs_middleware import annotate
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests


@pytest.fixture(name="huey")
def _huey() -> MemoryHuey:
    return MemoryHuey("shop", utc=True)


def in_a_request(function: Callable[[], Any]) -> Any:
    results: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        results.append(function())
        return HttpResponse()

    TimingMiddleware(view)(HttpRequest())
    return results[0]


def work(huey: MemoryHuey) -> None:
    """Do what a worker of Huey does, until nothing is left."""
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


def fail(error: BaseException) -> Callable[[], None]:
    def pay() -> None:
        raise error

    return pay


def test_the_line_of_a_task(huey: MemoryHuey, lines: CapturedRequests) -> None:
    def pay() -> None:
        annotate(rows=3)

    result = in_a_request(huey.task()(pay))
    work(huey)

    request, line = lines
    assert request["tasks"] == [result.id] == [line["task_id"]]
    assert (line["task"], line["queue"], line["attempt"], line["outcome"]) == (f"{__name__}.pay", "shop", 1, "ok")
    assert line["rows"] == 3


def test_an_immediate_task_is_part_of_the_request(lines: CapturedRequests) -> None:
    huey = MemoryHuey("shop", immediate=True)
    in_a_request(huey.task()(lambda: annotate(rows=3)))

    (request,) = lines
    assert request["rows"] == 3
    assert not request.get("tasks")


def test_a_retry_is_an_attempt_with_a_line(huey: MemoryHuey, lines: CapturedRequests) -> None:
    in_a_request(huey.task(retries=2)(fail(ValueError("no"))))
    work(huey)

    attempts = [(line["attempt"], line["outcome"], line["level"], line["error_type"]) for line in lines[1:]]
    assert attempts == [
        (1, "retry", "warning", "ValueError"),
        (2, "retry", "warning", "ValueError"),
        (3, "error", "error", "ValueError"),
    ]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("no"), "error"),
        (TaskTimeout(), "timeout"),
        (TaskLockedException("busy"), "rejected"),
        (RateLimitExceeded("pay", 1, retry=False), "rejected"),
        (CancelExecution(), "ignored"),
        (KeyboardInterrupt(), "killed"),
        (RetryTask(delay=1000), "retry"),
    ],
)
def test_how_a_task_can_end(error: BaseException, outcome: str, huey: MemoryHuey, lines: CapturedRequests) -> None:
    in_a_request(huey.task()(fail(error)))
    work(huey)

    assert [line["outcome"] for line in lines[1:]] == [outcome]


def test_a_task_that_is_revoked_or_too_old(huey: MemoryHuey, lines: CapturedRequests) -> None:
    pay = huey.task()(fail(ValueError("never")))
    pay().revoke()
    pay.s()
    huey.enqueue(pay.s(expires=dt.datetime(2020, 1, 1)))  # noqa: DTZ001 -- Huey's own form, in UTC
    work(huey)

    assert [line["outcome"] for line in lines] == ["revoked", "expired"]


def test_a_task_that_the_consumer_leaves_at_its_end(huey: MemoryHuey, lines: CapturedRequests) -> None:
    huey.task()(lambda: huey.notify_interrupted_tasks())()
    work(huey)

    assert [line["outcome"] for line in lines] == ["killed"]


ENDINGS: dict[str, tuple[BaseException | None, dict[str, Any]]] = {
    "The task returns.": (None, {}),
    "It raises.": (ValueError("no"), {}),
    "It raises, with `retries=1`.": (ValueError("no"), {"retries": 1}),
    "It runs longer than its `timeout`.": (TaskTimeout(), {}),
    "Its lock is taken.": (TaskLockedException("busy"), {}),
    "It raises `CancelExecution`.": (CancelExecution(), {}),
    "The consumer stops while it runs.": (KeyboardInterrupt(), {}),
}
"""What happens, for docs/reference/work.md -> the exception of the task and its options."""


def test_the_page_shows_the_table(lines: CapturedRequests) -> None:
    rows: list[Row] = []
    for ending, (error, options) in ENDINGS.items():
        lines.clear()
        lines.logs.clear()
        huey = MemoryHuey("shop", utc=True)
        result = in_a_request(huey.task(**options)((lambda: None) if error is None else fail(error)))
        work(huey)
        # Huey's own lines are not folded, so they are those that you get without this package.
        others = [
            one["message"]
            for one in lines.logs
            if result.id in one["message"] and not one["message"].startswith("Executing")
        ]
        rows.append(row_of(ending, "worker", lines[1:], lines[0]["request_id"], without_us(others, r" in \d+\.\d+s")))
    check("Huey", rows)


def test_a_task_without_a_signal_of_its_end_has_a_line_and_the_next_one_too(
    huey: MemoryHuey, lines: CapturedRequests
) -> None:
    huey.task()(lambda: lambda: None)()  # a result that cannot be stored
    with pytest.raises(AttributeError, match="local object"):
        work(huey)
    huey.task()(sys.exit)(3)
    with pytest.raises(SystemExit):
        work(huey)
    huey.task(name="next")(lambda: None)()
    work(huey)

    assert [line["outcome"] for line in lines] == ["error", "killed", "ok"]
