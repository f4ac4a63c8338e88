"""
Calls of aiohttp.

Work. Its ``TraceConfig`` tells when a call begins, is redirected and ends. The headers are added to each hop when it is
sent, to a copy that the next hop does not get.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from obs_middleware.failures import report_once
from obs_middleware.measure.event import current_event
from obs_middleware.work.outgoing.calls import count
from obs_middleware.work.outgoing.headers import HEADERS
from obs_middleware.work.patching import Patches

if TYPE_CHECKING:
    from aiohttp import TraceConfig

__all__ = ["patch"]


def patch(patches: Patches) -> None:
    """Follow all calls of all sessions that are created from now on."""
    import aiohttp  # noqa: PLC0415 -- the site may not have it

    async def fail(session: Any, call: Any, failure: Any) -> None:
        # These are raised after a redirect, in place of another hop.
        if not isinstance(failure.exception, (aiohttp.TooManyRedirects, aiohttp.InvalidURL)):
            await _end(session, call, failure)

    watch = aiohttp.TraceConfig()
    watch.on_request_start.append(_start)
    watch.on_request_redirect.append(_redirect)
    watch.on_request_end.append(_end)
    watch.on_request_exception.append(fail)
    patches.replace(aiohttp.ClientSession, "__init__", _watched_by(watch))
    patches.replace(aiohttp.ClientRequest, "send", _send)


def _watched_by(watch: TraceConfig) -> Callable[..., Any]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            kwargs["trace_configs"] = [*(kwargs.get("trace_configs") or ()), watch]
            original(self, *args, **kwargs)

        return init

    return wrapper


async def _start(_session: Any, call: Any, _params: Any) -> None:
    call.event = current_event.get()
    call.started = perf_counter()


async def _redirect(_session: Any, call: Any, _params: Any) -> None:
    if call.event is not None:
        count(call.event, call.started)
        call.started = perf_counter()


async def _end(_session: Any, call: Any, _params: Any) -> None:
    if call.event is not None:
        count(call.event, call.started)


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, conn: Any) -> Any:
        event = current_event.get()
        if event is not None and self.method != "CONNECT":  # that is to a proxy
            try:
                for name, value in HEADERS.to(self.url.raw_host, event, self.headers):
                    self.headers[name] = value
            except BaseException as error:  # noqa: BLE001 -- the call goes out without them
                report_once("OUTGOING", error)
        return await original(self, conn)

    return send
