"""`obs-middleware request`: the story of an id as a tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from console import Run, on_a_terminal, write
from loglines import FORMATS, unit
from stories import CHECKOUT, OTHERS, TREE, WEB, WORKER


def logs(folder: Path, form: str) -> list[Path]:
    write_line = FORMATS[form]
    pairs = (("web.log", [*WEB, *OTHERS]), ("worker.log", WORKER))
    return [write(folder / name, [write_line(line) for line in lines]) for name, lines in pairs]


@pytest.mark.parametrize("form", FORMATS)
def test_a_request_and_its_tasks_are_a_tree_in_time(run: Run, tmp_path: Path, form: str) -> None:
    assert run("request", "7d3c", *logs(tmp_path, form)) == (0, TREE, "")


@pytest.mark.parametrize("wanted", ["t-charge", "t-receipt", "t-invoice", "t-stock", "of-its-own"])
def test_the_id_of_any_part_leads_to_the_whole(run: Run, tmp_path: Path, wanted: str) -> None:
    """Up to the request, and down again. A task of ``django.tasks`` is joined by its id alone."""
    code, out, _ = run("request", wanted, *logs(tmp_path, "flat"))

    if wanted == "t-stock":  # an id that only a list has is not that of a line
        assert (code, out) == (1, "")
    else:
        assert (code, out.partition(":")[2]) == (0, TREE.partition(":")[2])


def test_json_is_the_tree_with_the_original_lines(run: Run, tmp_path: Path) -> None:
    found = json.loads(run("request", CHECKOUT, *logs(tmp_path, "flat"), "--format", "json")[1])

    (request,) = found["units"]
    assert (found["id"], found["last"]) == (CHECKOUT, "2026-11-02T10:00:03.390000Z")
    assert (request["kind"], request["name"], request["failed"]) == ("request", "POST /checkout/", False)
    assert (request["line"], request["lines"]) == (WEB[1], [WEB[0]])
    assert [(one["name"], one["enqueued"]) for one in request["units"]] == [
        ("shop.tasks.charge", "2026-11-02T10:00:00.170000Z"),
        ("shop.tasks.receipt", "2026-11-02T10:00:00.170000Z"),
        ("shop.tasks.charge", "2026-11-02T10:00:01.430000Z"),
        ("t-stock", None),
    ]
    (invoice,) = request["units"][2]["units"]
    assert (invoice["line"], invoice["failed"]) == (WORKER[3], True)
    assert request["units"][3] | {"name": ""} == {
        "kind": "task", "name": "", "enqueued": None, "started": None, "ended": None, "failed": None, "line": None,
        "lines": [], "units": [],
    }  # fmt: skip


def test_lines_and_csv(run: Run, tmp_path: Path) -> None:
    both = logs(tmp_path, "flat")

    lines = [json.loads(line) for line in run("request", CHECKOUT, *both, "--format", "lines")[1].splitlines()]
    rows = run("request", CHECKOUT, *both, "--format", "csv")[1].splitlines()

    assert lines == sorted([*WEB, *WORKER], key=lambda line: str(line["timestamp"]))
    assert rows[0] == "at_seconds,work,result,took_seconds,waited_seconds,course,details"
    assert rows[3].startswith("0.22,├─ shop.tasks.charge,retry,1.2,0.05,")


def test_filters_hold_for_every_line_of_a_story(run: Run, tmp_path: Path) -> None:
    out = run("request", CHECKOUT, *logs(tmp_path, "flat"), "--until", "2026-11-02T10:00:01Z")[1]

    assert "shop.tasks.receipt" in out
    assert "shop.tasks.charge" not in out


def test_a_command_and_its_tasks_are_a_story(run: Run, tmp_path: Path) -> None:
    names: dict[str, Any] = {"request_id": "nightly"}
    lines = [
        unit("command", 5, 5.0, "error", **names, command="reindex", exit_code=3),
        unit("task", 9, 2.0, "ok", **names, task="shop.tasks.index", task_id="t-1", attempt=1, queue_seconds=3.0),
    ]

    out = run("request", "nightly", write(tmp_path / "a.log", [FORMATS["ecs"](line) for line in lines]))[1]

    assert "1 task, 1 command, 1 failed" in out
    assert "reindex              error   5.00 s " in out
    assert "exit code 3" in out
    assert "└─ shop.tasks.index" in out


def test_a_narrow_terminal_leaves_out_columns_and_hostile_text_is_inert(tmp_path: Path) -> None:
    evil = unit("task", 0.1, 0.1, "ok", request_id=CHECKOUT, task="evil\x1b[31m", task_id="t-evil", queue_seconds=0.1)
    both = [*logs(tmp_path, "flat"), write(tmp_path / "evil.log", [FORMATS["flat"](evil)])]

    shown = on_a_terminal("request", CHECKOUT, *both, COLUMNS="60")

    assert "columns left out" in shown
    assert r"evil\x1b[31m" in shown
    (failed,) = (line for line in shown.splitlines() if "shop.tasks.invoice" in line)
    assert "\x1b[1;31m" in failed  # red
