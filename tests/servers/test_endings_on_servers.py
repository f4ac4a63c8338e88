"""
A request has exactly one line on every server, however the request ends.

Each server starts once, plays all endings in a row, and is then asked to stop while two requests are waiting. The tests
read its output after it has ended, so they would notice a line that comes twice. If a server cannot detect an ending,
or treats it differently, `PARTICULAR` gives the reason. `docs/reference/servers.md` has the same for users.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import django
import pytest
from paths import TESTS
from servers.harness import Answer, ByHand, Call, Server, running

ENV: Final = {"DJANGO_SETTINGS_MODULE": "servers.site.settings"}
CHAIN, OUTSIDE, WSGI = "servers.site.asgi:chain", "servers.site.asgi:outside", "servers.site.wsgi:application"

# Commands. The grace period is one second where a server has one, and access logs are off.

_UVICORN: Final = ("uvicorn", "--port", "{port}", "--timeout-graceful-shutdown", "1")
_GRANIAN: Final = ("granian", "--port", "{port}", "--no-log", "--workers-kill-timeout", "1", "--interface")
_GUNICORN: Final = ("gunicorn", "--bind", "127.0.0.1:{port}", "--no-control-socket")
_GUNICORN_GRACE: Final = (*_GUNICORN, "--graceful-timeout", "1", "--worker-class")

ASGI_SERVERS: Final[Mapping[str, Sequence[str]]] = {
    "uvicorn-h11-asyncio": (*_UVICORN, "--http", "h11", "--loop", "asyncio"),
    "uvicorn-h11-uvloop": (*_UVICORN, "--http", "h11", "--loop", "uvloop"),
    "uvicorn-httptools-asyncio": (*_UVICORN, "--http", "httptools", "--loop", "asyncio"),
    "uvicorn-httptools-uvloop": (*_UVICORN, "--http", "httptools", "--loop", "uvloop"),
    "granian-asgi": (*_GRANIAN, "asgi"),
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1"),
    "daphne": ("daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}"),
    "gunicorn-asgi": (*_GUNICORN_GRACE, "asgi"),
}
WSGI_SERVERS: Final[Mapping[str, Sequence[str]]] = {
    "granian-wsgi": (*_GRANIAN, "wsgi", "--blocking-threads", "4", WSGI),
    "gunicorn-sync": (*_GUNICORN_GRACE, "sync", "--workers", "2", WSGI),
    "gunicorn-gthread": (*_GUNICORN_GRACE, "gthread", "--threads", "4", WSGI),
    "waitress": ("waitress", "--listen=127.0.0.1:{port}", WSGI),
    "runserver": ("django", "runserver", "--noreload", "127.0.0.1:{port}"),
}
COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    **{f"{name} chain": (*command, CHAIN) for name, command in ASGI_SERVERS.items()},
    **{f"{name} observed": (*command, OUTSIDE) for name, command in ASGI_SERVERS.items()},
    "uvicorn-lifespan chain": (*_UVICORN, f"{CHAIN}_with_lifespan"),
    "uvicorn-lifespan observed": (*_UVICORN, f"{OUTSIDE}_with_lifespan"),
    **WSGI_SERVERS,
}


class Line(NamedTuple):
    """
    The expected request line.

    Attributes:
        surely: False if it depends on timing whether there is a line; then one or none is right.
    """

    status: int
    outcome: str
    error_type: str | None = None
    surely: bool = True


OK: Final = Line(200, "ok")
FAILED: Final = Line(500, "error", "ValueError")
ABORTED: Final = Line(200, "aborted")
CANCELLED: Final = Line(499, "cancelled")

Expectation = Line | None

UNDER_ASGI: Final[Mapping[str, Expectation]] = {
    "ok, sync view": OK,
    "ok, async view": OK,
    "no such page": Line(404, "ok"),
    "raised, sync view": FAILED,
    "raised, async view": FAILED,
    "stream, sync": OK,
    "stream, async": OK,
    "stream broken off": ABORTED,
    "stream broken off while it waits": ABORTED,
    "left, sync view": CANCELLED,
    "left, async view": CANCELLED,
    "upload broken off": CANCELLED,
    "pipelined 1": OK,
    "pipelined 2": OK,
    "pipelined 3": OK,
    "large body": OK,
    "after a large body 1": OK,
    "after a large body 2": OK,
    "stop, enough time": OK,
    "stop, too slow": None,
}
UNDER_WSGI: Final[Mapping[str, Expectation]] = {
    **{name: line for name, line in UNDER_ASGI.items() if name != "stream broken off while it waits"},
    # The server notices that the client is gone only when it sends something.
    "left, sync view": OK,
    "left, async view": OK,
    # The view reads the bytes that arrived, and nothing tells it that some are missing.
    "upload broken off": OK,
}

_FROM_6_1: Final = django.VERSION >= (6, 1)
_WAITS_FOR_CONNECTIONS: Final = sys.version_info >= (3, 12)

PARTICULAR: Final[Mapping[str, Mapping[str, Expectation]]] = {
    # Django reads the body before its middleware runs, so only `observed` notices that it never came.
    **{f"{name} chain": {"upload broken off": None} for name in (*ASGI_SERVERS, "uvicorn-lifespan")},
    # As above. daphne cancels at once, without a grace period, and up to Django 6.0 the chain does not notice. It waits
    # for the first request that ends, not for all.
    "daphne chain": {
        "upload broken off": None,
        "stop, enough time": CANCELLED._replace(surely=False) if _FROM_6_1 else None,
        "stop, too slow": CANCELLED._replace(surely=False) if _FROM_6_1 else None,
    },
    # daphne calls the application after it has the whole body.
    "daphne observed": {
        "upload broken off": None,
        "stop, enough time": CANCELLED._replace(surely=False),
        "stop, too slow": CANCELLED._replace(surely=False),
    },
    # From Python 3.12 on, its --graceful-timeout begins only after the last connection is closed.
    "hypercorn chain": {"upload broken off": None, "stop, too slow": OK if _WAITS_FOR_CONNECTIONS else CANCELLED},
    "hypercorn observed": {"stop, too slow": OK if _WAITS_FOR_CONNECTIONS else CANCELLED},
    # uvicorn cancels and ends the process at once, unless a lifespan still has work. Up to Django 6.0 the chain does
    # not notice the cancellation.
    "uvicorn-lifespan chain": {"upload broken off": None, "stop, too slow": CANCELLED if _FROM_6_1 else None},
    "uvicorn-lifespan observed": {"stop, too slow": CANCELLED},
    # The worker closes the connection after each response and does not read further requests on it.
    "gunicorn-sync": {"pipelined 2": None, "pipelined 3": None},
    # waitress calls the application after it has the whole body. SIGTERM ends it at once.
    "waitress": {"upload broken off": None, "stop, enough time": None},
    # SIGTERM ends it at once.
    "runserver": {"stop, enough time": None},
}


def expected_of(name: str) -> dict[str, Expectation]:
    usual = UNDER_WSGI if name in WSGI_SERVERS else UNDER_ASGI
    return {**usual, **PARTICULAR.get(name, {})}


# Play the endings


@dataclass
class Played:
    """
    The whole output of a server, and the answers that its clients got.

    Attributes:
        answers: The answers by ending; None if the server closed the connection.
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""
    answers: dict[str, Answer | None] = field(default_factory=dict)

    def request_id(self, ending: str) -> str:
        """Return the request id of an ending: from its answer, or as sent if the application did not answer."""
        answer = self.answers.get(ending)
        return answer.headers.get("x-request-id", id_of(ending)) if answer is not None else id_of(ending)

    def of(self, ending: str) -> list[dict[str, Any]]:
        """Return the request lines of *ending*."""
        mine = self.request_id(ending)
        return [line for line in self.lines if line.get("request_id") == mine and is_request_line(line)]


