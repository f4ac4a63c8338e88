"""
How many queries a request made, and how long they took.

Measure. Every connection of every alias has a wrapper from the moment it is opened, in any thread or task. The wrapper
looks for the request in the ContextVar. It never sees what a query returns, and keeps neither SQL nor parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from obs_middleware.measure.event import current_event

__all__ = ["install", "is_installed", "measure_query"]

_installed = False


def measure_query(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """
    Run one query, and add its duration to the request that it belongs to, if it belongs to one; an execute wrapper.

    A query that raises counts too; its exception goes on. Counted are the calls of ``execute`` and ``executemany``,
    the latter as one; what a server-side cursor or sqlite does while rows are fetched is not.
    """
    event = current_event.get()
    if event is None or event.queries is None or event.done:
        return execute(sql, params, many, context)
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        # append is atomic; several threads of one request may query at once
        event.queries.append(time.perf_counter() - started)


def install() -> None:
    """
    Put `measure_query` into every connection that is opened from now on; called when the app is ready.

    And into those that this thread has open, for an app that was ready earlier may have made a query.
    """
    global _installed  # noqa: PLW0603 -- once in a process, like the signal itself
    connection_created.connect(_wrap, dispatch_uid="obs_middleware.measure.database")
    for connection in connections.all(initialized_only=True):
        _wrap(connection)
    _installed = True


def is_installed() -> bool:
    """Return whether queries are measured in this process."""
    return _installed


def _wrap(connection: Any, **_: Any) -> None:
    if measure_query not in connection.execute_wrappers:
        # insert(0): a connection may be opened inside a user's own wrapper, whose end pops the last one.
        connection.execute_wrappers.insert(0, measure_query)
