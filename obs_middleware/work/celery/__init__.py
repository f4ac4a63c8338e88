"""
Write one line for each attempt to do a task of Celery, however it ends.

Work. The id goes along in the headers of the message. The process that does the task writes the line; if that process
is killed, the main process of the worker writes it.
"""

from __future__ import annotations

from obs_middleware.when_imported import call_when_imported

__all__ = ["prepare"]


def prepare() -> None:
    """Follow the tasks, once the site imports Celery."""
    call_when_imported("celery.signals", _connect)


def _connect() -> None:
    from obs_middleware.work.celery.connecting import connect  # noqa: PLC0415 -- only if the site uses it

    connect()