def is_request_line(line: Mapping[str, Any]) -> bool:
    return str(line["message"]).startswith("Request took ")


def id_of(ending: str) -> str:
    return ending.replace(", ", ":").replace(" ", "-")


class Player:
    """Play the endings on one server, each under a separate request id."""

    def __init__(self, server: Server, world: str) -> None:
        self.server = server
        self.world = world
        self.answers: dict[str, Answer | None] = {}

    def call(self, ending: str, target: str, body: bytes | None = None) -> Call:
        return Call("GET" if body is None else "POST", target, {"X-Request-ID": id_of(ending)}, body)

    def ask(self, *calls: tuple[str, Call]) -> None:
        """Send calls one after the other on a connection, and open a new one if the server closed it."""
        with ExitStack() as stack:
            client = stack.enter_context(ByHand(self.server))
            for ending, call in calls:
                client.send(call)
                answer = client.answer()
                self.answers[ending] = answer
                if answer is not None and answer.headers.get("connection") == "close":
                    client = stack.enter_context(ByHand(self.server))

    def wait_until_over(self, ending: str) -> None:
        self.server.wait_for_line(request_id=id_of(ending), message="Request took ")

    def wait_until_it_waits(self, ending: str) -> None:
        self.server.wait_for_line(request_id=id_of(ending), message="waiting")

    def play(self, expected: Mapping[str, Expectation]) -> None:
        for world in ("sync", "async"):
            for ending, path in (
                (f"ok, {world} view", f"/{world}/ok/"),
                (f"raised, {world} view", f"/{world}/fail/"),
                (f"stream, {world}", f"/{world}/stream/?chunks=3&bytes=5"),
            ):
                self.ask((ending, self.call(ending, path)))
        self.ask(("no such page", self.call("no such page", "/nowhere/")))
        self.break_off("stream broken off", "?chunks=1000&bytes=65536")
        if "stream broken off while it waits" in expected:
            self.break_off("stream broken off while it waits", "?chunks=1&bytes=5&seconds=30")
        for world in ("sync", "async"):
            self.leave(f"left, {world} view", world)
        self.pipeline()
        self.send_large_body()
        self.break_off_upload(expected["upload broken off"])

    def break_off(self, ending: str, query: str) -> None:
        with ByHand(self.server) as client:
            client.send(self.call(ending, f"/{self.world}/stream/{query}"))
            client.taste()
            client.break_off()
        self.wait_until_over(ending)

    def leave(self, ending: str, world: str) -> None:
        # A thread cannot be cancelled, so it keeps running. It must not keep the server from ending.
        asgi_seconds = {"sync": 2, "async": 30}
        seconds = 0.2 if self.world == "sync" else asgi_seconds[world]
        with ByHand(self.server) as client:
            client.send(self.call(ending, f"/{world}/wait/?seconds={seconds}"))
            self.wait_until_it_waits(ending)
        self.wait_until_over(ending)

    def pipeline(self) -> None:
        """Send three requests in one write. The first binds fields, the last has no request id."""
        endings = [f"pipelined {number}" for number in (1, 2, 3)]
        ok = f"/{self.world}/ok/"
        with ByHand(self.server) as client:
            client.send(self.call(endings[0], f"/{self.world}/bind/"), self.call(endings[1], ok), Call("GET", ok))
            for ending in endings:
                self.answers[ending] = client.answer()

    def send_large_body(self) -> None:
        ok = f"/{self.world}/ok/"
        self.ask(
            ("large body", self.call("large body", f"/{self.world}/upload/", b"x" * 600_000)),
            ("after a large body 1", self.call("after a large body 1", ok)),
            ("after a large body 2", Call("GET", ok)),
        )

    def break_off_upload(self, expected: Expectation) -> None:
        ending = "upload broken off"
        with ByHand(self.server) as client:
            client.send(self.call(ending, f"/{self.world}/upload/", b"x" * 600_000), part=slice(300_000))
        if expected is not None:
            self.wait_until_over(ending)

    def stop(self) -> None:
        """Ask the server to stop while one request needs less time than the grace period, and one needs more."""
        with ExitStack() as stack:
            for ending, seconds in (("stop, enough time", 0.3), ("stop, too slow", 3)):
                client = stack.enter_context(ByHand(self.server))
                client.send(self.call(ending, f"/{self.world}/wait/?seconds={seconds}"))
                self.wait_until_it_waits(ending)
            self.server.stop()


