"""
`NonBlockingHandler` in real processes, pipes and files: written lines are whole, the others are counted.

``OBS_SINK=full`` runs the sizes and the clock that were promised, in about a minute.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import pytest
from conftest import respond
from counts import changes, counts
from django.http import HttpResponse
from django.test import RequestFactory

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.testing import parse_line

FULL: Final = os.environ.get("OBS_SINK") == "full"
HERE: Final = Path(__file__).parent
HOST: Final = "127.0.0.1"
PATIENCE: Final = 30
STALL_SECONDS: Final = 5.0
ALLOWED_SECONDS: Final = 0.05

WRITER: Final = (sys.executable, "-W", "error", str(HERE / "writer.py"))
WITHOUT_SETTINGS: Final = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

full_only = pytest.mark.skipif(not FULL, reason="measures time: OBS_SINK=full")


def write(count: int, name: str, file: Path | None = None, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start a process that writes so many lines."""
    files = () if file is None else (str(file),)
    return subprocess.Popen([*WRITER, str(count), name, *files], stdout=stdout, env=WITHOUT_SETTINGS)


class Pipe:
    """
    A pipe that nobody reads until `read` is called, by a thread, and then to its end.

    Attributes:
        writing: The end for processes; to be closed here when they have it.
    """

    def __init__(self, size: int | None = None) -> None:
        self._reading, self.writing = os.pipe()
        if size is not None:
            fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, size)
        self._parts: list[bytes] = []
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while part := os.read(self._reading, 1 << 20):
            self._parts.append(part)

    def read(self) -> None:
        """Begin to read."""
        os.close(self.writing)
        self._thread.start()

    def text(self) -> str:
        """Wait until everybody has closed the other end, and return all that came."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        os.close(self._reading)
        return b"".join(self._parts).decode()


# Several processes


@pytest.mark.parametrize("lines", [25_000 if FULL else 1_000])
def test_lines_of_four_processes_in_one_pipe_are_whole(lines: int) -> None:
    pipe = Pipe()
    names = ["one", "two", "three", "four"]
    writers = [write(lines, name, stdout=pipe.writing) for name in names]
    pipe.read()
    assert [writer.wait(PATIENCE * 10) for writer in writers] == [0] * 4

    seen = Counter((line["logger"], line["number"]) for line in map(parse_line, pipe.text().splitlines()))
    assert seen == Counter((name, number) for name in names for number in range(lines))


def test_a_rotation_under_two_writers_loses_and_tears_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines, rotations = (20_000, 20) if FULL else (2_000, 5)
    writers = [write(lines, name, path) for name in ("one", "two")]
    for number in range(rotations):
        await_size(path, 10_000, writers)
        if path.exists():
            path.rename(tmp_path / f"log.{number}")
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0]

    files = sorted(tmp_path.iterdir())
    seen = Counter(
        (line["logger"], line["number"]) for file in files for line in map(parse_line, file.read_text().splitlines())
    )
    assert len(files) > 1
    assert seen == Counter((name, number) for name in ("one", "two") for number in range(lines))


def await_size(path: Path, size: int, writers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until *path* has so many bytes, or all *writers* are done."""
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and path.stat().st_size >= size):
        assert time.monotonic() < deadline
        if all(writer.poll() is not None for writer in writers):
            return
        time.sleep(0.001)


def test_kill_9_leaves_one_half_line_at_most_and_the_next_start_appends_cleanly(tmp_path: Path) -> None:
    path = tmp_path / "log"
    kills = 30 if FULL else 4
    before, ends_in_half = 0, False
    for number in range(kills):
        writer = write(100_000_000, f"run {number}", path)
        await_size(path, before + 300_000, [writer])
        writer.kill()
        assert writer.wait(PATIENCE) == -signal.SIGKILL
        text = path.read_bytes()[before:].decode()
        before += len(text)
        first, *between, _ = text.split("\n")
        assert first == "" if ends_in_half else is_whole(first)
        assert all(map(is_whole, between))
        ends_in_half = not text.endswith("\n")

    assert write(100, "last", path).wait(PATIENCE) == 0

    *_, last = path.read_text().rpartition("\n")
    lines = [parse_line(line) for line in path.read_text().split("\n") if is_whole(line)]
    assert last == ""
    assert [line["number"] for line in lines if line["logger"] == "last"] == list(range(100))
    for number in range(kills):
        numbers = [line["number"] for line in lines if line["logger"] == f"run {number}"]
        assert numbers == list(range(len(numbers)))


def is_whole(line: str) -> bool:
    try:
        parse_line(line)
    except ValueError:
        return False
    return True


# A reader that stops


def test_requests_go_on_while_nobody_reads_and_every_one_is_written_or_dropped() -> None:
    """A handler that blocks would hang here for ever."""
    pipe = Pipe(4096)
    with os.fdopen(os.dup(pipe.writing), "w") as stream:
        handler = NonBlockingHandler(stream=stream, capacity=100)
        handler.setFormatter(JSONFormatter())
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(handler)
        before = counts()

        for _ in range(1000):
            respond(lambda _: HttpResponse(), RequestFactory().get("/"))
        pipe.read()
        handler.flush()
        root.removeHandler(handler)
        handler.close()
    lines = [parse_line(line) for line in pipe.text().splitlines()]

    changed = changes(before)
    assert changed["requests"] == changed["written"] + changed["dropped"] == 1000
    assert sum(line["message"].startswith("Request took") for line in lines) == changed["written"]
    assert sum(line.get("dropped", 0) for line in lines) == changed["dropped"] >= 800


