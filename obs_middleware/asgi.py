"""
An optional wrapper around the ASGI application, for what Django's middleware chain cannot see.

Measure. The wrapper also sees an upload that was broken off, a query string that is not UTF-8, a request cancelled from
outside, a ``send`` that fails, and an outer middleware that raises. It measures until the server has the last byte, and
writes the line then. With or without it, a request has exactly one line.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.counted_lines import line_writer
from obs_middleware.measure.ending import is_departure
from obs_middleware.measure.event import EVENT_ATTRIBUTE, Event, current_event
from obs_middleware.measure.ids import is_request_id, new_request_id
from obs_middleware.measure.line_writer import log, log_failure
from obs_middleware.measure.response_headers import Headers, missing_headers
from obs_middleware.measure.running import RUNNING
from obs_middleware.measure.watching import WATCH
from obs_middleware.work.websockets import Connections

__all__ = ["observed"]

Message = Mapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application. Loosely typed, because each framework declares a slightly different type."""


def observed(application: Application) -> Application:
    """
    Return *application* with every HTTP request observed from the outside, and every websocket connection measured.

    In ``asgi.py``: ``application = observed(get_asgi_application())``. Keep `TimingMiddleware` in ``MIDDLEWARE``: it
    adds the route and the exception to the line that is written here. The cost is a copy of the scope, and one more
    await for each message sent. A failure in here never reaches the server.

    Returns the application itself when ``OBS_MIDDLEWARE["ENABLED"]`` is False.
    """
    observer = _Observer(application)
    if not observer.enabled:
        return application

    # A plain function, because uvicorn mistakes a bound method for an ASGI 2 application.
    async def observed_application(scope: Any, receive: Any, send: Any) -> None:
        await observer.serve(scope, receive, send)

    return observed_application


class _Observer:
    def __init__(self, application: Application) -> None:
        self._application = application
        self._connections = Connections(application)
        keep_configured(self)

    def configure(self, settings: Settings) -> None:
        self.enabled = settings.enabled
        header = settings.request_id_header.lower().encode()
        self._id_in = header if settings.trust_request_id else None
        self._missing_headers = missing_headers(settings)
        self._writer = line_writer(settings, log, log_failure)
        WATCH.configure(settings)
        self._connections.configure(settings)

    async def serve(self, scope: Any, receive: Any, send: Send) -> None:
        kind = scope["type"]
        if kind != "http":
            await (self._connections.serve if kind == "websocket" else self._application)(scope, receive, send)
            return
        started = time.perf_counter()
        try:
            scope = {**scope, "headers": _listed(scope["headers"])}  # a copy, to which the event is added
            event = None if _is_observed(scope) else self._open(scope, started)
        except BaseException as error:  # noqa: BLE001 -- the request goes on, whatever failed
            report_once("observed", error)
            event = None
        if event is None:
            await self._application(scope, receive, send)
            return
        # This frame sets the context and restores it, whatever happens in between.
        outside = current_event.get()
        current_event.set(event)
        sender = _Sender(send, partial(self._missing_headers, event), partial(self._conclude, event))
        scope[EVENT_ATTRIBUTE] = event
        try:
            await self._application(scope, receive, sender)
        except BaseException as error:
            self._conclude(event, sender, error)
            raise
        else:
            self._conclude(event, sender)
        finally:
            current_event.set(outside)

    def _open(self, scope: Any, started: float) -> Event:
        # An id that was sent twice is joined by a comma, which makes it invalid, as in META.
        sent = b",".join(value for name, value in scope["headers"] if name == self._id_in).decode("latin-1")
        request_id = sent if is_request_id(sent) else new_request_id()
        event = Event(started, request_id, scope.get("method"), scope.get("path"))
        event.observed = True
        outer = current_event.get()
        if outer is not None and not outer.done:
            event.previous = outer
        RUNNING[event] = None
        WATCH.attend_if_needed()
        return event

    def _conclude(self, event: Event, sender: _Sender, error: BaseException | None = None) -> None:
        """Decide the outcome by what the server got. The middleware chain may have been wrong about that."""
        if event.done:
            return  # the server had the last byte before, or the middleware has noticed that the client left
        seconds = time.perf_counter() - event.started
        if sender.status is None and (error is None or is_departure(error) or error is sender.error):
            event.status, event.outcome = 499, "cancelled"
        elif sender.status is None:
            event.status, event.outcome, event.error = 500, "error", error
        else:
            event.status = sender.status
            if sender.complete:
                event.outcome = "error" if event.error is not None or sender.status >= 500 else "ok"
            elif error is None or is_departure(error) or error is sender.error:
                event.outcome = "aborted" if event.outcome != "stream_error" else "stream_error"
            else:
                event.outcome, event.error = "stream_error", error
            if sender.bytes is not None:
                event.note("response_bytes", sender.bytes)
        self._writer.conclude(event, seconds)


class _Sender:
    """
    The server's ``send``, with a record of what was sent.

    It adds the headers that *missing* returns, and calls *whole* with itself when the server has the last byte.

    Attributes:
        status: The status that was sent, or None.
        bytes: How many bytes of the body were sent. None if the server reads a file itself (the extension
            ``pathsend``).
        complete: Whether the whole body was sent.
        error: The exception that the server's ``send`` raised, or None.
    """

    __slots__ = ("_missing", "_send", "_whole", "bytes", "complete", "error", "status")

    def __init__(
        self,
        send: Send,
        missing: Callable[[Headers], Headers],
        whole: Callable[[_Sender], None],
    ) -> None:
        self._send = send
        self._missing = missing
        self._whole = whole
        self.status: int | None = None
        self.bytes: int | None = 0
        self.complete = False
        self.error: BaseException | None = None

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers = _listed(message.get("headers", ()))
            message = {**message, "headers": [*headers, *self._missing(headers)]}
            self.status = message["status"]
        try:
            await self._send(message)
        except BaseException as error:
            self.error = error
            if kind == "http.response.start" and not is_departure(error):
                # The server refused the start. If send() is cancelled while it waits, the server has the start.
                self.status = None
            raise
        if kind == "http.response.body":
            if self.bytes is not None:
                self.bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif kind == "http.response.pathsend":
            self.bytes = None
            self.complete = True
        if self.complete:
            # Now, not when the application returns: it may work on, or the server may stop before that.
            self._whole(self)


def _is_observed(scope: Any) -> bool:
    """Return whether this request is already observed, because the application was wrapped twice."""
    event = scope.get(EVENT_ATTRIBUTE)
    # A view may call the application with a copy of its scope. That is another request, with another path.
    return type(event) is Event and not event.done and event.path == scope.get("path")


def _listed(headers: Any) -> Sequence[tuple[bytes, bytes]]:
    """Return *headers* as a sequence, which can be read twice. ASGI allows any iterable."""
    return headers if type(headers) in {list, tuple} else [*headers]