def play(name: str, output: Path) -> Played:
    with running(COMMANDS[name], output=output, cwd=TESTS, env=ENV) as server:
        player = Player(server, "sync" if name in WSGI_SERVERS else "async")
        player.play(expected_of(name))
        player.stop()
    return Played(server.lines_so_far(), (output / "stdout").read_text() + server.errors(), player.answers)


# Worker timeouts, which only gunicorn has


class Hang(NamedTuple):
    """A view that hangs under gunicorn with ``--timeout``, and its line."""

    command: Sequence[str]
    path: str
    expected: Expectation


_TIMEOUT: Final = (*_GUNICORN, "--preload", "--graceful-timeout", "1", "--timeout")

HANGS: Final[Mapping[str, Hang]] = {
    "gunicorn-sync": Hang(
        (*_TIMEOUT, "1", "--worker-class", "sync", WSGI),
        "/sync/wait/?seconds=30",
        Line(500, "error", "SystemExit"),
    ),
    # The main thread of the worker still runs, so gunicorn does not end it, and the view hangs on.
    "gunicorn-gthread": Hang(
        (*_TIMEOUT, "2", "--worker-class", "gthread", "--threads", "2", WSGI), "/sync/wait/?seconds=3", OK
    ),
    # As above, with the event loop.
    "gunicorn-asgi waiting": Hang((*_TIMEOUT, "2", "--worker-class", "asgi", CHAIN), "/async/wait/?seconds=3", OK),
    # A blocked event loop handles no signal. The second signal is SIGKILL.
    "gunicorn-asgi blocked chain": Hang(
        (*_TIMEOUT, "1", "--worker-class", "asgi", CHAIN), "/async/block/?seconds=30", None
    ),
    "gunicorn-asgi blocked observed": Hang(
        (*_TIMEOUT, "1", "--worker-class", "asgi", OUTSIDE), "/async/block/?seconds=30", None
    ),
}