def test_a_process_that_does_not_handle_sigterm_writes_its_lines_and_is_ended_by_it() -> None:
    pipe = Pipe(4096)
    with subprocess.Popen(
        [*WRITER, "200", "name", "wait"], stdout=pipe.writing, stderr=subprocess.PIPE, env=WITHOUT_SETTINGS
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"waiting\n"
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        pipe.read()
        assert process.wait(PATIENCE) == -signal.SIGTERM

    assert [parse_line(line)["number"] for line in pipe.text().splitlines()] == list(range(200))


# Servers

GUNICORN: Final = ("gunicorn", "--bind", "fd://{fd}", "--no-control-socket", "--log-level", "warning")
UVICORN: Final = ("uvicorn", "--fd", "{fd}", "--log-level", "warning", "sink.asgi:application")
SERVERS: Final[dict[str, Sequence[str]]] = {
    "uvicorn": UVICORN,
    "uvicorn-workers": (*UVICORN, "--workers", "2"),
    "gunicorn-preload": (*GUNICORN, "--workers", "2", "--preload", "sink.wsgi"),
    "gunicorn-asgi": (*GUNICORN, "--workers", "1", "--worker-class", "asgi", "sink.asgi:application"),
    "gunicorn-sync": (*GUNICORN, "--workers", "2", "sink.wsgi"),
    "gunicorn-gevent": (*GUNICORN, "--workers", "1", "--worker-class", "gevent", "sink.wsgi"),
    "gunicorn-gevent-preload": (*GUNICORN, "--workers", "1", "--worker-class", "gevent", "--preload", "sink.wsgi"),
    "gunicorn-gthread": (*GUNICORN, "--workers", "1", "--threads", "2", "sink.wsgi"),
}


@contextmanager
def serving(command: Sequence[str], pipe: Pipe, **env: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server whose stdout is *pipe*; give its port and process."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(100)  # so that clients wait instead of being refused
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(fd=listener.fileno()) for part in command)],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "sink.settings",
                "PYTHONPATH": str(HERE.parent),
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=pipe.writing,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    with process:
        try:
            yield port, process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def get(port: int, path: str = "/") -> bytes:
    with closing(HTTPConnection(HOST, port, timeout=PATIENCE)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()


@pytest.mark.parametrize(
    "server", SERVERS if FULL else ["uvicorn", "gunicorn-preload", "gunicorn-asgi", "gunicorn-gevent"]
)
def test_a_server_that_is_asked_to_stop_waits_for_the_reader_and_loses_no_line(server: str) -> None:
    """The pipe is full long before the signal comes, so most lines are still in the queue."""
    if "gevent" in server:
        pytest.importorskip("gevent")
    pipe = Pipe(4096)
    requests = 60
    with serving(SERVERS[server], pipe) as (port, process):
        for _ in range(requests):
            get(port)
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        pipe.read()
        code = process.wait(PATIENCE)
    lines = [parse_line(line) for line in pipe.text().splitlines()]

    messages = Counter(line["message"].split(" took ")[0] for line in lines)
    assert messages["Request"] == requests
    assert messages["loaded"] == (2 if server in {"gunicorn-sync", "uvicorn-workers"} else 1)
    assert len({line["event_id"] for line in lines}) == len(lines)
    # uvicorn ends itself by the signal that it was sent, as without the handler.
    assert code == (-signal.SIGTERM if server == "uvicorn" else 0)


@full_only
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn-gthread"])
def test_a_reader_that_stops_for_five_seconds_delays_no_request(server: str) -> None:  # pragma: no cover -- full only
    """Against the slowest request of as many seconds in which the log is read."""
    stalled, read = (_slowest(SERVERS[server], reads=reads) for reads in (False, True))

    print(json.dumps({"server": server, "stalled": stalled, "read": read}))
    assert stalled["dropped"] > 0
    assert read["dropped"] == 0
    assert stalled["seconds"] <= read["seconds"] + ALLOWED_SECONDS


def _slowest(command: Sequence[str], *, reads: bool) -> dict[str, Any]:  # pragma: no cover -- full only
    """Return how many requests there were in five seconds, and how long the slowest of them took."""
    pipe = Pipe(4096)
    with serving(command, pipe, SINK_CAPACITY="200") as (port, process):
        for _ in range(20):
            get(port)
        if reads:
            pipe.read()
        until = time.monotonic() + STALL_SECONDS
        seconds = []
        while (started := time.perf_counter()) and time.monotonic() < until:
            get(port)
            seconds.append(time.perf_counter() - started)
        counts = json.loads(get(port, "/stats/"))
        if not reads:
            pipe.read()
        process.terminate()
        process.wait(PATIENCE)
    lines = [parse_line(line) for line in pipe.text().splitlines()]

    assert counts["requests"] == counts["written"] + counts["dropped"] == len(seconds) + 20
    written = sum(line["message"].startswith("Request took") for line in lines)
    assert written == counts["written"] + reads  # the one that asked for the counts is not among them
    return {"requests": len(seconds), "dropped": counts["dropped"], "seconds": round(max(seconds), 6)}
