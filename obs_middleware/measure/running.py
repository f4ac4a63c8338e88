"""
The requests that are running now.

Measure. A running request costs one entry in a dict.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from time import perf_counter  # by name: a test that replaces time.perf_counter counts only the middleware's calls
from typing import Any, Final

from obs_middleware.measure.event import Event, is_of_scope
from obs_middleware.processes import call_after_fork

__all__ = ["RUNNING", "RunningRequest", "hold_weakly", "in_flight", "is_observed_as", "request_of", "route_of"]

RUNNING: Final[dict[Event, Any]] = {}
"""
Requests in flight: event -> request, or a weak reference to it. `begin()` adds an entry, writing the line removes it.
"""


@dataclass(frozen=True, slots=True)
class RunningRequest:
    """
    A request that is running now.

    Attributes:
        request_id: Its id, as on its lines.
        method: The HTTP method, or None if it is unknown.
        path: The path without the query string, or None if it is unknown.
        route: The URL pattern that matched, or None if none has matched yet.
        age_seconds: Seconds since the request began.
    """

    request_id: str
    method: str | None
    path: str | None
    route: str | None
    age_seconds: float


def is_observed_as(event: Event, request: Any) -> bool:
    """
    Return whether `obs_middleware.asgi.observed` opened *event* for *request*, which may be any object.

    The request of a WSGI application in an ASGI adapter does not know the scope. It is the first request in *event*,
    and has the same method and path.
    """
    if is_of_scope(request, event):
        return True
    # By its attribute, not its class: Django's handlers are not needed for `import obs_middleware`.
    is_first = type(getattr(request, "environ", None)) is dict and RUNNING.get(event) is None
    return is_first and (request.method, request.path) == (event.method, event.path)


def hold_weakly(event: Event, request: Any) -> None:
    """
    Let *request* be garbage-collected while its response is a stream.

    A request may refer to its own response. If `RUNNING` kept the request, a stream that is lost would never be
    collected, which is how its end is noticed.
    """
    try:
        RUNNING[event] = weakref.ref(request)
    except TypeError:  # an object without weak references
        RUNNING[event] = None


def request_of(event: Event) -> Any:
    """Return the request of *event*, which is in flight; None if the request or its event is gone."""
    request = RUNNING.get(event)
    return request() if type(request) is weakref.ref else request


def in_flight() -> list[RunningRequest]:
    """Return the requests that this process is serving now, oldest first."""
    now = perf_counter()
    return sorted(
        (
            RunningRequest(event.request_id, event.method, event.path, route_of(event), now - event.started)
            for event in RUNNING.copy()
        ),
        key=lambda running: running.age_seconds,
        reverse=True,
    )


def route_of(event: Event) -> str | None:
    """Return the URL pattern that the request of *event* has matched, or None if none has matched yet."""
    route = getattr(getattr(request_of(event), "resolver_match", None), "route", event.route)
    return route if isinstance(route, str) else None


call_after_fork(RUNNING.clear)
