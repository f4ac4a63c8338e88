"""The Celery app of the site. Each task ends in the way of its name."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.db import connection

from obs_middleware import annotate, bind, timed

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "work.celery.site.settings")

app = Celery("site")
app.config_from_object("django.conf:settings", namespace="CELERY")
logger = logging.getLogger("site")


def wait_long(task: Any) -> None:
    """Say that the task runs, and run until somebody ends it."""
    (settings.FOLDER / f"runs-{task.request.id}").touch()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)


@app.task
def ok() -> None:
    bind(order=7)
    annotate(total=12)
    with timed("stripe"):
        logger.info("paying")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@app.task
def boom() -> None:
    raise ValueError("no stock")


@app.task(throws=(KeyError,))
def declared() -> None:
    raise KeyError("sold out")


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retried(self: Any) -> None:
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("late"))


@app.task(bind=True, autoretry_for=(ValueError,), max_retries=1, default_retry_delay=0)
def tired(self: Any) -> None:
    raise ValueError("still late")


@app.task
def ignoring() -> None:
    raise Ignore


@app.task(acks_late=True)
def rejecting() -> None:
    raise Reject("not mine", requeue=False)


@app.task(bind=True)
def replaced(self: Any) -> None:
    raise self.replace(ok.s())


@app.task
def unwritable() -> object:
    return object()


@app.task
def nested() -> None:
    ok.delay()


@app.task
def calling() -> None:
    ok.apply()


@app.task(bind=True, soft_time_limit=1)
def soft(self: Any) -> None:
    wait_long(self)


@app.task(bind=True, time_limit=1)
def hard(self: Any) -> None:
    wait_long(self)


@app.task(bind=True)
def long(self: Any) -> None:
    wait_long(self)


@app.task(bind=True, acks_late=True)
def late(self: Any) -> None:
    wait_long(self)


@app.task
def exiting() -> None:
    sys.exit(1)


@app.task
def dying() -> None:
    os._exit(1)


@app.task
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def slow(self: Any) -> None:
    (settings.FOLDER / f"runs-{self.request.id}").touch()
    time.sleep(1)
