"""The lines of tasks, commands and websockets in every schema."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from translated import TABLES, paths, rows, translate

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.testing import parse_line

TASK = {
    "kind": "task",
    "request_id": "r1",
    "task": "shop.tasks.charge",
    "task_id": "t2",
    "parent_task_id": "t1",
    "queue": "payments",
    "attempt": 2,
    "tasks": ["t3", "t4"],
    "queue_seconds": 0.25,
    "duration_seconds": 1.5,
    "outcome": "timeout",
    "http_calls": 2,
    "http_seconds": 0.5,
}
COMMAND = {"kind": "command", "command": "migrate", "exit_code": 3, "duration_seconds": 1.5, "outcome": "error"}
WEBSOCKET = {"kind": "websocket", "path": "/chat/", "close_code": 1000, "duration_seconds": 1.5, "outcome": "ok"}


@pytest.mark.parametrize("unit", [TASK, COMMAND, WEBSOCKET], ids=lambda unit: unit["kind"])
@pytest.mark.parametrize("schema", TABLES)
def test_a_line_of_other_work_has_every_field_and_no_name_of_a_request(schema: str, unit: dict[str, Any]) -> None:
    line = translate(schema, **unit)

    text = json.dumps(line)
    assert "app_" not in text  # every field has the type that its place takes
    assert all(json.dumps(value) in text for name, value in unit.items() if name != "duration_seconds")
    assert "http.server.request" not in text
    assert "http-request" not in text
    assert "latency" not in text
    assert [value for _, value in paths(line)].count(1_500_000_000 if schema in {"ecs", "datadog"} else 1.5) == 1


def test_the_marks_of_each_kind() -> None:
    assert translate("ecs", **TASK)["event"] == {
        "id": "1", "kind": "event", "category": ("process",), "type": ("end",), "action": "task",
        "outcome": "failure", "duration": 1_500_000_000,
    }  # fmt: skip
    assert translate("ecs", **WEBSOCKET)["event"]["type"] == ("connection", "end")
    assert translate("otel", **COMMAND)["event_name"] == "obs.command"
    assert translate("datadog", **TASK)["evt"] == {"name": "task", "outcome": "failure"}
    # A kind that a processor of the application has chosen has no marks, whatever it is.
    assert "event_name" not in translate("otel", kind="job", outcome="ok")
    assert "event_name" not in translate("otel", kind=["job"], outcome="ok")


def test_fields_of_other_work_have_the_names_and_types_of_the_published_lists() -> None:
    ecs = {row["field"]: row["type"] for row in rows("ecs_fields.csv")}
    otel = {row["attribute"]: row["type"] for row in rows("otel_attributes.csv")}
    kinds = {"string": str, "keyword": str, "wildcard": str, "int": int, "long": int}

    lines = [translate(schema, **unit) for unit in (TASK, COMMAND, WEBSOCKET) for schema in ("ecs", "otel")]

    own = {"obs", "app", "event_id", "message", "@timestamp", "log.level"}
    for line in lines[::2]:
        for path, value in paths(line):
            if path[0] not in own:
                assert type(value[0] if type(value) is tuple else value) is kinds[ecs[".".join(path)]], path
    for line in lines[1::2]:
        for name, value in line["attributes"].items():
            if not name.startswith("obs."):
                assert type(value) is kinds[otel[name]], name


def test_a_line_that_must_shrink_keeps_its_kind_and_ids() -> None:
    """Without its kind, a task line would count as a request."""
    many = TASK | {"tasks": ["0123456789" * 4] * 100}
    formatter = JSONFormatter(max_bytes=2_048, processors=[lambda _, __, event: {**event, **many}])

    line = parse_line(formatter.format(logging.makeLogRecord({"msg": "Task took 1.5000 seconds"})))

    assert "tasks" in line["truncated_fields"]
    assert {name: line[name] for name in ("kind", "task", "task_id", "outcome")} == {
        name: TASK[name] for name in ("kind", "task", "task_id", "outcome")
    }
