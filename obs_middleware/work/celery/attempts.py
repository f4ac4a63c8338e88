"""
Open and close the event of an attempt in the process, thread or greenlet that does the task.

Work. If the process is being killed, `obs_middleware.work.celery.parent` writes the line.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from celery.exceptions import SoftTimeLimitExceeded

from obs_middleware.failures import report_once
from obs_middleware.measure.event import current_event
from obs_middleware.work import unit
from obs_middleware.work.celery import messages, parent
from obs_middleware.work.unit import WorkEvent

__all__ = ["begin", "end", "running"]

_OUTCOMES: Final = {"SUCCESS": "ok", "RETRY": "retry", "IGNORED": "ignored", "REJECTED": "rejected"}
"""State of Celery -> outcome. Every other state is a failure."""


def begin(task_id: str, task: Any, **_: Any) -> None:
    """Open the event. Receives ``task_prerun``. An eager task is part of the work that calls it."""
    try:
        request = task.request
        if not request.is_eager:
            messages.begin(task.name, task_id, request.get)
    except BaseException as error:  # noqa: BLE001 -- the task runs, whatever failed
        report_once("Celery's task_prerun", error)


def running(task_id: object) -> WorkEvent | None:
    """Return the open event of the task with this id, if the current code is part of it."""
    event = current_event.get()
    if not isinstance(event, WorkEvent) or event.done or event.names().get("task_id") != task_id:
        return None
    return event


def end(task_id: str, task: Any, retval: Any = None, state: str | None = None, **_: Any) -> None:
    """Write the line. Receives ``task_postrun``."""
    interruption = sys.exc_info()[1]  # Celery calls this in a `finally`
    try:
        request = task.request
        event = None if request.is_eager else running(task_id)
        if event is None:
            return
        is_expected = parent.settle(task_id, request.retries)
        if state is None or (interruption is not None and not isinstance(interruption, Exception)):
            if is_expected:
                unit.end(event, *_interrupted_by(interruption))
            else:
                unit.abandon(event)  # this process is being killed, and its parent writes the line
        elif state in _OUTCOMES and interruption is None:
            unit.end(event, _OUTCOMES[state], _reason(state, retval))
        else:
            error = retval if isinstance(retval, BaseException) else interruption
            event.is_expected = isinstance(error, task.throws or ())
            unit.end(event, "timeout" if isinstance(error, SoftTimeLimitExceeded) else "error", error)
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("Celery's task_postrun", error)


def _reason(state: str, retval: Any) -> BaseException | None:
    """Return the exception that tells why a task is tried again or was rejected."""
    reason = getattr(retval, "exc", None) if state == "RETRY" else retval
    return reason if state in {"RETRY", "REJECTED"} and isinstance(reason, BaseException) else None


def _interrupted_by(interruption: BaseException | None) -> tuple[str, BaseException | None]:
    """Return the outcome of a task that something ended that is no `Exception`, and the exception if it says why."""
    # By name: a pool of greenlets need not be installed.
    name = type(interruption).__name__
    if name == "GreenletExit":  # the task was revoked while it ran
        return "revoked", None
    return "timeout" if name == "Timeout" else "killed", interruption  # a hard time limit, or for example SystemExit
