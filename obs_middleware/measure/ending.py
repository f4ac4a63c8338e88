"""
Notice when a response is really over.

Measure. A plain response is over when the middleware has it. A stream is over when its iterator ends or raises, or when
the response is closed, or garbage-collected without that. The first of these four counts; the others are ignored.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Self

from django.core.signals import got_request_exception, request_finished
from django.dispatch import receiver
from django.http import FileResponse, StreamingHttpResponse

from obs_middleware.measure.event import Event, current_event, event_of

__all__ = ["Conclude", "follow", "is_departure"]

type_of_departure: Final = (asyncio.CancelledError, GeneratorExit)

Conclude = Callable[[Event, str, BaseException | None], None]
"""Called once when a stream is over, with the event, the outcome, and the exception that ended the stream or None."""


def is_departure(error: BaseException) -> bool:
    """Return whether *error* means that nobody waits for the response any more."""
    return isinstance(error, type_of_departure)


def follow(response: StreamingHttpResponse, event: Event, conclude: Conclude) -> None:
    """
    Call *conclude* once, when the body of *response* is over.

    The iterator is wrapped, which costs two ContextVar writes per chunk. No chunk is kept. A WSGI server may pass a
    whole file to its own file wrapper (sendfile). Then the iterator is not used, and only the closing is seen.

    Args:
        response: The response of the application, not yet iterated.
        event: The event of the request.
        conclude: Writes the line. Must not raise.
    """
    ending = _Ending(event, conclude)
    is_whole_file = isinstance(response, FileResponse) and response.file_to_stream is not None
    if is_whole_file:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and length.isascii():
            ending.file_bytes = int(length)
    ending.is_whole_file = is_whole_file
    # The server sends no body, so it need not iterate it.
    ending.has_body = event.method != "HEAD" and response.status_code not in {204, 304}
    # First, so that the application's closers run after the line is written, and cannot delay it.
    closers: list[Callable[[], Any]] = response._resource_closers  # type: ignore[attr-defined]  # noqa: SLF001 -- no public way; a canary test checks it
    closers.insert(0, ending.close)
    # Nobody closes a response if the server's send() raised. Not at exit, when logging may no longer work.
    weakref.finalize(response, ending.lose).atexit = False
    if is_whole_file:
        # Not `streaming_content`: setting that would switch sendfile off.
        response._iterator = iter(_Body(response._iterator, ending))  # type: ignore[attr-defined]  # noqa: SLF001 -- as above
        return
    content = response.streaming_content
    response.streaming_content = (
        _AsyncBody(content, ending) if isinstance(content, AsyncIterator) else _Body(iter(content), ending)
    )


class _Ending:
    """Report the end of a stream once, whichever way it ends. Keeps the event, never the response."""

    __slots__ = ("_conclude", "_handled", "_latch", "bytes_sent", "event", "file_bytes", "has_body", "is_whole_file")

    def __init__(self, event: Event, conclude: Conclude) -> None:
        self.event = event
        self.bytes_sent = 0
        self.has_body = True
        self.is_whole_file = False
        self.file_bytes: int | None = None
        self._conclude = conclude
        self._handled = id(sys.exc_info()[1])  # the caller may make the whole request while it handles an exception
        self._latch = [True]

    def over(self, outcome: str, error: BaseException | None = None) -> None:
        try:
            # pop is atomic: the response may be closed and iterated in different threads
            self._latch.pop()
        except IndexError:
            return
        if not self.is_whole_file or self.bytes_sent:
            self.event.note("response_bytes", self.bytes_sent)
        elif outcome == "ok" and self.file_bytes is not None:
            self.event.note("response_bytes", self.file_bytes)
        self._conclude(self.event, outcome, error)

    def raised(self, error: BaseException) -> None:
        if is_departure(error):
            self.over("aborted")
        else:
            self.over("stream_error", error)

    def close(self) -> None:
        """Report the end of a body that the server has not iterated to its end."""
        event = self.event
        if current_event.get() is None:
            # Up to Django 6.0 the server's own task closes the response, outside the context of the request. The
            # application's closers run after this one. Then request_finished clears the context.
            current_event.set(event)
        if event.observed and not event.done:
            # `observed` knows what the server got: a layer above may have sent other content, and all of it.
            self._latch.clear()
        elif not self.has_body:
            self.over("ok")
        elif not self.is_whole_file:
            self.over("aborted")
        elif self.bytes_sent:
            # A server need not look for the end behind the last byte that the response has announced.
            self.over("ok" if self.bytes_sent == self.file_bytes else "aborted")
        elif (error := sys.exc_info()[1]) is None or id(error) == self._handled:
            self.over("ok")  # the server's file wrapper sent it
        elif isinstance(error, ConnectionError):
            self.over("aborted")
        else:
            # The server's file wrapper failed, and the server closes the response while it handles the exception.
            self.raised(error)

    def lose(self) -> None:
        self.over("lost")


class _Body:
    """A sync body. Code in its generator sees the event, wherever the server iterates it."""

    __slots__ = ("_chunks", "_ending")

    def __init__(self, chunks: Iterator[bytes], ending: _Ending) -> None:
        self._chunks = chunks
        self._ending = ending

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        ending = self._ending
        event = ending.event  # a local variable: `stacks` finds the code that works on the request by it
        outside = current_event.get()
        current_event.set(event)
        try:
            chunk = next(self._chunks)
        except StopIteration:
            ending.over("ok")
            raise
        except BaseException as error:
            ending.raised(error)
            raise
        finally:
            current_event.set(outside)
        ending.bytes_sent += len(chunk)
        return chunk


class _AsyncBody:
    """An async body. It works like `_Body`, but the context may be gone when it ends."""

    __slots__ = ("_chunks", "_ending")

    def __init__(self, chunks: AsyncIterator[bytes], ending: _Ending) -> None:
        self._chunks = chunks
        self._ending = ending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        ending = self._ending
        event = ending.event  # a local variable: `stacks` finds the code that works on the request by it
        outside = current_event.get()
        current_event.set(event)
        try:
            chunk = await anext(self._chunks)
        except GeneratorExit:
            # Garbage-collected while suspended: this may be the context of another request, so leave it alone.
            ending.over("aborted")
            raise
        except StopAsyncIteration:
            ending.over("ok")
            current_event.set(outside)
            raise
        except BaseException as error:
            ending.raised(error)
            current_event.set(outside)
            raise
        current_event.set(outside)
        ending.bytes_sent += len(chunk)
        return chunk


@receiver(got_request_exception, dispatch_uid="obs_middleware.measure.ending")
def _keep_exception(request: object = None, **_: Any) -> None:
    """Keep the exception that Django turns into a 500, which the middleware never sees. The first one counts."""
    event = event_of(request)
    if event is not None and not event.done and event.error is None:
        event.error = sys.exc_info()[1]


@receiver(request_finished, dispatch_uid="obs_middleware.measure.ending")
def _leave(**_: Any) -> None:
    """
    Clear the context when Django is done with the request, and restore an unfinished outer request.

    Not earlier, because Django logs "Not Found" after the middleware has returned. Not if the event is unfinished,
    because then another request has ended, inside this one or beside it.
    """
    event = current_event.get()
    if event is not None and event.done:
        outer = event.previous
        current_event.set(outer if outer is not None and not outer.done else None)
