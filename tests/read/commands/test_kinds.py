"""``--kind``: tasks, commands and websockets, which are never counted as requests."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from console import Run, write
from loglines import BARE, FORMATS
from mixed import COMMANDS, FAILED, HELLO, REQUESTS, SOCKETS, TASKS, asked, everything
from tables import quantile

from obs_middleware.read.files.database import connect
from obs_middleware.read.files.parsed import LineParser
from obs_middleware.read.where.conditions import Every


@pytest.fixture(name="mixed", params=FORMATS)
def _mixed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A log with the lines of all kinds in one format, and a line of a task that is not the line of its unit."""
    return write(tmp_path / "mixed.log", [FORMATS[request.param](event) for event in (*everything(), HELLO)])


def test_each_kind_is_counted_for_itself(run: Run, mixed: Path) -> None:
    found = {kind: asked(run, "stats", mixed, "--kind", kind) for kind in ("request", "task", "command", "websocket")}

    assert asked(run, "stats", mixed) == found["request"]
    assert {kind: one["overview"]["requests"] for kind, one in found.items()} == {
        "request": 60, "task": 80, "command": 2, "websocket": 1,
    }  # fmt: skip
    assert found["request"]["overview"]["errors"] == sum(event["status"] >= 500 for event in REQUESTS)
    assert found["task"]["overview"]["errors"] == sum(event["outcome"] in FAILED for event in TASKS)
    assert found["command"]["overview"]["errors"] == 1
    assert found["websocket"]["overview"]["errors"] == 0
    assert {one["name"]: one["count"] for one in found["task"]["lines"]["kinds"]} == {
        "request lines": 60, "command lines": 2, "websocket lines": 1, "other log lines": 1,
    }  # fmt: skip
    assert {one["kind"] for one in found.values()} == {*found}


def test_groups_are_those_of_the_kind(run: Run, tmp_path: Path) -> None:
    mixed = write(tmp_path / "mixed.log", [FORMATS["flat"](event) for event in everything()])

    rows = asked(run, "stats", mixed, "--kind", "task")["groups"]["rows"]

    assert {tuple(row["keys"]) for row in rows} == {(event["task"],) for event in TASKS}
    for row in rows:
        own = [event["duration_seconds"] for event in TASKS if event["task"] == row["keys"][0]]
        assert row["durations"]["p95"] == pytest.approx(quantile(own, 0.95), rel=1e-6)
    (command,) = asked(run, "stats", mixed, "--kind", "command")["groups"]["rows"]
    (socket,) = asked(run, "stats", mixed, "--kind", "websocket")["groups"]["rows"]
    assert (command["keys"], socket["keys"]) == (["migrate"], ["/chat/"])
    by_queue = asked(run, "stats", mixed, "--kind", "task", "--by", "queue")["groups"]["rows"]
    assert {tuple(row["keys"]) for row in by_queue} == {("payments",), ("default",)}


@pytest.mark.parametrize("form", BARE)
def test_a_line_without_fields_is_of_the_kind_that_it_names(run: Run, form: str, tmp_path: Path) -> None:
    log = write(tmp_path / "bare.log", [BARE[form](event) for event in everything()])

    assert asked(run, "stats", log)["overview"]["requests"] == 60
    assert asked(run, "stats", log, "--kind", "task")["overview"]["requests"] == 80
    assert asked(run, "stats", log, "--kind", "websocket")["overview"]["durations"]["max"] == 30.0


def test_the_slowest_have_the_columns_of_their_kind(run: Run, mixed: Path) -> None:
    slowest = max(TASKS, key=lambda event: event["duration_seconds"])
    names = ("task", "outcome", "queue_seconds", "attempt", "queue", "db_queries", "request_id", "task_id")

    (found,) = asked(run, "slow", mixed, "--kind", "task", "--limit", "1")["slowest"]
    (row,) = csv.DictReader(io.StringIO(run("slow", mixed, "--kind", "task", "--limit", "1", "--format", "csv")[1]))

    assert {name: found[name] for name in names} == {name: slowest[name] for name in names}
    assert {row[name] for name in names} == {str(slowest[name]) for name in names}
    assert run("slow", mixed, "--kind", "command", "--limit", "1")[1].split()[:5] == [
        "took",
        "at",
        "command",
        "outcome",
        "exit",
    ]


def test_people_read_the_noun_of_the_kind(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "mixed.log", [FORMATS["flat"](event) for event in everything()])

    shown = run("stats", log, "--kind", "task")[1]

    assert shown.startswith("80 tasks  ")
    assert "By task\n" in shown
    assert "request" not in shown.replace("60 request lines", "")
    assert "\ntasks    |" in run("time", log, "--kind", "task", "--every", "10s")[1]
    assert "\nwebsockets |" in run("time", log, "--kind", "websocket")[1]


def test_the_log_of_a_worker_names_the_kind_that_it_has(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "worker.log", [FORMATS["flat"](event) for event in (*TASKS, COMMANDS[0])])

    message = "no request line among 81 lines, but 80 task lines and 1 command line: add --kind task"
    assert run("stats", log) == (2, "", f"obs-middleware: {log}: {message}\n")
    assert run("stats", log, "--kind", "task", "--where", "task = 'x'")[2] == (
        f"obs-middleware: {log}: none of the 80 task lines passes the filters\n"
    )


def test_a_word_that_is_no_kind_is_a_field_of_the_application(run: Run, tmp_path: Path) -> None:
    """Version 0.1 wrote what an application had bound as ``kind`` under this name."""
    log = write(tmp_path / "a.log", [FORMATS["flat"](event | {"kind": "export"}) for event in REQUESTS])

    assert asked(run, "stats", log, "--by", "kind")["groups"]["rows"][0]["keys"] == ["export"]


def test_lines_that_a_shipper_has_sent_again_count_once_in_every_kind(run: Run, tmp_path: Path) -> None:
    lines = [FORMATS["flat"](event) for event in everything()]
    log = write(tmp_path / "a.log", [*lines, *lines])

    found = asked(run, "stats", log, "--kind", "task")

    assert found["overview"]["requests"] == 80
    assert {one["name"]: one["count"] for one in found["lines"]["kinds"]}["request lines"] == 60


def test_a_line_in_memory_has_its_kind(tmp_path: Path) -> None:
    """So that `tail` counts requests only."""
    lines = [FORMATS["ecs"](event) for event in (REQUESTS[0], TASKS[0], SOCKETS[0], HELLO)]
    with connect(tmp_path) as connection:
        found = list(LineParser(connection, Every(), ("level", "duration_seconds")).parse([*lines, "text"]))

    assert [(line.kind and line.kind.name, line.is_request, line.is_event) for line in found] == [
        ("request", True, True),
        ("task", False, True),
        ("websocket", False, True),
        (None, False, True),
        (None, False, False),
    ]
