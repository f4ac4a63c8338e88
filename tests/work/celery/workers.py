"""Real workers for the tests of Celery."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paths import ROOT, TESTS
from redis import Redis

PATIENCE = 120
"""Seconds until a test gives up."""

SITE = "work.celery.site"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"gave up waiting: {what}"
        time.sleep(0.05)  # the pause before the next look


@dataclass
class Site:
    """
    The site of the tests, in a folder of its own.

    Attributes:
        folder: Has the log, the database and the output of the worker.
        broker: The URL of the broker.
        env: Further variables of the environment.
    """

    folder: Path
    broker: str
    env: dict[str, str]

    def __post_init__(self) -> None:
        """Begin with an empty queue: the scheduler of another test may have sent more than its worker did."""
        if self.broker.startswith("redis://"):
            with Redis.from_url(self.broker) as redis:
                redis.flushdb()

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": f"{SITE}.settings",
            "OBS_TEST_BROKER": self.broker,
            "OBS_TEST_FOLDER": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(ROOT)]),
            "PYTHONDEVMODE": "",
            **self.env,
        }

    def worker(self, *options: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run a worker, ready for tasks. SIGTERM ends it at the end of the block, and it finishes what runs."""
        return self._running("worker", "--without-mingle", "--without-gossip", "--without-heartbeat", *options)

    def beat(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run the scheduler."""
        return self._running("beat", "--schedule", str(self.folder / "schedule"))

    @contextmanager
    def _running(self, what: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        output = self.folder / f"{what}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", f"{SITE}.tasks", what, *options],
                env=self.environment(),
                cwd=self.folder,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            try:
                wait_until(lambda: process.poll() is not None or self._is_ready(what), f"{what} starts")
                assert process.poll() is None, output.read_text()
                yield process
                if process.poll() is None:
                    process.terminate()
                process.wait(PATIENCE)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _is_ready(self, what: str) -> bool:
        sign = " ready." if what == "worker" else "beat: Starting..."
        return sign in (self.folder / f"{what}.txt").read_text() + self.text()

    def send(self, *endings: str) -> dict[str, list[str]]:
        """Send the tasks of *endings*. Return their ids."""
        done = subprocess.run(
            [sys.executable, "-m", f"{SITE}.client", *endings],
            env=self.environment(),
            timeout=PATIENCE,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + (self.folder / "worker.txt").read_text()
        ids: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
        return ids

    def text(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of the log as far as they are whole."""
        return [json.loads(line) for line in self.text().splitlines(keepends=True) if line.endswith("\n")]

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of tasks."""
        return [record for record in self.records() if record.get("kind") == "task"]
