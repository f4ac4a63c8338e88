"""
The optional outer wrapper: what Django's middleware chain cannot see.

Measure. Around the ASGI application it also sees an upload that was broken off, a query string that is not UTF-8, a
request cancelled from outside, a ``send`` that fails, an outer middleware that raises; and it measures until the server
has the last byte. With it or without it a request has exactly one line.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.ending import is_departure
from obs_middleware.measure.event import EVENT_ATTRIBUTE, RequestEvent, current_event
from obs_middleware.measure.ids import is_request_id, new_request_id
from obs_middleware.measure.line_writer import LineWriter, log
from obs_middleware.measure.running import RUNNING

__all__ = ["observed"]

Message = Mapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application; loosely typed, because every framework types its own a little differently."""


def observed(application: Application) -> Application:
    """
    Return *application* with every HTTP request observed from the outside; other scopes pass untouched.

    In ``asgi.py``: ``application = observed(get_asgi_application())``. Costs a copy of the scope and one more await for
    each message sent. Nothing that fails in here reaches the server. `TimingMiddleware` stays in ``MIDDLEWARE``: it
    knows the route and the exception, and hands them out to the line that is written here.

    Returns the application itself when ``OBS_MIDDLEWARE["ENABLED"]`` is False.
    """
    observer = _Observer(application)
    if not observer.enabled:
        return application

    # A plain function: uvicorn takes a bound method for an application of ASGI 2.
    async def observed_application(scope: Any, receive: Any, send: Any) -> None:
        await observer.serve(scope, receive, send)

    return observed_application


class _Observer:
    def __init__(self, application: Application) -> None:
        self._application = application
        keep_configured(self)

    def configure(self, settings: Settings) -> None:
        self.enabled = settings.enabled
        header = settings.request_id_header.lower().encode()
        self._id_in = header if settings.trust_request_id else None
        self._id_out = header if settings.response_header else None
        self._writer = LineWriter(settings, log)

    async def serve(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started = time.perf_counter()
        try:
            scope = {**scope, "headers": _listed(scope["headers"])}  # which is ours from here on
            event = None if _is_observed(scope) else self._open(scope, started)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the request goes on
            report_once("observed", error)
            event = None
        if event is None:
            await self._application(scope, receive, send)
            return
        # The one frame that sets the context also puts it back, whatever happens between.
        outside = current_event.get()
        current_event.set(event)
        sender = _Sender(send, self._id_out, event.request_id.encode())
        scope[EVENT_ATTRIBUTE] = event
        try:
            await self._application(scope, receive, sender)
        except BaseException as error:
            self._conclude(event, sender, error)
            raise
        else:
            self._conclude(event, sender, None)
        finally:
            current_event.set(outside)

    def _open(self, scope: Any, started: float) -> RequestEvent:
        # One that was sent twice is no id, as in META, where Django puts a comma in between.
        sent = b",".join(value for name, value in scope["headers"] if name == self._id_in).decode("latin-1")
        request_id = sent if is_request_id(sent) else new_request_id()
        event = RequestEvent(started, request_id, scope.get("method"), scope.get("path"))
        event.observed = True
        outer = current_event.get()
        if outer is not None and not outer.done:
            event.previous = outer
        RUNNING[event] = None
        return event

    def _conclude(self, event: RequestEvent, sender: _Sender, error: BaseException | None) -> None:
        """Decide the outcome by what the server was given, which the chain may have been wrong about."""
        if event.done:
            return  # the chain knew first that the client had left
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
    The server's ``send``, keeping account of what was handed over.

    Attributes:
        status: What was sent; None if nothing was.
        bytes: Of the body; None if the server reads a file by itself (the extension ``pathsend``).
        complete: The body came to its end.
        error: What the server's own ``send`` raised.
    """

    __slots__ = ("_header", "_request_id", "_send", "bytes", "complete", "error", "status")

    def __init__(self, send: Send, header: bytes | None, request_id: bytes) -> None:
        self._send = send
        self._header = header
        self._request_id = request_id
        self.status: int | None = None
        self.bytes: int | None = 0
        self.complete = False
        self.error: BaseException | None = None

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            header = self._header
            if header is not None:
                headers = _listed(message.get("headers", ()))
                if all(name.lower() != header for name, _ in headers):
                    # A response that never met the middleware: a bad query string, an outer layer that failed.
                    headers = [*headers, (header, self._request_id)]
                message = {**message, "headers": headers}
            self.status = message["status"]
        try:
            await self._send(message)
        except BaseException as error:
            self.error = error
            if kind == "http.response.start" and not is_departure(error):
                # Refused; whereas one that is cancelled while it waits is in the server's hands.
                self.status = None
            raise
        if kind == "http.response.body":
            if self.bytes is not None:
                self.bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif kind == "http.response.pathsend":
            self.bytes = None
            self.complete = True


def _is_observed(scope: Any) -> bool:
    """Return whether this very request is observed already: the application was wrapped twice."""
    event = scope.get(EVENT_ATTRIBUTE)
    # A view that calls the application with a copy of its scope asks for another path.
    return type(event) is RequestEvent and not event.done and event.path == scope.get("path")


def _listed(headers: Any) -> Sequence[tuple[bytes, bytes]]:
    """Return *headers* as what can be read twice; ASGI allows anything that can be iterated."""
    return headers if type(headers) in {list, tuple} else [*headers]
