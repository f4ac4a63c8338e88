"""
Count the queries of a request, measure how long they take, and notice a statement that it repeats.

Measure. Every connection of every alias gets a wrapper when it is opened, in any thread or task. The wrapper finds the
request in the ContextVar. It never sees the result of a query, and keeps neither SQL nor parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from django.db import connections
from django.db.backends.signals import connection_created

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.event import current_event
from obs_middleware.measure.statements import statements_of

__all__ = ["install", "is_installed", "measure_query"]

_installed = False


def measure_query(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """
    Run one query, and add its duration to the current request, if there is one. This is an execute wrapper of Django.

    A query that raises counts too, and its exception propagates. A call of ``execute`` or ``executemany`` is one query.
    The time that a server-side cursor or SQLite takes while rows are fetched is not counted.
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
        limit = _repeats.limit
        if limit is not None:
            try:
                (event.statements or statements_of(event, limit)).count(sql, context["connection"].alias)
            except BaseException as error:  # noqa: BLE001 -- the query was run, whatever failed
                report_once("measure_query", error)


class _Repeats:
    """
    What the setting ``REPEATED_QUERIES`` says.

    Attributes:
        limit: How often a statement runs before its place is looked for. None: statements are not counted.
    """

    limit: int | None = None

    def configure(self, settings: Settings) -> None:
        self.limit = settings.repeated_queries


def install() -> None:
    """
    Add `measure_query` to every connection that is opened from now on. Called when the app is ready.

    Connections that this thread has already open get it too: another app may have run a query in ``ready()``.
    """
    global _installed  # noqa: PLW0603 -- once in a process, like the signal itself
    connection_created.connect(_wrap, dispatch_uid="obs_middleware.measure.database")
    for connection in connections.all(initialized_only=True):
        _wrap(connection)
    _installed = True
    keep_configured(_repeats, lenient=True)


def is_installed() -> bool:
    """Return whether queries are measured in this process."""
    return _installed


def _wrap(connection: Any, **_: Any) -> None:
    if measure_query not in connection.execute_wrappers:
        # insert(0): a connection may be opened inside a wrapper of the application, which pops the last one at its end.
        connection.execute_wrappers.insert(0, measure_query)


_repeats: Final = _Repeats()
