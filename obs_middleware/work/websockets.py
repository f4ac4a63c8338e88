"""
Write one line for each websocket connection: ``Connection took 12.3456 seconds``.

Work. `obs_middleware.asgi.observed` calls `serve` for connections. All code of a consumer has the context then, so its
lines have the id of the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from obs_middleware.conf import Settings
from obs_middleware.failures import report_once
from obs_middleware.measure.client import client_address, networks
from obs_middleware.measure.ending import is_departure
from obs_middleware.measure.event import EVENT_ATTRIBUTE
from obs_middleware.measure.headers import meta_key
from obs_middleware.measure.watching import WATCH
from obs_middleware.work import unit
from obs_middleware.work.unit import WorkEvent

__all__ = ["Connections"]

_NORMAL: Final = 1000
_NO_CODE: Final = 1005
_VANISHED: Final = frozenset({1006})
"""Close codes: the default, none was sent, the connection broke. Source: RFC 6455, section 7.4.1."""

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Connections:
    """
    Serve websocket connections of an ASGI application, and measure them.

    Args:
        application: The ASGI application.
    """

    def __init__(self, application: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._application = application
        unit.prepare()  # the app need not be installed

    def configure(self, settings: Settings) -> None:
        """Take over *settings*."""
        self._id_key = meta_key(settings.request_id_header) if settings.trust_request_id else ""
        trusted = settings.trusted_proxies
        self._trusted = trusted if isinstance(trusted, int) else networks(trusted)

    async def serve(self, scope: Any, receive: Receive, send: Send) -> None:
        """Call the application in the context of the connection, and write the line when it returns."""
        event = self._begin(scope)
        if event is None:
            await self._application(scope, receive, send)
            return
        connection = _Connection(receive, send)
        scope = {**scope, EVENT_ATTRIBUTE: event}  # a copy, so that a second wrapper knows that it is measured
        try:
            await self._application(scope, connection.receive, connection.send)
        except BaseException as error:
            _end(event, connection, error)
            raise
        _end(event, connection)

    def _begin(self, scope: Any) -> WorkEvent | None:
        try:
            if isinstance(scope.get(EVENT_ATTRIBUTE), WorkEvent):
                return None
            meta = _meta(scope)
            path = scope.get("path")
            event = WorkEvent("websocket", "Connection", {"path": path}, meta.get(self._id_key), path)
            address = client_address(meta, self._trusted)
            if address is not None:
                event.note("client_ip", address)
            if unit.begin(event, meta.get("HTTP_TRACEPARENT")) is None:
                return None
            WATCH.units.add(event)
            WATCH.attend_if_needed()
            return event
        except BaseException as error:  # noqa: BLE001 -- the connection goes on, whatever failed
            report_once("observed", error)
            return None


def _end(event: WorkEvent, connection: _Connection, error: BaseException | None = None) -> None:
    WATCH.units.discard(event)
    if connection.code is not None:
        event.note("close_code", connection.code)
    is_broken = error is not None and (is_departure(error) or error is connection.error)
    if error is not None and not is_broken:
        unit.end(event, "error", error)
    elif connection.is_rejected:
        unit.end(event, "rejected")
    elif is_broken or connection.code in _VANISHED:
        unit.end(event, "aborted")
    else:
        unit.end(event, "ok" if connection.is_accepted else "rejected")


class _Connection:
    """
    The two callables that the server gave, with a record of what passed through them.

    Attributes:
        is_accepted: The application has accepted the connection.
        is_rejected: The application has closed the connection before that, or answered with a plain response.
        code: The close code of the side that closed the connection first, or None.
        error: The exception that the server's ``send`` raised, or None.
    """

    __slots__ = ("_receive", "_send", "code", "error", "is_accepted", "is_rejected")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.is_accepted = self.is_rejected = False
        self.code: int | None = None
        self.error: BaseException | None = None

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self.code is None and not self.is_rejected:
            self.code = message.get("code", _NO_CODE)
        return message

    async def send(self, message: Any) -> None:
        try:
            await self._send(message)
        except BaseException as error:
            self.error = error
            raise
        kind = message["type"]  # the server has understood it
        if kind == "websocket.accept":
            self.is_accepted = True
        elif not self.is_accepted:
            self.is_rejected = True
        elif kind == "websocket.close" and self.code is None:
            self.code = message.get("code") or _NORMAL


def _meta(scope: Any) -> dict[str, Any]:
    """Return the headers of *scope* under the names that they have in ``request.META``."""
    meta: dict[str, Any] = {}
    for name, value in scope["headers"]:
        key = meta_key(name.decode("latin-1"))
        text = value.decode("latin-1")
        # As in Django, a header that was sent twice is joined by a comma.
        meta[key] = f"{meta[key]},{text}" if key in meta else text
    client = scope.get("client")
    if client:
        meta["REMOTE_ADDR"] = client[0]
    return meta
