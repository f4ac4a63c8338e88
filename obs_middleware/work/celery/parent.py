"""
Write the lines of attempts that cannot write their own: the process was killed, or the task never ran.

Work. The main process of a worker gets all messages, and learns how each attempt ended. It knows when a child began
the task, so the duration is on the line even after SIGKILL.
"""

from __future__ import annotations

import atexit
import signal
import time
import weakref
from typing import Any, Final

from celery.exceptions import TimeLimitExceeded, WorkerLostError

from obs_middleware.failures import report_once
from obs_middleware.processes import call_after_fork
from obs_middleware.work import unit
from obs_middleware.work.celery import messages
from obs_middleware.work.celery.messages import Read

__all__ = ["end_failed", "end_retried", "end_revoked", "end_unknown", "expect", "prepare_end", "settle"]

_expected: Final[weakref.WeakValueDictionary[str, Any]] = weakref.WeakValueDictionary()
"""Id of a task -> the request of its last attempt, as long as Celery has it, and until its line is written."""

_stopping: Final[list[Any]] = []
"""The requests that the worker had when it was told to stop at once, so that they live until it ends."""

_SOFT: Final = getattr(signal, "SIGUSR1", None)
"""The signal of the soft time limit, which a task handles as an exception. Its own process then writes the line."""

call_after_fork(_expected.clear)  # in a child, `settle` returns False


def expect(request: Any = None, **_: Any) -> None:
    """Remember an attempt that is going to run in this process or a child. Receives ``task_received``."""
    try:
        _expected[request.id] = request
    except BaseException as error:  # noqa: BLE001 -- the task runs, whatever failed
        report_once("Celery's task_received", error)


def settle(task_id: str, retries: int) -> bool:
    """
    Note that an attempt ends here and now, so that its line is not written again.

    Returns:
        Whether it was received in this process, and its line has not been written.
    """
    request = _expected.get(task_id)
    if request is None or (request.request_dict.get("retries") or 0) != retries:
        return False
    return _expected.pop(task_id, None) is not None


def end_failed(sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
    """Write the line after a hard time limit, which is reported twice, or the end of a child. ``task_failure``."""
    try:
        if isinstance(exception, TimeLimitExceeded | WorkerLostError):
            request = _expected.pop(task_id, None)
            if request is not None:
                outcome = "timeout" if isinstance(exception, TimeLimitExceeded) else "killed"
                _write(sender.name, task_id, request.request_dict.get, outcome, exception, request.time_start)
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("Celery's task_failure", error)


def end_retried(sender: Any = None, request: Any = None, reason: Any = None, **_: Any) -> None:
    """
    Write the line if the main process sends the task again after the end of a child. Receives ``task_retry``.

    Celery sends the signal also for a task that it cancels, without a reason: the worker stops, or lost its broker.
    """
    try:
        if unit.is_inside_unit():
            return  # the task itself asks for another attempt
        expected = _expected.pop(request.id, None)
        if expected is not None:
            outcome = "killed" if reason is None else "retry"
            _write(sender.name, request.id, request.get, outcome, getattr(reason, "exc", None), expected.time_start)
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("Celery's task_retry", error)


def end_revoked(
    sender: Any = None,
    request: Any = None,
    terminated: bool = False,
    signum: Any = None,
    expired: bool = False,
    **_: Any,
) -> None:
    """Write the line of a task that was revoked, or that waited too long. Receives ``task_revoked``."""
    try:
        if terminated and signum is not None and signum == _SOFT:
            return
        expected = _expected.pop(request.id, None)
        if terminated and expected is None:
            return
        started = None if expected is None else expected.time_start
        _write(sender.name, request.id, request.get, "expired" if expired else "revoked", None, started)
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("Celery's task_revoked", error)


def end_unknown(name: str = "", id: str = "", message: Any = None, **_: Any) -> None:  # noqa: A002 -- Celery's name
    """Write the line of a task whose name this worker does not know. Receives ``task_unknown``."""
    try:
        read = {**message.headers, "delivery_info": message.delivery_info}.get
        _write(name, id, read, "unknown")
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("Celery's task_unknown", error)


def prepare_end(how: str = "", **_: Any) -> None:
    """
    Prepare the end of a worker that is stopped at once. Receives ``worker_shutting_down``.

    Celery then kills its children. Of a task with ``acks_late``, which another worker gets, it says nothing.
    """
    try:
        if how == "Cold" and not _stopping:
            _stopping.extend(_expected.values())
            atexit.register(_end_cancelled)
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("Celery's worker_shutting_down", error)


def _end_cancelled() -> None:
    for request in _stopping:
        if request._already_cancelled and settle(request.id, request.request_dict.get("retries") or 0):  # noqa: SLF001 -- nothing else says it
            _write(request.task.name, request.id, request.request_dict.get, "killed", None, request.time_start)


def _write(  # noqa: PLR0913 -- the facts of an attempt
    name: str,
    task_id: str,
    read: Read,
    outcome: str,
    error: BaseException | None = None,
    started: float | None = None,
) -> None:
    """Write the line of an attempt that began at *started*, as ``time.time()``, or never."""
    now = time.time()
    begun = now if started is None else started
    sent = messages.enqueued_at(read)
    event = messages.begin(name, task_id, read, None if sent is None else max(0.0, round(begun - sent, 6)))
    if event is not None:
        event.queries = None  # only the process that did the task could know them
        unit.end(event, outcome, error, max(0.0, now - begun))
