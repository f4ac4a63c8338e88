"""The lines of all kinds of work in one log, and a function that asks a command about them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from console import Run
from loglines import Event, events, tasks, unit

REQUESTS = events(60)
TASKS = tasks(80)
COMMANDS = [
    unit("command", n, 2.0 + n, "ok" if n else "error", command="migrate", exit_code=int(n < 1)) for n in (0, 1)
]
SOCKETS = [unit("websocket", 5, 30.0, "aborted", path="/chat/", close_code=1006)]
HELLO = {"timestamp": "2026-11-02T10:00:00Z", "level": "info", "message": "Paid", "task": "a", "task_id": "b"}
FAILED = {"error", "timeout"}


def everything() -> Iterator[Event]:
    yield from (*REQUESTS, *TASKS, *COMMANDS, *SOCKETS)


def asked(run: Run, *arguments: str | Path) -> Any:
    code, out, err = run(*arguments, "--format", "json")
    assert code in {0, 1}, err
    return json.loads(out)
