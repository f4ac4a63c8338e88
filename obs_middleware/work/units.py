"""
Start to measure all work that is not a request, and to follow it.

Work. The app calls `prepare` when it is ready. A library is neither imported nor changed unless the site uses it.
"""

from __future__ import annotations

from obs_middleware.work import (
    carrier,
    celery,
    commands,
    django_tasks,
    dramatiq,
    huey,
    outgoing,
    rq,
    threads,
    unit,
)

__all__ = ["prepare"]


def prepare() -> None:
    """Measure tasks, commands and connections from now on, as the settings say."""
    for module in (unit, carrier, celery, commands, django_tasks, dramatiq, huey, outgoing, rq, threads):
        module.prepare()
