"""Start processes of `benchmarks.worker`, ask them and end them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

__all__ = ["ROOT", "Worker", "environment", "workers"]

ROOT = Path(__file__).resolve().parent.parent


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a measured process, with *variables* added."""
    # Coverage and dev mode would be measured, too. So would compiling: an installed package is compiled.
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    # Otherwise the order of sets could differ between two rows.
    return {**own, "PYTHONDEVMODE": "", "PYTHONHASHSEED": "0", **(variables or {})}


class Worker:
    """
    The process of one row.

    Args:
        row: The name of the row.
        driver: A key of `benchmarks.drivers.DRIVERS`.
        file: The log file.
        handler: A key of `benchmarks.rows.HANDLERS`.
        purpose: ``time`` or ``count``. The latter also follows the calls of other threads, which slows them down.
    """

    def __init__(self, row: str, driver: str, file: Path, handler: str, purpose: str) -> None:
        self.row = row
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", row, driver, str(file), handler, purpose],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def ask(self, order: str, number: int = 0) -> Any:
        """Return the answer to *order*."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([order, number]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process of the row {self.row!r} ended with exit code {self._process.wait()}.")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@contextmanager
def workers(rows: Sequence[str], driver: str, handler: str, purpose: str) -> Iterator[list[Worker]]:
    """Run a process for each of *rows* while the block runs."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield [stack.enter_context(Worker(row, driver, Path(folder, f"{row}.log"), handler, purpose)) for row in rows]
