"""
Write one line for each attempt to do a task of ``django.tasks``, or of its backport ``django_tasks``.

Work. Both packages have signals of their own, and some backends send those of the other package. A message of most
backends has no place for the id of the request. So the line of the request has the ids of its tasks, and
`obs-middleware request` joins the lines by them.
"""

from __future__ import annotations

import importlib
import logging
import sys
from datetime import datetime
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.told import TELLERS, Told
from obs_middleware.when_imported import call_when_imported
from obs_middleware.work import tasks
from obs_middleware.work.unit import WorkEvent

__all__ = ["prepare"]

_NAMED: Final = frozenset({"task", "task_id", "outcome"})
_TOLD: Final = {
    "SUCCESSFUL": (frozenset({"ok"}), _NAMED),
    "FAILED": (frozenset({"error", "killed"}), _NAMED | {"error_message"}),
}
"""The status of a task that is over -> the outcomes and the fields of the line that say the same."""


def prepare() -> None:
    """Follow the tasks of both packages, once the site imports them."""
    for module in ("django.tasks.signals", "django_tasks.signals"):
        call_when_imported(module, lambda module=module: _connect(module))  # type: ignore[misc]  # of a default


def _connect(module: str) -> None:
    signals = importlib.import_module(module)
    for name, receiver in (("task_enqueued", _enqueued), ("task_started", _started), ("task_finished", _finished)):
        getattr(signals, name).connect(receiver, dispatch_uid=f"obs_middleware.work.{name}")
    TELLERS[module.removesuffix(".signals")] = _told


def _told(record: logging.LogRecord) -> Told | None:
    """
    Return the line that says the same as *record*, of how a task has ended.

    Not of a record that says that a task begins: if the process is killed, that is all that is known.
    """
    event = current_event.get()
    arguments = record.args
    if not isinstance(event, WorkEvent) or not isinstance(arguments, tuple) or len(arguments) != 3:
        return None
    if event.done or str(arguments[0]) != _task_id(event) or arguments[2] not in _TOLD:
        return None
    return Told(event, *_TOLD[arguments[2]])


def _enqueued(task_result: Any, **_: Any) -> None:
    try:
        tasks.enqueued(str(task_result.id))
    except BaseException as error:  # noqa: BLE001 -- the task is enqueued, whatever failed
        report_once("task_enqueued", error)


def _started(task_result: Any, **_: Any) -> None:
    try:
        enqueued = task_result.enqueued_at
        tasks.begin(
            task_result.task.module_path,
            str(task_result.id),
            queue=task_result.task.queue_name,
            attempt=len(getattr(task_result, "worker_ids", ())) or 1,
            queue_seconds=None if enqueued is None else max(0.0, _seconds_since(enqueued)),
        )
    except BaseException as error:  # noqa: BLE001 -- the task runs, whatever failed
        report_once("task_started", error)


def _finished(task_result: Any, **_: Any) -> None:
    try:
        event = current_event.get()
        if not isinstance(event, WorkEvent) or _task_id(event) != str(task_result.id):
            return  # part of another unit, or ended by the signal of the other package
        if task_result.status == "SUCCESSFUL":
            tasks.end(event)
        else:
            error = sys.exc_info()[1]  # most backends send the signal while they handle the exception
            if error is None and task_result.errors:
                event.note("error_type", task_result.errors[-1].exception_class_path)
                event.note("stack_trace", task_result.errors[-1].traceback)
            tasks.end(event, "error" if error is None else tasks.outcome_of(error), error)
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("task_finished", error)


def _seconds_since(moment: datetime) -> float:
    # Not by Django's clock: the backend may have aware times, whatever USE_TZ says.
    return (datetime.now(moment.tzinfo) - moment).total_seconds()


def _task_id(event: Event) -> Any:
    return event.names().get("task_id")
