"""Run commands: in this process, in a new process, or on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

COMMAND: Final = [sys.executable, "-m", "obs_middleware"]
DEADLINE: Final = 60

Run = Callable[..., tuple[int, str, str]]
"""Runs a command in this process; returns the exit code, standard output and standard error."""


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def on_a_terminal(*arguments: str | Path, **environment: str) -> str:
    """Run the command on a terminal and return its output."""
    import pty  # noqa: PLC0415 -- not on Windows

    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**kept, "TERM": "xterm", "COLUMNS": "120", **environment},
    ) as process:
        os.close(theirs)
        found = read_terminal(ours)
        process.wait(DEADLINE)
    return found.decode()


def read_terminal(terminal: int) -> bytes:
    """Return everything that was written to the other end of *terminal*, and close it."""
    found = b""
    try:
        while piece := os.read(terminal, 65_536):
            found += piece
    except OSError:  # a terminal reports its end as an error
        pass
    os.close(terminal)
    return found
