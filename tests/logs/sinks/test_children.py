"""`obs_middleware.logs.sinks.children`: what a child process logs at its end is written."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

PATIENCE: Final = 60
WITHOUT_SETTINGS: Final = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

SITE: Final = """
import logging, time
from obs_middleware.logs.handlers import NonBlockingHandler

class Slow:
    '''An output that takes its time, so that a child is over before its lines are out, unless it waits.'''

    def __init__(self, path):
        self.path = path

    def write(self, text):
        time.sleep(SECONDS)
        with open(self.path, "a") as file:
            file.write(text)

def configure(path):
    handler = NonBlockingHandler(stream=Slow(path))
    logging.basicConfig(level="INFO", format="%(message)s", handlers=[handler], force=True)

def work(name):
    for number in range(20):
        logging.info("%s %d", name, number)
"""

CHILDREN: Final = """
import logging, sys
from site_of_test import configure, work

path, package, method, when = sys.argv[1:]
if when == "logged before":  # also in a spawned child, which imports this module before it begins
    configure(path)
    logging.info("loaded")
elif when == "configured before":
    configure(path)

def target(name):
    if when == "in the child":
        configure(path)
    work(name)

if __name__ == "__main__":
    processes = __import__(package)
    context = processes.get_context(method)
    children = [context.Process(target=target, args=[f"child {number}"]) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(max(child.exitcode for child in children))
"""


def lines_of(path: Path, *, beginning: str) -> Counter[str]:
    text = path.read_text() if path.exists() else ""
    return Counter(line for line in text.splitlines() if line.startswith(beginning))


def site(folder: Path, *, seconds: float) -> dict[str, str]:
    """Write the module of the site, and return the environment in which it can be imported."""
    (folder / "site_of_test.py").write_text(SITE.replace("SECONDS", str(seconds)))
    return {**WITHOUT_SETTINGS, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("when", ["logged before", "configured before", "in the child"])
@pytest.mark.parametrize(
    ("package", "method"),
    [
        ("multiprocessing", "fork"),
        ("multiprocessing", "spawn"),
        ("multiprocessing", "forkserver"),
        ("billiard", "fork"),
    ],
)
def test_a_child_writes_its_last_lines(tmp_path: Path, package: str, method: str, when: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    env, log = site(tmp_path, seconds=0.2), tmp_path / "log"
    (tmp_path / "main.py").write_text(CHILDREN)
    arguments = [str(tmp_path / "main.py"), str(log), package, method, when]
    subprocess.run([sys.executable, *arguments], env=env, timeout=PATIENCE, check=True)

    assert lines_of(log, beginning="child") == Counter(
        f"child {child} {number}" for child in range(3) for number in range(20)
    )


POOL: Final = """
import concurrent.futures, logging, multiprocessing, sys
from site_of_test import configure, work

if __name__ == "__main__":
    configure(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        list(pool.map(work, [f"child {number}" for number in range(4)]))
"""


def test_the_children_of_a_pool_write_their_last_lines(tmp_path: Path) -> None:
    env, log = site(tmp_path, seconds=0.2), tmp_path / "log"
    (tmp_path / "main.py").write_text(POOL)
    subprocess.run([sys.executable, str(tmp_path / "main.py"), str(log)], env=env, timeout=PATIENCE, check=True)

    assert sum(lines_of(log, beginning="child").values()) == 80


CELERY: Final = """
import os
from celery import Celery
from celery.signals import setup_logging, task_postrun
from site_of_test import configure, work

folder = os.path.dirname(os.path.abspath(__file__))
app = Celery("site", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}

@setup_logging.connect
def set_up(**_):
    configure(os.path.join(folder, "log"))

@app.task
def nothing():
    pass

@task_postrun.connect
def log_after(task_id, **_):
    work("task " + task_id)
"""


@pytest.mark.skipif(importlib.util.find_spec("celery") is None, reason="Celery is not installed")
def test_a_celery_worker_that_renews_its_children_loses_no_line(tmp_path: Path) -> None:
    """Celery waits for one second before it ends a child with os._exit(): the output needs longer."""
    env, log = site(tmp_path, seconds=1.5), tmp_path / "log"
    (tmp_path / "tasks.py").write_text(CELERY)
    send = "from tasks import nothing; print(*[nothing.delay().id for _ in range(2)])"
    ids = subprocess.run(
        [sys.executable, "-c", send],
        env=env,
        cwd=tmp_path,
        timeout=PATIENCE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "1", "--max-tasks-per-child", "1"]
    with (
        (tmp_path / "output").open("w") as output,
        subprocess.Popen(
            [*worker, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            env=env,
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            expected = Counter(f"task {task} {number}" for task in ids for number in range(20))
            deadline = time.monotonic() + PATIENCE / 2
            while lines_of(log, beginning="task") != expected and time.monotonic() < deadline:
                assert process.poll() is None, (tmp_path / "output").read_text()
                time.sleep(0.05)  # the pause before the next look
            process.terminate()
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    assert lines_of(log, beginning="task") == expected
