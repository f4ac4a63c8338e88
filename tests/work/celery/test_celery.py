"""`obs_middleware.work.celery`, with the broker in memory. test_endings.py has real workers."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import signals
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker import state
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from work.celery.inmemory import app, do, received, work

from obs_middleware import bind, stats
from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.formatters import JSONFormatter, TextFormatter
from obs_middleware.measure.event import current_event
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests
from obs_middleware.work.carrier import CARRIER
from obs_middleware.work.celery import parent

TASKS = int(os.environ.get("OBS_TASKS", "1000"))

pytestmark = pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")


@app.task(name="ok")
def ok() -> None:
    logging.getLogger("shop").info("paying")


@app.task(name="boom")
def boom() -> None:
    raise ValueError("no stock")


@app.task(name="retried", bind=True, max_retries=1, default_retry_delay=0)
def retried(self: Any) -> None:
    bind(tries=self.request.retries + 1)
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("late"))


@app.task(name="outer")
def outer() -> None:
    ok.delay()
    ok.apply()


@app.task(name="exiting")
def exiting() -> None:
    sys.exit(3)


@pytest.fixture(autouse=True)
def _no_messages() -> Iterator[None]:
    for task in app.tasks.values():
        task.__trace__ = None  # it remembers the level of its logger
    yield
    received()


def request(view: Any, request_id: str = "r-1") -> None:
    """Serve a request whose view calls *view*."""

    def respond(_: HttpRequest) -> HttpResponse:
        view()
        return HttpResponse()

    one = HttpRequest()
    one.META["HTTP_X_REQUEST_ID"] = request_id
    TimingMiddleware(respond)(one)


def tasks_of(lines: CapturedRequests) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("kind") == "task"]


# The sender


def test_the_id_and_small_fields_go_along_and_nothing_else_can_fail(lines: CapturedRequests) -> None:
    def view() -> None:
        bind(tenant="acme", basket={"a set"}, api_token="secret")
        ok.delay()
        bind(tenant="other")

    request(view)
    work()

    (line,) = tasks_of(lines)
    assert (line["request_id"], line["tenant"], line["attempt"], line["queue"]) == ("r-1", "acme", 1, "celery")
    assert line["queue_seconds"] >= 0
    assert not {"basket", "api_token", "app_api_token"} & set(line)
    (paying,) = [log for log in lines.logs if log["message"] == "paying"]
    assert (paying["request_id"], paying["task_id"]) == ("r-1", line["task_id"])


@pytest.mark.parametrize("headers", [None, [], {CARRIER: 7}, {CARRIER: {"request_id": object()}, "id": []}])
def test_foreign_headers_do_not_fail_the_sender(headers: Any) -> None:
    responses = signals.before_task_publish.send(sender="ok", headers=headers, body=(), properties={})

    assert [one for _, one in responses if isinstance(one, Exception)] == []


def test_a_retry_has_the_same_ids_and_waits_anew(lines: CapturedRequests) -> None:
    request(lambda: retried.apply_async(countdown=0))
    (first,) = received()
    first.request_dict[CARRIER]["enqueued"] -= 100
    do(first)
    work()

    one, two = tasks_of(lines)
    assert [(line["outcome"], line["attempt"], line["level"]) for line in (one, two)] == [
        ("retry", 1, "warning"),
        ("ok", 2, "info"),
    ]
    assert (one["error_type"], one["error_message"]) == ("ValueError", "late")
    assert one["task_id"] == two["task_id"]
    assert one["request_id"] == two["request_id"] == "r-1"
    assert one["queue_seconds"] >= 100 > two["queue_seconds"]
    assert (one["tries"], two["tries"]) == (1, 2)
    assert "parent_task_id" not in two


def test_a_task_sends_its_id_to_the_tasks_that_it_sends_and_an_eager_one_is_part_of_it(
    lines: CapturedRequests,
) -> None:
    request(outer.delay)
    work()

    outside, inside = tasks_of(lines)
    assert (outside["task"], inside["task"]) == ("outer", "ok")
    assert (inside["parent_task_id"], inside["request_id"]) == (outside["task_id"], "r-1")


def test_an_eager_task_is_part_of_its_request(lines: CapturedRequests) -> None:
    request(ok.apply)

    (line,) = lines
    assert "kind" not in line
    assert [log["request_id"] for log in lines.logs if log["message"] == "paying"] == ["r-1"]


def test_an_eager_task_outside_of_all_work_has_no_line(lines: CapturedRequests) -> None:
    ok.apply()

    assert lines == []


def test_without_a_request_a_task_has_an_id_of_its_own(lines: CapturedRequests) -> None:
    ok.delay()
    ok.delay()
    work()

    assert len({line["request_id"] for line in tasks_of(lines)}) == 2


def test_a_message_of_a_process_without_this_package_is_measured(lines: CapturedRequests) -> None:
    ok.delay()
    (one,) = received()
    del one.request_dict[CARRIER]
    do(one)

    (line,) = tasks_of(lines)
    assert "queue_seconds" not in line


def test_nothing_is_measured_if_the_site_wants_nothing(lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENABLED": False}):
        boom.delay()
        work()

    assert lines == []
    assert [log["level"] for log in lines.logs if log["logger"].startswith("celery.")] == ["error"]


# The main process


@pytest.mark.parametrize(
    ("error", "outcome"), [(TimeLimitExceeded(1), "timeout"), (WorkerLostError("signal 9"), "killed")]
)
def test_the_main_process_writes_one_line_of_a_task_whose_child_is_dead(
    error: Exception, outcome: str, lines: CapturedRequests
) -> None:
    ok.delay()
    (one,) = received()
    one.on_accepted(1, time.monotonic() - 2)
    for _ in range(2):  # as Celery does for a hard time limit
        signals.task_failure.send(sender=ok, task_id=one.id, exception=error)

    (line,) = tasks_of(lines)
    assert (line["outcome"], line["level"], line["error_message"]) == (outcome, "error", str(error))
    assert 2 <= line["duration_seconds"] < 60
    assert "db_queries" not in line


def test_a_child_that_is_being_killed_leaves_the_line_to_the_main_process(lines: CapturedRequests) -> None:
    exiting.delay()
    (one,) = received()
    parent._expected.clear()  # as after a fork
    with pytest.raises(SystemExit):
        do(one)

    assert lines == []
    assert current_event.get() is None


def test_in_a_pool_without_children_the_line_is_written_at_once(lines: CapturedRequests) -> None:
    exiting.delay()
    (one,) = received()
    with pytest.raises(SystemExit):
        do(one)
    signals.task_failure.send(sender=exiting, task_id=one.id, exception=WorkerLostError("exit"))

    (line,) = tasks_of(lines)
    assert (line["outcome"], line["error_type"]) == ("killed", "SystemExit")


# Logging


@contextmanager
def handler(formatter: logging.Formatter, *, folds: bool = True, level: int = logging.INFO) -> Iterator[list[str]]:
    """Add a handler to the root logger, and yield the texts of the records that it gets."""
    texts: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage().partition("[")[0])
            self.format(record)

    one = Handler(level)
    one.setFormatter(formatter)
    if folds:
        one.addFilter(FoldDjangoRequests())
    root = logging.getLogger()
    root.addHandler(one)
    root.setLevel(logging.INFO)
    yield texts
    root.removeHandler(one)


def test_celerys_records_are_left_out_only_where_the_line_tells_them() -> None:
    class ClientErrors(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            return not str(record.msg).startswith("Task took")

    with (
        handler(JSONFormatter()) as folded,
        handler(TextFormatter()) as text,
        handler(JSONFormatter(), folds=False) as plain,
        handler(JSONFormatter(), level=logging.ERROR) as errors,
        handler(JSONFormatter()) as without_line,
    ):
        logging.getLogger().handlers[-1].filters.insert(0, ClientErrors())
        ok.delay()
        boom.delay()
        work()

    celerys = ["Task ok", "Task boom"]
    assert [one for one in folded if one in celerys] == []
    assert [one for one in errors if one in celerys] == []
    assert len(errors) == 1
    for texts in (text, plain, without_line):
        assert [one for one in texts if one in celerys] == celerys


def test_received_is_left_out_where_the_line_will_tell_it() -> None:
    def announce() -> None:
        data = {"id": "t-1", "name": "ok", "args": "()", "kwargs": "{}", "eta": None}
        logging.getLogger("celery.worker.strategy").info("Task ok[t-1] received", extra={"data": data})

    with handler(JSONFormatter()) as folded, handler(TextFormatter()) as text:
        announce()
        with override_settings(OBS_MIDDLEWARE={"LOGGER": "elsewhere"}):
            logging.getLogger("elsewhere").propagate = False
            announce()
            logging.getLogger("elsewhere").propagate = True
        with override_settings(OBS_MIDDLEWARE={"ENABLED": False}):
            announce()

    assert folded == ["Task ok"] * 2
    assert text == ["Task ok"] * 3


def test_a_worker_keeps_the_logging_of_a_site_that_has_it() -> None:
    code = """
