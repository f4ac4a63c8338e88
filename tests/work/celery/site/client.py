"""
Send tasks in requests, one for each ending, and end those that must be ended from outside.

Usage: ``python -m work.celery.site.client ENDING...``. Prints the ids of the tasks as JSON, by ending.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "work.celery.site.settings")

import django
from celery import chain, group
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from work.celery.site import tasks

from obs_middleware import bind

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def revoked() -> list[str]:
    tasks.app.control.revoke("revoked-1", reply=True, timeout=5, limit=1)
    return [tasks.ok.apply_async(task_id="revoked-1").id]


def chained() -> list[str]:
    result = chain(tasks.ok.si(), tasks.ok.si())()
    return [result.parent.id, result.id]


SEND: dict[str, Callable[[], list[str]]] = {
    "bad arguments": lambda: [tasks.app.send_task(tasks.boom.name, (1, 2)).id],
    "chain": chained,
    "countdown": lambda: [tasks.ok.apply_async(countdown=1).id],
    "expired": lambda: [tasks.ok.apply_async(expires=LONG_AGO).id],
    "group": lambda: [result.id for result in group(tasks.ok.si(), tasks.ok.si())()],
    "revoked": revoked,
    "terminated SIGKILL": lambda: [tasks.long.delay().id],
    "terminated SIGTERM": lambda: [tasks.long.delay().id],
    "unknown": lambda: [tasks.app.send_task("site.nothing").id],
}
"""Ending -> function that sends its task and returns all ids. Others have a task of their name."""


def view(request: HttpRequest, ending: str) -> HttpResponse:
    bind(tenant="acme", basket={"not": "sent"})
    return HttpResponse(json.dumps(SEND[ending]() if ending in SEND else [getattr(tasks, ending).delay().id]))


urlpatterns = [path("<path:ending>", view)]


def wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("the worker did not start the task")
        time.sleep(0.02)


def main(endings: list[str]) -> None:
    django.setup()
    client = Client()
    ids: dict[str, Any] = {}
    for ending in endings:
        ids[ending] = json.loads(
            client.get(f"/{ending}", headers={"X-Request-ID": f"of-{ending.replace(' ', '-')}"}).content
        )
    for ending, (task_id, *_) in ids.items():
        if ending.startswith("terminated") or ending == "slow":
            wait((settings.FOLDER / f"runs-{task_id}").exists)
        if ending.startswith("terminated"):
            tasks.app.control.revoke(task_id, terminate=True, signal=ending.split()[1])
    print(json.dumps(ids))


if __name__ == "__main__":
    main(sys.argv[1:])
