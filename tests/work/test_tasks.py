"""`obs_middleware.work.tasks` and `work.unit`: the line of a task, whatever its queue."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware import annotate, bind, get_request_id, stats, timed
from obs_middleware.measure.event import current_event
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests
from obs_middleware.work import carrier, tasks

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def run(outcome: str = "ok", error: BaseException | None = None, **kwargs: Any) -> None:
    tasks.end(tasks.begin("shop.pay", "t-1", **kwargs), outcome, error)


def sent_in_a_request(**fields: Any) -> dict[str, Any]:
    """Return what a view sends along that has bound *fields*."""
    sent: list[dict[str, Any]] = []

    def view(request: HttpRequest) -> HttpResponse:
        bind(**fields)
        sent.append(tasks.sent())
        return HttpResponse()

    request = HttpRequest()
    request.META.update({"HTTP_X_REQUEST_ID": "r-1", "HTTP_TRACEPARENT": TRACEPARENT})
    TimingMiddleware(view)(request)
    return sent[0]


@pytest.mark.django_db
def test_a_task_has_one_line_with_its_names_and_figures(lines: CapturedRequests) -> None:
    event = tasks.begin("shop.pay", "t-1", queue="fast", attempt=2, queue_seconds=1.5)
    bind(order=7)
    annotate(total=12)
    with timed("stripe"):
        logging.getLogger("shop").info("paying")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    tasks.end(event)

    (line,) = lines
    assert re.fullmatch(r"Task took \d+\.\d{4} seconds", line["message"])
    assert (line["kind"], line["task"], line["task_id"], line["outcome"]) == ("task", "shop.pay", "t-1", "ok")
    assert (line["queue"], line["attempt"], line["queue_seconds"]) == ("fast", 2, 1.5)
    assert (line["order"], line["total"], line["stripe_count"], line["db_queries"]) == (7, 12, 1, 1)
    assert not line.keys() & {"method", "path", "route", "status"}
    (inside,) = [log for log in lines.logs if log["logger"] == "shop"]
    assert {name: inside[name] for name in ("request_id", "task", "task_id", "order")} == {
        "request_id": line["request_id"],
        "task": "shop.pay",
        "task_id": "t-1",
        "order": 7,
    }
    assert "queue" not in inside


def test_the_id_the_trace_and_the_bound_fields_go_along(lines: CapturedRequests) -> None:
    carried = json.loads(json.dumps(sent_in_a_request(shop="north", items=3, paid=True)))

    run(carried=carried)

    request, task = lines
    assert task["request_id"] == request["request_id"] == "r-1"
    assert task["trace_id"] == request["trace_id"]
    assert task["parent_span_id"] == request["span_id"] != task["span_id"]
    assert {name: task[name] for name in ("shop", "items", "paid")} == {"shop": "north", "items": 3, "paid": True}
    assert 0 <= task["queue_seconds"] < 60


def test_a_task_of_a_task_knows_its_parent(lines: CapturedRequests) -> None:
    event = tasks.begin("shop.pay", "t-1")
    carried = tasks.sent()
    tasks.end(event)
    tasks.end(tasks.begin("shop.mail", "t-2", carried=carried))

    first, second = lines
    assert (second["parent_task_id"], second["request_id"]) == ("t-1", first["request_id"])


def test_a_task_inside_a_request_or_a_task_is_part_of_it(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        run()
        return HttpResponse()

    TimingMiddleware(view)(HttpRequest())
    with tasks.running("outer", "t-0"):
        run()

    assert [line.get("task") for line in lines] == [None, "outer"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("no"), "error"),
        (SystemExit(1), "killed"),
        (KeyboardInterrupt(), "killed"),
        (asyncio.CancelledError(), "killed"),
    ],
)
def test_an_exception_decides_the_outcome_and_propagates(
    error: BaseException, outcome: str, lines: CapturedRequests
) -> None:
    with pytest.raises(type(error)), tasks.running("shop.pay", "t-1"):
        raise error

    (line,) = lines
    assert (line["outcome"], line["level"]) == (outcome, "error")
    assert line["error_type"].endswith(type(error).__name__)
    assert line["stack_trace"].count("Traceback") == 1


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        ("ok", "info"),
        ("ignored", "info"),
        ("revoked", "info"),
        ("expired", "info"),
        ("retry", "warning"),
        ("rejected", "warning"),
        ("timeout", "error"),
        ("killed", "error"),
        ("unknown", "error"),
    ],
)
def test_the_outcome_decides_the_level(outcome: str, level: str, lines: CapturedRequests) -> None:
    run(outcome)

    assert [(line["outcome"], line["level"]) for line in lines] == [(outcome, level)]


def test_nothing_is_left_for_the_next_task(lines: CapturedRequests) -> None:
    event = tasks.begin("shop.pay", "t-1")
    bind(secretly="kept")
    tasks.end(event)
    run()

    assert current_event.get() is None
    assert "secretly" not in lines[1]
    assert lines[0]["request_id"] != lines[1]["request_id"]


def test_the_end_of_a_task_counts_once(lines: CapturedRequests) -> None:
    before = stats()
    event = tasks.begin("shop.pay", "t-1")
    tasks.end(event)
    tasks.end(event, "error")

    after = stats()
    assert len(lines) == 1
    assert (after["tasks"] - before["tasks"], after["written"] - before["written"]) == (1, 1)
    assert after["requests"] == before["requests"]


def test_a_task_is_sampled_with_its_request(lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"SAMPLE_RATE": 0.5}):
        for number in range(40):
            request = HttpRequest()
            request.META["HTTP_X_REQUEST_ID"] = f"r-{number}"
            TimingMiddleware(lambda _: HttpResponse())(request)
            run(carried={"request_id": f"r-{number}"})

    kinds = [{line["request_id"] for line in lines if line.get("kind") == kind} for kind in (None, "task")]
    assert kinds[0] == kinds[1]
    assert 0 < len(kinds[0]) < 40


def test_patterns_of_paths_do_not_leave_tasks_out(lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"EXCLUDE": ["^(?!/api)"], "QUIET": ["^$"]}):
        run()
        run()

    assert len(lines) == 2


def test_nothing_is_measured_if_the_package_is_disabled(lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENABLED": False}):
        assert tasks.begin("shop.pay", "t-1") is None
        assert get_request_id() is None
        tasks.end(None)

    assert lines == []


@pytest.mark.django_db
def test_queries_of_a_long_task_take_no_memory(lines: CapturedRequests) -> None:
    with tasks.running("shop.pay", "t-1") as event, connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT 1")
        assert event is not None
        assert not isinstance(event.queries, list)

    assert lines[0]["db_queries"] == 1000


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(object)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(fields=st.dictionaries(st.text(), values, max_size=30))
def test_only_small_scalars_go_along_and_survive_json(fields: dict[str, Any]) -> None:
    small = carrier._small(fields)

    text = json.dumps(small, allow_nan=False)
    assert json.loads(text) == small
    assert len(text.encode()) <= carrier.MOST_BYTES
    assert len(small) <= carrier.MOST_BOUND
    assert all(fields[name] is value for name, value in small.items())


@pytest.mark.parametrize("value", [{1}, object(), b"x", [1], {"a": 1}, None, math.nan, 2**64, "x" * 201, "\ud800"])
def test_other_values_stay_where_they_are(value: Any) -> None:
    assert sent_in_a_request(odd=value, fine=1)["bound"] == {"fine": 1}


def test_secrets_do_not_go_along() -> None:
    assert "bound" not in sent_in_a_request(password="hunter2", api_token="abc")


def test_outside_a_request_only_the_time_goes_along() -> None:
    assert list(tasks.sent()) == ["enqueued"]


@given(
    carried=values | st.fixed_dictionaries({}, optional=dict.fromkeys([*carrier.Carried._fields, "enqueued"], values))
)
def test_a_hostile_message_harms_nobody(carried: Any) -> None:
    event = tasks.begin("shop.pay", "t-1", carried=carried)
    tasks.end(event)

    assert event is not None
    assert event.line()["task_id"] == "t-1"
