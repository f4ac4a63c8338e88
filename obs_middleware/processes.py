"""
Know what this process is: a fork, also under a server that forks without telling Python; a command that serves.

A leaf that every wing uses. A child must not use the ids, counts, locks, queues and watches of its parent.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from obs_middleware.platforms import call_in_child

__all__ = ["SERVERS", "call_after_fork", "may_start_threads"]

SERVERS: Final = frozenset(
    {
        # Django, daphne and Channels
        "runserver",
        "runworker",
        "testserver",
        # django-extensions, django-sslserver
        "runprofileserver",
        "runserver_plus",
        "runsslserver",
        # django-tasks, django-q2, django-rq, huey, django-dramatiq, django-apscheduler, django-background-tasks
        "db_worker",
        "qcluster",
        "rqscheduler",
        "rqworker",
        "rqworker-pool",
        "run_huey",
        "rundramatiq",
        "runapscheduler",
        "process_tasks",
    }
)
"""Management commands that serve until they are stopped. Their output is a log, not a result."""

_hooks: Final[list[Callable[[], object]]] = []


def call_after_fork(hook: Callable[[], object]) -> None:
    """Call *hook* in every child process from now on, in the order of these calls."""
    _hooks.append(hook)


def may_start_threads() -> bool:
    """
    Return False in a process of uWSGI that will still be forked into workers.

    It forks without Python's global lock. If a thread has the lock at that moment, the worker waits for it for ever.
    """
    return _uwsgi is None or _uwsgi.worker_id() != 0


def _call_all() -> None:
    global _pid  # noqa: PLW0603 -- the identity of a process is process-wide
    _pid = os.getpid()
    for hook in _hooks:
        hook()


def _notice_forks_of_uwsgi(uwsgi: Any) -> None:
    """
    Have the hooks called in the workers of uWSGI, which loads the application before it forks.

    Without its option ``--py-call-osafterfork``, Python does not learn of these forks. uWSGI then calls one function in
    each worker. Somebody else's is called too.
    """
    # uWSGI's own module sets the function when it is imported, so import it now. It raises without a master process.
    with contextlib.suppress(Exception):
        importlib.import_module("uwsgidecorators")
    before = getattr(uwsgi, "post_fork_hook", None)

    def after_fork() -> None:
        if _pid != os.getpid():
            _call_all()
        if before is not None:
            before()

    uwsgi.post_fork_hook = after_fork


_pid = os.getpid()
_uwsgi: Any = sys.modules.get("uwsgi")  # built into that server
call_in_child(_call_all)
if _uwsgi is not None:  # pragma: no cover -- only inside that server
    _notice_forks_of_uwsgi(_uwsgi)