def hang(name: str, output: Path) -> Played:
    case = HANGS[name]
    with running(case.command, output=output, cwd=TESTS, env=ENV) as server:
        player = Player(server, "sync")
        for ending, path in (("hangs", case.path), ("next", "/sync/ok/")):
            player.ask((ending, player.call(ending, path)))
        server.stop()
    return Played(server.lines_so_far(), (output / "stdout").read_text() + server.errors(), player.answers)


Futures = Mapping[tuple[str, str], "Future[Played]"]
PLAYS: Final[Mapping[str, Callable[[str, Path], Played]]] = {"server": play, "hanging": hang}


@pytest.fixture(name="futures", scope="module")
def _futures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Futures]:
    """Play the endings on every server that the selected tests need, on some of them at the same time."""
    wanted = {
        (kind, str(item.callspec.params[kind]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        for kind in PLAYS
        if kind in item.callspec.params
    }
    executor = ThreadPoolExecutor(4)
    try:
        yield {
            (kind, name): executor.submit(PLAYS[kind], name, tmp_path_factory.mktemp(id_of(name)))
            for kind, name in sorted(wanted)
        }
    finally:
        executor.shutdown(cancel_futures=True)


@pytest.fixture(name="played")
def _played(futures: Futures, server: str) -> Played:
    return futures["server", server].result()


# The tests

ENDINGS: Final = [(server, ending) for server in COMMANDS for ending in expected_of(server)]


@pytest.mark.parametrize(("server", "ending"), ENDINGS, ids=lambda name: name)
def test_an_ending_has_exactly_one_line(played: Played, server: str, ending: str) -> None:
    told = [(line["status"], line["outcome"], line.get("error_type")) for line in played.of(ending)]

    expected = expected_of(server)[ending]
    if expected is None:
        assert told == []
    elif expected.surely:
        assert told == [expected[:3]]
    else:
        assert told in ([], [expected[:3]])


@pytest.mark.parametrize("server", COMMANDS)
def test_the_next_request_on_a_connection_is_clean(played: Played, server: str) -> None:
    """It has no field and no id of the first request. After a large body, uvicorn reuses the old context."""
    (first,) = played.of("pipelined 1")
    (large,) = played.of("large body")
    assert (first["bound"], large["upload"], large["user"]) == ("first", "large", "alice")
    for ending in ("pipelined 2", "pipelined 3", "after a large body 1", "after a large body 2"):
        for line in played.of(ending):
            assert not {"bound", "upload", "user"} & line.keys()
            assert line["request_id"] not in {first["request_id"], large["request_id"]}


@pytest.mark.parametrize("server", COMMANDS)
def test_a_line_has_the_sizes_of_both_bodies(played: Played, server: str) -> None:
    (stream,) = played.of(f"stream, {'sync' if server in WSGI_SERVERS else 'async'}")
    (large,) = played.of("large body")

    assert stream["response_bytes"] == 15
    assert (large["request_bytes"], large["response_bytes"]) == (600_000, len("600000"))


@pytest.mark.parametrize("server", COMMANDS)
def test_an_answer_has_the_id_of_its_line(played: Played, server: str) -> None:
    returned = {ending: answer.headers["x-request-id"] for ending, answer in played.answers.items() if answer}

    assert [ending for ending, request_id in returned.items() if not played.of(ending)] == []
    assert len(set(returned.values())) == len(returned)


@pytest.mark.parametrize("server", COMMANDS)
def test_nothing_else_is_logged_about_a_request(played: Played, server: str) -> None:
    """There is no access log, no record of Django and no report of our own failures, on stdout or stderr."""
    others = [
        line
        for line in played.output.splitlines()
        if ("/ok/" in line or "/fail/" in line or "/nowhere/" in line or '"obs_middleware"' in line)
        and '"message":"Request took ' not in line
    ]

    assert others == []


@pytest.mark.parametrize("server", COMMANDS)
def test_every_request_line_belongs_to_a_request_that_was_sent(played: Played, server: str) -> None:
    sent = {played.request_id(ending) for ending in expected_of(server)}

    assert {line["request_id"] for line in played.lines if is_request_line(line)} <= sent


@pytest.mark.parametrize("hanging", HANGS)
def test_a_worker_timeout_leaves_the_line_that_the_server_allows(futures: Futures, hanging: str) -> None:
    """The next worker then serves requests."""
    played = futures["hanging", hanging].result()
    told = [(line["status"], line["outcome"], line.get("error_type")) for line in played.of("hangs")]

    expected = HANGS[hanging].expected
    assert told == ([] if expected is None else [expected[:3]])
    assert [line["status"] for line in played.of("next")] == [200]
    assert ("WORKER TIMEOUT" in played.output) == (expected != OK)


@pytest.mark.parametrize("server", ["uvicorn-h11-asyncio", "hypercorn", "gunicorn-asgi"])
def test_a_stop_after_the_last_byte_does_not_lose_the_line(server: str, tmp_path: Path) -> None:
    """With `observed`, the line is written when the server has the last byte, not when the application returns."""
    command = (*ASGI_SERVERS[server], OUTSIDE)
    with running(command, output=tmp_path, cwd=TESTS, env=ENV) as one, ByHand(one) as client:
        client.send(Call("GET", "/sync/linger/?seconds=2"))
        one.wait_for_line(message="closing")
        one.stop()
    line, closing = (line for line in one.lines_so_far() if line["logger"] in {"root", "site"})

    assert (line["path"], line["status"], line["outcome"]) == ("/sync/linger/", 200, "ok")
    assert line["duration_seconds"] < 2
    assert (closing["request_id"], closing["after_response"]) == (line["request_id"], True)


def test_the_table_in_the_docs_is_what_is_expected_here() -> None:
    """The table has the usual endings. Exceptions are listed with their reasons, in the docs and here."""
    page = (TESTS.parent / "docs" / "reference" / "servers.md").read_text()
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in page.splitlines()]

    for ending, under_asgi in UNDER_ASGI.items():
        under_wsgi = as_documented(UNDER_WSGI[ending]) if ending in UNDER_WSGI else "not tried"
        assert (ending, as_documented(under_asgi), under_wsgi) in rows


def as_documented(expected: Expectation) -> str:
    return "none" if expected is None else f"{expected.status} {expected.outcome}"
