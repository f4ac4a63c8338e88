"""A real Redis on a free port, for tests of queues."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ports import HOST, free_port

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Run Redis in *folder* while the block runs, and yield its port."""
    port = free_port()
    command = ["redis-server", "--bind", HOST, "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=5).close()
            return
        except OSError:
            pass
        try:
            process.wait(0.02)  # the pause before the next try, which ends early if Redis dies
            break
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError("Redis does not accept connections")
