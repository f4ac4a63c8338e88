"""Tasks that end in different ways."""

import logging
import os
import signal
import sys

import django

from obs_middleware import annotate

if django.VERSION >= (6,):
    from django.tasks import task
else:
    from django_tasks import task  # type: ignore[no-redef]  # the backport

__all__ = ["TASKS"]


@task()
def good() -> None:
    logging.getLogger("shop").info("working")
    annotate(rows=3)


@task()
async def good_async() -> None:
    logging.getLogger("shop").info("working")


@task()
def bad() -> None:
    raise ValueError("no")


@task()
def leaves() -> None:
    sys.exit(3)


@task()
def parent() -> None:
    good.enqueue()


@task()
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


TASKS = {one.name: one for one in (good, good_async, bad, leaves, parent, dies)}
