"""The commands as they are typed: in a process of their own, or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

COMMAND: Final = [sys.executable, "-m", "obs_middleware"]
DEADLINE: Final = 60

Run = Callable[..., tuple[int, str, str]]
"""Runs a command in this process: exit code, standard output, standard error."""


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def on_a_terminal(*arguments: str | Path, **environment: str) -> str:
    """Return what the command writes to a terminal."""
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
        found = b""
        try:
            while piece := os.read(ours, 65_536):
                found += piece
        except OSError:  # how a terminal tells its end
            pass
        os.close(ours)
        process.wait(DEADLINE)
    return found.decode()
