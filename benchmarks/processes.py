"""The parent's side of `benchmarks.worker`: start one for a row, ask it, and end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

__all__ = ["Worker", "workers"]

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """The process of one row."""

    def __init__(self, row: str, driver: str, file: Path, handler: str) -> None:
        self.row = row
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", row, driver, str(file), handler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # The order of sets is not to make the difference between two rows.
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDEVMODE": ""},
        )

    def ask(self, order: str, number: int = 0) -> Any:
        """Return the answer to *order*."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([order, number]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process of {self.row!r} has ended with {self._process.wait()}.")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@contextmanager
def workers(rows: list[str], driver: str, folder: Path, handler: str) -> Iterator[list[Worker]]:
    """Start a process for each of *rows*, and end them all."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(row, driver, folder / f"{row}.log", handler)) for row in rows]
