"""
Write one line for each attempt to do a task of Huey.

Work. A message of Huey has no place for the id of the request. So the line of the request has the ids of its tasks, and
`obs-middleware request` joins the lines by them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.when_imported import call_when_imported
from obs_middleware.work import tasks
from obs_middleware.work.patching import Patches
from obs_middleware.work.unit import WorkEvent

__all__ = ["prepare"]

_patches: Final = Patches()
_open: Final[dict[str, WorkEvent]] = {}
"""Id of a task that is running -> its event. The consumer reports an interrupted task from another thread."""


def prepare() -> None:
    """Follow the tasks, once the site imports Huey."""
    call_when_imported("huey.api", _connect)


def _connect() -> None:
    from huey.api import Huey  # noqa: PLC0415 -- only if the site uses it

    # Not by its public signals, because an instance that was made before would be missed.
    _patches.replace(Huey, "_emit", _emit)
    _patches.replace(Huey, "execute", _execute)


def _emit(original: Callable[..., Any]) -> Callable[..., Any]:
    def emit(self: Any, signal: str, task: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            _follow(signal, task, self.name)
        except BaseException as error:  # noqa: BLE001 -- the task goes its way, whatever failed
            report_once(f"huey signal {signal}", error)
        return original(self, signal, task, *args, **kwargs)

    return emit


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            result = original(self, task, *args, **kwargs)
        except BaseException as error:
            _end_unsaid(task, tasks.outcome_of(error), error)
            raise
        _end_unsaid(task, "unknown")
        return result

    return execute


def _end_unsaid(task: Any, outcome: str, error: BaseException | None = None) -> None:
    """End a task of whose end there was no signal, for example because its result could not be stored."""
    event = _open.pop(task.id, None)
    tasks.end(event, outcome, error)


_ENDINGS: Final = {
    "complete": "ok",
    "error": "error",
    "timeout": "timeout",
    "locked": "rejected",
    "rate-limited": "rejected",
    "canceled": "ignored",
    "interrupted": "killed",
    "retrying": "retry",
}
"""Signal after the start -> outcome, if the task is not tried again."""

_REFUSALS: Final = {"revoked": "revoked", "expired": "expired"}
"""Signal instead of the start -> outcome."""


def _follow(signal: str, task: Any, queue: str) -> None:
    if signal == "enqueued":
        tasks.enqueued(task.id)
    elif signal == "executing":
        event = _begin(task, queue)
        if event is not None:
            _open[task.id] = event
    elif signal in _REFUSALS:
        tasks.end(_begin(task, queue), _REFUSALS[signal], seconds=0.0)
    elif signal in _ENDINGS:
        event = _open.pop(task.id, None)
        outcome = _ENDINGS[signal]
        if task.retries and outcome not in {"ok", "killed"}:
            outcome = "retry"
        tasks.end(event, outcome, sys.exc_info()[1])


def _begin(task: Any, queue: str) -> WorkEvent | None:
    return tasks.begin(f"{type(task).__module__}.{task.name}", task.id, queue=queue, attempt=_attempt(task))


def _attempt(task: Any) -> int | None:
    """Return the number of the attempt, or None if the call has given another number of retries than the task."""
    attempt: int = (getattr(task, "default_retries", 0) or 0) - (task.retries or 0) + 1
    return attempt if attempt > 0 else None
