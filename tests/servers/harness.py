"""
Start a real server, send it requests over real sockets, stop it, and read its output.

A server is a command with a placeholder: ``{port}`` for a port that was free a moment ago, or ``{fd}`` for a socket
that is already bound, so that no other process can take the port. The output goes to files, because a full pipe would
stop the server.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self

from paths import ROOT
from ports import HOST

from obs_middleware.testing import parse_line

__all__ = [
    "COMMANDS",
    "QUICKSTART",
    "Answer",
    "ByHand",
    "Call",
    "Server",
    "new_shop",
    "running",
    "send_all",
]

QUICKSTART: Final = ROOT / "examples" / "quickstart"

START_SECONDS: Final = 30.0
LINE_SECONDS: Final = 15.0
STOP_SECONDS: Final = 20.0

_GUNICORN: Final = ("gunicorn", "--bind", "fd://{fd}", "--workers", "2", "--no-control-socket", "--worker-class")

COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "uvicorn": ("uvicorn", "--fd", "{fd}", "shop.asgi:application"),
    "gunicorn-sync": (*_GUNICORN, "sync", "shop.wsgi:application"),
    "gunicorn-asgi": (*_GUNICORN, "asgi", "shop.asgi:application"),
}
"""Arguments of ``python -m`` that serve the quickstart, by test id."""


@dataclass(frozen=True)
class Call:
    """An HTTP request. *target* is the path with the query string."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """A complete response, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Server:
    """
    A server that was started and accepted connections.

    Attributes:
        port: The port on `HOST`.
        process: The main process. The workers are in the same process group.
        output: The folder of the files ``stdout`` and ``stderr``.
    """

    port: int
    process: subprocess.Popen[bytes]
    output: Path

    def connect(self) -> socket.socket:
        """Return a new connection, for clients that break the rules of HTTP."""
        return socket.create_connection((HOST, self.port), timeout=10)

    def stop(self) -> None:
        """Stop the server as a deployment does, and wait until it has written its last line."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # It leads a process group, so this ends the workers too.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(
                f"{self.process.args!r} did not stop within {STOP_SECONDS} s.\n{self.errors()}"
            ) from None

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of stdout, parsed strictly. A line that is not a JSON object raises ValueError."""
        return [parse_line(line) for line in (self.output / "stdout").read_text(encoding="utf-8").splitlines()]

    def lines_so_far(self) -> list[dict[str, Any]]:
        """Return the complete JSON lines of stdout. Other output of the server is left out."""
        complete = (self.output / "stdout").read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines() if line.startswith("{")]

    def wait_for_line(self, **having: str) -> None:
        """Wait for a line with these fields, whose message begins with `message`."""
        deadline = time.monotonic() + LINE_SECONDS
        message = having.pop("message", "")
        while time.monotonic() < deadline:
            for line in self.lines_so_far():
                if having.items() <= line.items() and line["message"].startswith(message):
                    return
            try:
                # The pause before the next look. It ends early if the server dies.
                self.process.wait(0.02)
                break
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(f"{self.process.args!r} wrote no line with {having} {message!r}.\n{self.errors()}")

    def errors(self) -> str:
        """Return the output on stderr."""
        return (self.output / "stderr").read_text(encoding="utf-8")


@contextmanager
def running(
    command: Sequence[str], *, output: Path, cwd: Path = QUICKSTART, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """
    Run ``python -m`` *command* while the block runs. The block starts when the server accepts connections.

    Args:
        command: The module and its arguments. ``{port}`` or ``{fd}`` is replaced.
        output: An existing folder for the output of the server.
        cwd: The working directory, from which the server imports modules.
        env: Variables added to the environment of this process.
    """
    with socket.socket() as listener:
        # For {port}: the server binds to the same port after this socket is closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        port = listener.getsockname()[1]
        fd = listener.fileno()
        keeps_socket = any("{fd}" in part for part in command)
        if not keeps_socket:
            listener.close()
        with (output / "stdout").open("ab") as stdout, (output / "stderr").open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", *(part.format(port=port, fd=fd) for part in command)],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[fd] if keeps_socket else [],
                start_new_session=True,
            )
    server = Server(port, process, output)
    with process:
        try:
            _wait_until_it_accepts(server)
            yield server
        finally:
            if process.poll() is None:
                server.stop()


def _wait_until_it_accepts(server: Server) -> None:
    # A bound socket that does not listen refuses connections, so this works for both placeholders.
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            server.connect().close()
            return
        except OSError:
            pass
        try:
            # The pause before the next try. It ends early if the server dies.
            server.process.wait(0.05)
            break
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError(f"{server.process.args!r} does not accept connections.\n{server.errors()}")


def new_shop(database: Path, **variables: str) -> Mapping[str, str]:
    """Create the quickstart's *database*, with products, and return the environment that its site runs in."""
    env = {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_DATABASE": str(database), **variables}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v", "0"], cwd=QUICKSTART, env={**os.environ, **env}, check=True
    )
    return env


def send_all(server: Server, calls: Sequence[Call], *, clients: int = 8) -> list[Answer]:
    """Send *calls* from several clients at once, and return the answers in the order of the calls."""
    slices = [range(first, len(calls), clients) for first in range(clients)]
    with ThreadPoolExecutor(clients) as executor:
        results = executor.map(lambda indexes: list(_send(server, [calls[index] for index in indexes])), slices)
        answers = {
            index: answer
            for indexes, got in zip(slices, results, strict=True)
            for index, answer in zip(indexes, got, strict=True)
        }
    return [answers[index] for index in range(len(calls))]


def _send(server: Server, calls: Iterable[Call]) -> Iterator[Answer]:
    with closing(HTTPConnection(HOST, server.port, timeout=30)) as connection:
        for call in calls:
            connection.request(call.method, call.target, call.body, dict(call.headers))
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            yield Answer(response.status, headers, response.read())


class ByHand:
    """A connection that can break the rules of HTTP: pipeline, send half a request, disconnect."""

    def __init__(self, server: Server) -> None:
        self._socket = server.connect()
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, *calls: Call, part: slice = slice(None)) -> None:
        """Send *calls* in one write, or only a *part* of the bytes."""
        self._socket.sendall(b"".join(map(_bytes_of, calls))[part])

    def answer(self) -> Answer | None:
        """Return the next answer, or None if the server closed the connection."""
        try:
            start = self._file.readline()
            if not start:
                return None
            headers: dict[str, str] = {}
            while (line := self._file.readline().rstrip()) != b"":
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            return Answer(int(start.split()[1]), headers, self._body(headers))
        except ConnectionError:
            return None

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return self._file.read(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return self._file.read()
        body = b""
        while size := int(self._file.readline() or b"0", 16):
            body += self._file.read(size)
            self._file.readline()
        self._file.readline()
        return body

    def taste(self) -> None:
        """Read the first bytes of an answer."""
        self._socket.recv(64)

    def break_off(self) -> None:
        """Make closing reset the connection, as if the client was killed: unread data is lost on both sides."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _bytes_of(call: Call) -> bytes:
    headers = {"Host": HOST, **call.headers}
    if call.body is not None:
        headers["Content-Length"] = str(len(call.body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{call.method} {call.target} HTTP/1.1\r\n{head}\r\n".encode() + (call.body or b"")
