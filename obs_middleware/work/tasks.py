"""
The shape of a queue: `sent`, `begin` and `end`. With them a site adds a queue that this package does not know.

Work. Call `sent` where a message is put into the queue, and send its result along. Call `begin` with that result where
the task starts, and `end` where it ends, in the same thread, task or greenlet. A task that runs inside a request or
another task is part of it and has no line: `begin` then returns None.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obs_middleware.measure.ending import is_departure
from obs_middleware.measure.event import Event, current_event
from obs_middleware.work import unit
from obs_middleware.work.carrier import CARRIER, received, sent
from obs_middleware.work.unit import WorkEvent, end

__all__ = ["CARRIER", "begin", "end", "enqueued", "outcome_of", "running", "sent"]

MOST_TASKS: Final = 20
"""How many ids of tasks are on the line of the work that has enqueued them."""


def begin(  # noqa: PLR0913 -- keyword-only
    task: str,
    task_id: str,
    *,
    carried: object = None,
    queue: str | None = None,
    attempt: int | None = None,
    queue_seconds: float | None = None,
) -> WorkEvent | None:
    """
    Open the event of an attempt to do a task.

    Args:
        task: The name of the task.
        task_id: The id of the task, the same for each attempt.
        carried: The result of `sent` that came with the message. It may be any object.
        queue: The name of the queue.
        attempt: The number of the attempt, from 1.
        queue_seconds: How long the task waited. None: since `sent`.

    Returns:
        The event, to pass to `end`. None if the task is part of a request or of another unit, or nothing is measured.
    """
    event: Event | None = current_event.get()
    if event is not None and not event.done:
        _forget(event, task_id)
        return None
    came = received(carried)
    attempted = WorkEvent("task", "Task", {"task": task, "task_id": task_id}, came.request_id)
    if queue_seconds is None:
        queue_seconds = came.queue_seconds
    notes = {"queue": queue, "attempt": attempt, "parent_task_id": came.parent_task_id, "queue_seconds": queue_seconds}
    attempted.line_fields = {name: value for name, value in notes.items() if value is not None}
    if came.bound:
        attempted.say().bound.update(came.bound)
    return unit.begin(attempted, came.traceparent)


def enqueued(task_id: str) -> None:
    """
    Note on the line of the current unit that it has enqueued this task, as one of ``tasks``. At most 20 are noted.

    For a queue whose messages have no place for the result of `sent`: `obs-middleware request` joins the lines by the
    ids. If the task begins inside the same unit, because the queue does it at once, the note is taken back.
    """
    event = current_event.get()
    if event is not None and not event.done:
        ids = _enqueued_ids(event)
        if len(ids) < MOST_TASKS and task_id not in ids:
            event.note("tasks", [*ids, task_id])


def _enqueued_ids(event: Event) -> list[str]:
    return [] if event.line_fields is None else event.line_fields.get("tasks", [])


def _forget(event: Event, task_id: str) -> None:
    ids = _enqueued_ids(event)
    if task_id in ids:
        event.note("tasks", [one for one in ids if one != task_id])


@contextmanager
def running(  # noqa: PLR0913 -- as above
    task: str,
    task_id: str,
    *,
    carried: object = None,
    queue: str | None = None,
    attempt: int | None = None,
    queue_seconds: float | None = None,
) -> Iterator[WorkEvent | None]:
    """
    Do the task in the ``with`` block: `begin`, and `end` with the outcome ``ok``, ``error`` or ``killed``.

    An exception propagates. To give the line another outcome, set ``outcome`` of the event inside the block.

    Args:
        task: As in `begin`, like all others.
        task_id: As in `begin`.
        carried: As in `begin`.
        queue: As in `begin`.
        attempt: As in `begin`.
        queue_seconds: As in `begin`.
    """
    event = begin(task, task_id, carried=carried, queue=queue, attempt=attempt, queue_seconds=queue_seconds)
    try:
        yield event
    except BaseException as error:
        end(event, outcome_of(error), error)
        raise
    end(event, "ok" if event is None else event.outcome)


def outcome_of(error: BaseException) -> str:
    """Return the outcome of a task that *error* has ended: ``error``, or ``killed`` if somebody wanted it to end."""
    is_end = isinstance(error, (SystemExit, KeyboardInterrupt)) or is_departure(error)
    return "killed" if is_end else "error"
