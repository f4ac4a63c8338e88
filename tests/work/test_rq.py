"""RQ: one line for each attempt to do a job, by real workers with a real Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from paths import ROOT
from redis import Redis
from rq import Queue, Retry
from rq.command import send_stop_job_command
from rq.job import Job
from work import rq_jobs
from work.redis_server import needs_redis, redis_server
from work.table import Row, check, row_of, without_us

from obs_middleware import bind
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

pytestmark = [pytest.mark.work, needs_redis]

Line = dict[str, Any]


@pytest.fixture(name="port", scope="module")
def _port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


class Site:
    def __init__(self, port: int, folder: Path, worker: str) -> None:
        self.port = port
        self.log = folder / "app.json"
        self.worker = worker
        self.queue = Queue(connection=Redis(port=port))
        self.queue.connection.flushall()

    def send(self, *jobs: Any, **options: Any) -> list[Job]:
        """Enqueue *jobs* in a request with the id ``r-1``."""
        sent: list[Job] = []

        def view(request: HttpRequest) -> HttpResponse:
            bind(shop="north")
            sent.extend(self.queue.enqueue(job, **options) for job in jobs)
            return HttpResponse()

        request = HttpRequest()
        request.META["HTTP_X_REQUEST_ID"] = "r-1"
        TimingMiddleware(view)(request)
        return sent

    def start(self) -> subprocess.Popen[bytes]:
        """Start a worker that ends when the queue is empty."""
        url = f"redis://127.0.0.1:{self.port}"
        return subprocess.Popen(
            [sys.executable, "-m", "work.rq_settings", "worker", "--burst", "--url", url, "-w", self.worker],
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "RQ_LOG": str(self.log)},
        )

    def work(self) -> None:
        with self.start() as process:
            assert process.wait(60) == 0

    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def tasks(self) -> dict[str, Line]:
        """Return the lines of tasks by the name of the job, which has one."""
        lines = [line for line in self.lines() if line.get("kind") == "task"]
        found = {line["task"].rpartition(".")[2]: line for line in lines}
        assert len(found) == len(lines)
        return found


@pytest.fixture(name="site", params=["rq.worker.Worker", "rq.worker.SimpleWorker"])
def _site(request: pytest.FixtureRequest, port: int, tmp_path: Path) -> Site:
    return Site(port, tmp_path, request.param)


@pytest.fixture(name="forking")
def _forking(port: int, tmp_path: Path) -> Site:
    return Site(port, tmp_path, "rq.worker.Worker")


def test_a_job_has_one_line_however_it_ends(site: Site, lines: CapturedRequests) -> None:
    site.send(rq_jobs.good, rq_jobs.bad, rq_jobs.leaves)
    site.work()

    found = site.tasks()
    assert {name: (line["outcome"], line["level"]) for name, line in found.items()} == {
        "good": ("ok", "info"),
        "bad": ("error", "error"),
        "leaves": ("killed", "error"),
    }
    for line in found.values():
        assert line["message"].startswith("Task took ")
        assert (line["request_id"], line["shop"], line["queue"], line["attempt"]) == ("r-1", "north", "default", 1)
        assert line["queue_seconds"] > 0
    assert found["good"]["rows"] == 3
    assert (found["bad"]["error_type"], found["bad"]["error_message"]) == ("ValueError", "no")
    (inside,) = [line for line in site.lines() if line["logger"] == "shop"]
    assert (inside["request_id"], inside["task_id"]) == ("r-1", found["good"]["task_id"])
    assert "tasks" not in lines[0]


def test_a_retry_is_an_attempt_with_a_line(site: Site) -> None:
    site.send(rq_jobs.bad, retry=Retry(max=1))
    site.work()

    attempts = [
        (line["attempt"], line["outcome"], line["level"], line["request_id"])
        for line in site.lines()
        if line.get("kind") == "task"
    ]
    assert attempts == [(1, "retry", "warning", "r-1"), (2, "error", "error", "r-1")]


def test_a_job_of_a_job_knows_its_parent(site: Site) -> None:
    site.queue.enqueue(rq_jobs.parent, site.port)
    site.work()

    found = site.tasks()
    assert found["good"]["parent_task_id"] == found["parent"]["task_id"]
    assert found["good"]["request_id"] == found["parent"]["request_id"]


def test_the_time_limit(site: Site) -> None:
    site.send(rq_jobs.slow, job_timeout=1)
    site.work()

    assert [line["outcome"] for line in site.tasks().values()] == ["timeout"]
    assert site.tasks()["slow"]["duration_seconds"] > 0.9


def test_the_worker_writes_the_line_of_a_killed_fork(forking: Site) -> None:
    forking.send(rq_jobs.dies, rq_jobs.good)
    forking.work()

    found = forking.tasks()
    assert {name: line["outcome"] for name, line in found.items()} == {"dies": "killed", "good": "ok"}
    assert (found["dies"]["request_id"], found["dies"]["shop"]) == ("r-1", "north")


def test_the_worker_writes_the_line_of_a_stopped_job(forking: Site) -> None:
    (job,) = forking.send(rq_jobs.slow)
    with forking.start() as process:
        deadline = time.monotonic() + 30
        while job.get_status() != "started" and time.monotonic() < deadline:
            time.sleep(0.02)  # the pause between two looks
        send_stop_job_command(forking.queue.connection, job.id)
        assert process.wait(60) == 0

    (line,) = forking.tasks().values()
    assert (line["outcome"], line["level"], line["request_id"]) == ("revoked", "info", "r-1")
    assert 0 <= line["duration_seconds"] < 30


ENDINGS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "The job returns.": ("both", rq_jobs.good, {}),
    "It raises.": ("both", rq_jobs.bad, {}),
    "It raises, with `Retry(max=1)`.": ("both", rq_jobs.bad, {"retry": 1}),
    "It runs longer than `job_timeout`.": ("both", rq_jobs.slow, {"job_timeout": 1}),
    "`sys.exit()`.": ("both", rq_jobs.leaves, {}),
    "SIGKILL, for example by the kernel.": ("Worker", rq_jobs.dies, {}),
}
"""What happens, for docs/reference/work.md -> the workers in which it can happen, the job, and how it is enqueued."""


def test_the_page_shows_the_table(port: int, tmp_path: Path) -> None:
    rows: dict[str, list[Row]] = {ending: [] for ending in ENDINGS}
    for worker in ("Worker", "SimpleWorker"):
        folder = tmp_path / worker
        folder.mkdir()
        site = Site(port, folder, f"rq.worker.{worker}")
        ids: dict[str, str] = {}
        for ending, (where, job, options) in ENDINGS.items():
            if where in {"both", worker}:
                retry = {"retry": Retry(max=options["retry"])} if "retry" in options else {}
                (sent,) = site.send(job, **{**options, **retry})
                ids[ending] = sent.id
        site.work()
        for ending, task_id in ids.items():
            lines = [line for line in site.lines() if line.get("kind") == "task" and line["task_id"] == task_id]
            # RQ's own lines are not folded, so they are those that you get without this package.
            others = [line["message"] for line in site.lines() if line["logger"].startswith("rq.")]
            named = [one for one in others if task_id in one and not one.endswith(f": {task_id}")]
            rows[ending].append(row_of(ending, worker, lines, "r-1", without_us(named, r" in \d+:\d\d:")))
    check("RQ", [row for of_ending in rows.values() for row in of_ending])


def test_each_job_has_its_own_meta(port: int) -> None:
    queue = Queue(connection=Redis(port=port))
    given = {"team": "north"}
    first, second = (queue.create_job(rq_jobs.good, meta=given) for _ in range(2))
    third = queue.create_job(rq_jobs.good, meta=first.meta)

    assert given == {"team": "north"}
    sent = [job.meta["obs_middleware"]["enqueued"] for job in (first, second, third)]
    assert sent == sorted({*sent})
