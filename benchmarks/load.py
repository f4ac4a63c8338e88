"""
A load generator: send a number of requests over connections that stay open.

It replaces wrk or hey, so that you need to install only Python packages. It parses only the status and the length of a
response, and so needs a small part of the time that a Django site needs.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Final

__all__ = ["send"]

CONNECTIONS: Final = 8
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """A connection that sends the next request as soon as the last one is answered."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head + b"\r\n")
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            self._end(RuntimeError(f"The server answered {self._buffer!r}."))
        elif len(body) >= int(length[1]):
            self._buffer = b""
            self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError("The server closed the connection."))

    def _send_next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._end(None)
        else:
            self._transport.write(request)

    def _end(self, error: Exception | None) -> None:
        if not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)
            self._transport.close()


def send(port: int, path: str, count: int) -> float:
    """Send *count* requests to a local server, and return the wall time of one in nanoseconds."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
        "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en\r\n\r\n"
    ).encode()
    return asyncio.run(_send(port, request, count)) / count


async def _send(port: int, request: bytes, count: int) -> int:
    loop = asyncio.get_running_loop()
    requests = (request for _ in range(count))
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(CONNECTIONS)]
    started = time.perf_counter_ns()
    for end in ends:
        await loop.create_connection(lambda end=end: _Connection(requests, end), "127.0.0.1", port)  # type: ignore[misc]  # mypy cannot infer the type of a lambda with a default
    await asyncio.gather(*ends)
    return time.perf_counter_ns() - started
