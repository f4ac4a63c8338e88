"""``django.tasks``, or its backport before Django 6: immediate tasks, and a real worker of the database backend."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings
from django_tasks.signals import task_finished, task_started
from paths import ROOT
from work.table import Row, check, row_of, without_us

from obs_middleware.testing import CapturedRequests

Line = dict[str, Any]

LOGGERS = {"django.tasks", "django_tasks"}


class Site:
    """The site in a folder of its own, whose lines are in one file."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.log = folder / "app.json"
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "work.tasks_site.settings",
            "PYTHONPATH": str(ROOT / "tests"),
            "TASKS_DATABASE": str(folder / "db.sqlite3"),
            "TASKS_LOG": str(self.log),
            **env,
        }
        self.run("-m", "django", "migrate", "-v", "0")

    def run(self, *arguments: str, code: int = 0) -> None:
        done = subprocess.run([sys.executable, *arguments], env=self.env, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr.decode()

    def send(self, *queries: str) -> None:
        self.run("-m", "work.tasks_site", *queries)

    def work(self, code: int = 0) -> None:
        self.run("-m", "django", "db_worker", "--batch", "--no-startup-delay", code=code)

    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def units(self) -> list[Line]:
        return [line for line in self.lines() if " took " in line["message"]]


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_worker_writes_one_line_for_each_task(site: Site) -> None:
    names = ("good", "good_async", "bad", "leaves", "parent")
    site.send("&".join(("backend=default", *(f"task={name}" for name in names))))
    site.work()

    request, *tasks = site.units()
    found = {line["task"].rpartition(".")[2]: line for line in tasks if line["task_id"] in request["tasks"]}
    assert {name: line["outcome"] for name, line in found.items()} == {
        "good": "ok",
        "good_async": "ok",
        "bad": "error",
        "leaves": "killed",
        "parent": "ok",
    }
    assert len(tasks) == 6  # and the task that `parent` has enqueued
    for line in tasks:
        assert line["message"].startswith("Task took ")
        assert (line["kind"], line["queue"], line["attempt"]) == ("task", "default", 1)
        assert line["queue_seconds"] > 0
        assert line["level"] == ("info" if line["outcome"] == "ok" else "error")
    assert found["good"]["rows"] == 3
    assert (found["bad"]["error_type"], found["bad"]["error_message"]) == ("ValueError", "no")
    (child,) = [line for line in tasks if line["task_id"] not in request["tasks"]]
    assert found["parent"]["tasks"] == [child["task_id"]]
    # The record that says how a task has ended is on its line. If the process dies, the other one is all that is known.
    assert {line["message"].rpartition("=")[2] for line in site.lines() if line["logger"] in LOGGERS} == {"RUNNING"}
    assert json.dumps(site.lines()).count("Traceback (most recent call last)") == 2
    inside = [line for line in site.lines() if line["logger"] == "shop"]
    assert {line["task_id"] for line in inside} == {
        found["good"]["task_id"],
        found["good_async"]["task_id"],
        child["task_id"],
    }


def test_an_immediate_task_is_part_of_the_request(site: Site) -> None:
    site.send("backend=immediate&task=good&task=bad")

    (request,) = site.units()
    assert request["rows"] == 3
    assert not request.get("tasks")
    (inside,) = [line for line in site.lines() if line["logger"] == "shop"]
    assert (inside["request_id"], inside["shop"]) == (request["request_id"], "north")
    failed = [line for line in site.lines() if line["logger"] in LOGGERS and line["level"] == "error"]
    assert [(line["error_type"], line["request_id"]) for line in failed] == [("ValueError", request["request_id"])]


def test_many_tasks_do_not_make_the_line_long(site: Site) -> None:
    site.send("&".join(("backend=default", *["task=good"] * 30)))

    (request,) = site.units()
    assert len(request["tasks"]) == 20


def test_a_worker_that_dies_writes_no_line(site: Site) -> None:
    """Nobody is told of its end. The next worker starts clean."""
    site.send("backend=default&task=dies&task=good")
    site.work(code=-9)
    site.work()

    assert [line.get("task", "").rpartition(".")[2] for line in site.units()] == ["", "good"]


ENDINGS = {
    "The task returns.": "good",
    "It raises.": "bad",
    "`sys.exit()`.": "leaves",
    "SIGKILL, for example by the kernel.": "dies",
}
"""What happens, for docs/reference/work.md -> the task."""


@pytest.mark.work
def test_the_page_shows_the_table(tmp_path: Path) -> None:
    rows: list[Row] = []
    for ending, name in ENDINGS.items():
        found: list[Site] = []
        for plain in ("", "1"):
            folder = tmp_path / f"{name}{plain}"
            folder.mkdir()
            site = Site(folder, TASKS_PLAIN=plain)
            site.send(f"backend=default&task={name}")
            site.work(code=-9 if name == "dies" else 0)
            found.append(site)
        ours, without = found
        lines = [line for line in ours.units() if line.get("kind") == "task"]
        assert without.units() == []
        others = [
            line["message"]
            for line in without.lines()
            if line["logger"] in LOGGERS and "RUNNING" not in line["message"]
        ]
        request_id = ours.units()[0]["request_id"]
        rows.append(row_of(ending, "db_worker", lines, request_id, without_us(others, " in ")))
    check("django.tasks", rows)


@pytest.mark.parametrize("zone", [None, dt.UTC], ids=["naive", "aware"])
@pytest.mark.parametrize("use_tz", [True, False])
def test_a_backend_may_have_times_of_either_kind(use_tz: bool, zone: dt.tzinfo | None, lines: CapturedRequests) -> None:
    task = SimpleNamespace(module_path="shop.pay", queue_name="default")
    enqueued_at = dt.datetime.now(zone) - dt.timedelta(seconds=1)
    result = SimpleNamespace(id="t-1", task=task, enqueued_at=enqueued_at, status="SUCCESSFUL")
    with override_settings(USE_TZ=use_tz):
        task_started.send(sender=None, task_result=result)
        task_finished.send(sender=None, task_result=result)

    (line,) = lines
    assert 1 <= line["queue_seconds"] < 60