import sys, django
from django.conf import settings
settings.configure(INSTALLED_APPS=["obs_middleware"], **eval(sys.argv[1]))
django.setup()
assert "celery" not in sys.modules
from celery import Celery
root = __import__("logging").getLogger()
before = root.handlers[:]
Celery("site", set_as_current=False).log.setup(loglevel="INFO")
print(root.handlers == before)
"""
    logging_settings = {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO"}}
    for settings, kept in (({"LOGGING": logging_settings}, "True"), ({}, "False")):
        done = subprocess.run(
            [sys.executable, "-c", code, repr(settings)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.strip() == kept, done.stderr


# Many tasks


def test_many_tasks_leave_nothing_over() -> None:
    """The default is 1,000 tasks; `make test-full` does 100,000."""
    logging.getLogger().setLevel(logging.CRITICAL)
    before = stats()

    def run(number: int) -> None:
        for _ in range(number // 5):
            for task in (ok, boom, ok, retried):
                task.delay()
            work()
            assert current_event.get() is None
        state.reset_state()  # Celery's own memory of the last tasks

    run(50)
    gc.collect()
    blocks = sys.getallocatedblocks()
    run(TASKS)
    gc.collect()
    kept = sys.getallocatedblocks() - blocks
    after = stats()

    assert after["tasks"] - before["tasks"] == 50 + TASKS
    assert after["written"] - before["written"] == 50 + TASKS
    assert kept < 1_000 + TASKS / 10  # an event has more than ten blocks; some caches of Celery are not full yet
    assert len(parent._expected) == 0
