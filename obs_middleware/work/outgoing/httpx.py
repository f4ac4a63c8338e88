"""
Calls of httpx, sync and async.

Work. A transport gets each hop of a redirect on its own. httpx copies the headers of one hop to the next, so ours are
taken off again after each.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event, current_event
from obs_middleware.work.outgoing.calls import count
from obs_middleware.work.outgoing.headers import HEADERS
from obs_middleware.work.patching import Patches

__all__ = ["patch"]


def patch(patches: Patches) -> None:
    """Follow all calls over the network. A transport of another kind, as in tests, is not touched."""
    import httpx  # noqa: PLC0415 -- the site may not have it

    patches.replace(httpx.HTTPTransport, "handle_request", _handle_request)
    patches.replace(httpx.AsyncHTTPTransport, "handle_async_request", _handle_async_request)


def _handle_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_request(self: Any, request: Any) -> Any:
        event = current_event.get()
        if event is None:
            return original(self, request)
        added = _add_headers(request, event)
        started = perf_counter()
        try:
            return original(self, request)
        finally:
            count(event, started)
            _remove_headers(request, added)

    return handle_request


def _handle_async_request(original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_async_request(self: Any, request: Any) -> Any:
        event = current_event.get()
        if event is None:
            return await original(self, request)
        added = _add_headers(request, event)
        started = perf_counter()
        try:
            return await original(self, request)
        finally:
            count(event, started)
            _remove_headers(request, added)

    return handle_async_request


def _add_headers(request: Any, event: Event) -> list[tuple[str, str]]:
    """Add our headers to *request*. Those of the caller win. Return what was added."""
    added = []
    try:
        for name, value in HEADERS.to(request.url.raw_host.decode("ascii"), event, request.headers):
            request.headers[name] = value
            added.append((name, value))
    except BaseException as error:  # noqa: BLE001 -- the call goes out without them
        report_once("OUTGOING", error)
    return added


def _remove_headers(request: Any, added: list[tuple[str, str]]) -> None:
    try:
        for name, value in added:
            if request.headers.get(name) == value:
                del request.headers[name]
    except BaseException as error:  # noqa: BLE001 -- as above
        report_once("OUTGOING", error)
