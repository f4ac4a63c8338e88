"""
Calls of ``http.client``, which urllib, urllib3, requests and boto3 use.

Work. One connection sends one request after the other, so the call that runs is kept in the connection. The headers go
out below these libraries: they do not see them, and cannot copy them to the next hop of a redirect.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event, current_event
from obs_middleware.work.outgoing.calls import count
from obs_middleware.work.outgoing.headers import HEADERS
from obs_middleware.work.patching import Patches

__all__ = ["patch", "patch_urllib3"]

_CALL: Final = "_obs_middleware_call"
"""The attribute of a connection with the event and the start of the call that runs."""


def patch(patches: Patches) -> None:
    """Follow all calls of ``http.client``."""
    from http.client import HTTPConnection  # noqa: PLC0415 -- the site may not use it

    patches.replace(HTTPConnection, "endheaders", _endheaders)
    patches.replace(HTTPConnection, "getresponse", _getresponse)


def patch_urllib3(patches: Patches) -> None:
    """Measure the TLS connections of urllib3 too, which it opens before it sends anything."""
    from urllib3.connection import HTTPSConnection  # noqa: PLC0415 -- the site may not have it

    patches.replace(HTTPSConnection, "connect", _connect)


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: Any) -> None:
        event = current_event.get()
        if event is None or _CALL in self.__dict__:
            original(self)
            return
        started = perf_counter()
        try:
            original(self)
        except BaseException:
            count(event, started)
            raise
        self.__dict__[_CALL] = (event, started)  # for the request that follows

    return connect


def _endheaders(original: Callable[..., Any]) -> Callable[..., Any]:
    def endheaders(self: Any, *args: Any, **kwargs: Any) -> None:
        event = current_event.get()
        connected = self.__dict__.pop(_CALL, None)
        if event is None:
            original(self, *args, **kwargs)
            return
        call = connected if connected is not None and connected[0] is event else (event, perf_counter())
        self.__dict__[_CALL] = call
        _add_headers(self, event)
        try:
            original(self, *args, **kwargs)
        except BaseException:
            if self.__dict__.pop(_CALL, None) is not None:
                count(*call)
            raise

    return endheaders


def _getresponse(original: Callable[..., Any]) -> Callable[..., Any]:
    def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = self.__dict__.pop(_CALL, None)
        if call is None:
            return original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        finally:
            count(*call)

    return getresponse


def _add_headers(connection: Any, event: Event) -> None:
    """Add our headers to the request that waits in the buffer of *connection*. Those of the caller win."""
    try:
        lines = connection._buffer  # noqa: SLF001 -- nothing else knows what the caller has sent; a canary test checks it
        sent = {line.partition(b":")[0].decode("latin-1").lower() for line in lines[1:]}
        for name, value in HEADERS.to(_host_of(connection, lines[0]), event, sent):
            connection.putheader(name, value)
    except BaseException as error:  # noqa: BLE001 -- the call goes out without them
        report_once("OUTGOING", error)


def _host_of(connection: Any, request_line: bytes) -> str | None:
    """Return the host that gets the request, and not that of a proxy on the way."""
    target = request_line.split(b" ")[1]
    if target.startswith((b"http://", b"https://")):
        return urlsplit(target.decode("latin-1")).hostname
    host: str | None = getattr(connection, "_tunnel_host", None) or connection.host
    return host
