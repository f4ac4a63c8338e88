"""
Read and write the message of a task: what goes along from the process that sends it, and what came.

Work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from obs_middleware.failures import report_once
from obs_middleware.work import tasks
from obs_middleware.work.carrier import CARRIER
from obs_middleware.work.unit import WorkEvent

__all__ = ["Read", "add_carrier", "begin", "enqueued_at"]

Read = Callable[[str], Any]
"""Returns a header of a message, or an attribute of a task's request; None if there is none of that name."""


def add_carrier(headers: Any = None, **_: Any) -> None:
    """
    Send the id of the current work along. Receives ``before_task_publish``, for ``send_task`` too.

    A retry, a replacement and a message that is sent again have the headers of the first message. They keep what this
    process does not know.
    """
    try:
        if isinstance(headers, dict):
            before = headers.get(CARRIER)
            sent = tasks.sent()
            if sent.get("parent_task_id") == headers.get("id"):
                sent.pop("parent_task_id", None)  # a task that sends itself again is not its own parent
            headers[CARRIER] = {**before, **sent} if isinstance(before, dict) else sent
    except BaseException as error:  # noqa: BLE001 -- the message goes out, whatever failed
        report_once("Celery's before_task_publish", error)


def begin(name: str, task_id: str, read: Read, queue_seconds: float | None = None) -> WorkEvent | None:
    """
    Open the event of an attempt. Never raises.

    Args:
        name: The name under which the task is registered.
        task_id: The id of the task.
        read: Reads the message.
        queue_seconds: How long the task waited. None: until now.
    """
    delivery = read("delivery_info")
    retries = read("retries")
    return tasks.begin(
        read("shadow") or name,
        task_id,
        carried=read(CARRIER),
        queue=delivery.get("routing_key") if isinstance(delivery, dict) else None,
        attempt=retries + 1 if isinstance(retries, int) else 1,
        queue_seconds=queue_seconds,
    )


def enqueued_at(read: Read) -> float | None:
    """Return when the message was sent, as ``time.time()`` of the sender, or None if it does not say."""
    carried = read(CARRIER)
    enqueued = carried.get("enqueued") if isinstance(carried, dict) else None
    return enqueued if isinstance(enqueued, int | float) else None
