"""
Compare rows behind real servers.

The same server runs once for each row, all at the same time. The load goes to one after the other, in rounds. The cost
of a request is measured in two ways: as wall time, which includes the load generator and everything else on the
machine, and as the time that the processes of the server were on a core, which only Linux reports.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.processes import ROOT, environment
from benchmarks.timing import Times

__all__ = ["SERVERS", "time_servers"]

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
WARM_UP: Final = 400


@dataclass(frozen=True)
class Server:
    """
    A server with one process.

    Attributes:
        mode: ``async`` or ``sync``, the kind of Django handler that it calls.
        command: The arguments of ``python -m``. ``{port}`` is replaced.
    """

    mode: str
    command: Sequence[str]

    @property
    def path(self) -> str:
        """The path of the view for this mode."""
        return "/items/7/async/" if self.mode == "async" else "/items/7/"


SERVERS: Final[dict[str, Server]] = {
    "uvicorn": Server("async", ("uvicorn", "--port", "{port}", "--no-access-log", "benchmarks.served:application")),
    "granian": Server("async", ("granian", "--interface", "asgi", "--port", "{port}", "benchmarks.served:application")),
    "gunicorn": Server(
        "sync",
        ("gunicorn", "--bind", "127.0.0.1:{port}", "--threads", "2", "--no-control-socket", "benchmarks.served"),
    ),
}
"""The servers by name. gunicorn has two threads, because its sync worker closes every connection."""


@dataclass(frozen=True)
class _Running:
    row: str
    port: int
    process: subprocess.Popen[bytes]


def time_servers(
    server: Server, rows: Sequence[str], *, handler: str, rounds: int, batch: int
) -> tuple[Times, Times | None]:
    """Return the wall times of *rows*, and their times on a core or None if the system does not report them."""
    wall: Times = {row: [] for row in rows}
    core: Times = {row: [] for row in rows}
    order = random.Random(0)  # noqa: S311 -- an order, not a secret
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running = [stack.enter_context(_serve(server, row, Path(folder), handler)) for row in rows]
        for one in running:
            load.send(one.port, server.path, WARM_UP)
        for _ in range(rounds):
            for one in order.sample(running, len(running)):
                before = _on_core(one.process.pid)
                wall[one.row].append(load.send(one.port, server.path, batch))
                core[one.row].append((_on_core(one.process.pid) - before) / batch)
    return wall, core if sys.platform == "linux" else None


@contextmanager
def _serve(server: Server, row: str, folder: Path, handler: str) -> Iterator[_Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "BENCH_ROW": row,
        "BENCH_MODE": server.mode,
        "BENCH_FILE": str(folder / f"{row}.log"),
        "BENCH_HANDLER": handler,
    }
    output = folder / f"{row}.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(port=port) for part in server.command)],
            cwd=ROOT,
            env=environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_accepts(process, port, output)
        yield _Running(row, port, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_accepts(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not accept connections.\n{output.read_text()}")


def _on_core(group: int) -> int:
    """Return the nanoseconds that the processes of *group* have been on a core."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name in parentheses: state, parent, group.
            if int(stat.read_text().rpartition(")")[2].split()[2]) == group:
                for task in stat.parent.glob("task/*/schedstat"):
                    total += int(task.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended in the meantime
    return total
