"""Tasks of Celery in this process: messages through the broker in memory, attempts as a pool makes them."""

from __future__ import annotations

import os
import time
from queue import Empty

from celery import Celery, signals
from celery.app.trace import trace_task_ret
from celery.worker.request import Request

app = Celery("inmemory", broker="memory://", set_as_current=False)


def received() -> list[Request]:
    """Take all messages from the queue, as the main process of a worker does."""
    requests: list[Request] = []
    with app.connection() as connection, connection.SimpleQueue("celery") as queue:
        while True:
            try:
                message = queue.get(block=False)
            except Empty:
                return requests
            message.ack()
            request = Request(message, app=app, task=app.tasks[message.headers["task"]])
            signals.task_received.send(sender=None, request=request)
            requests.append(request)


def do(request: Request) -> None:
    """Make one attempt, as a pool does."""
    request.on_accepted(os.getpid(), time.monotonic())
    result = trace_task_ret(
        request.name,
        request.id,
        request.request_dict,
        request.body,
        request.content_type,
        request.content_encoding,
        app=app,
    )
    request.on_success(result)


def work() -> None:
    """Do all tasks in the queue, and those that they send."""
    while requests := received():
        for request in requests:
            do(request)
