"""Channels' consumers on real servers: every connection has exactly one line, and the consumer has its context."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from ports import HOST
from servers.harness import Server, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

SERVERS = {
    "uvicorn": ("uvicorn", "--port", "{port}", "servers.site.channels:application"),
    "daphne": ("daphne", "-b", HOST, "-p", "{port}", "servers.site.channels:application"),
    "hypercorn": ("hypercorn", "--bind", f"{HOST}:{{port}}", "servers.site.channels:application"),
}
AFTER_CLOSING = {"uvicorn": ("ok", 1000), "daphne": ("ok", 1000), "hypercorn": ("aborted", 1006)}
AFTER_VANISHING = {"uvicorn": ("ok", 1005), "daphne": ("aborted", 1006), "hypercorn": ("aborted", 1006)}
"""Outcome and code by the word of each server: hypercorn does not pass the code on, uvicorn says "no code" here."""


@pytest.fixture(name="name", scope="module", params=SERVERS)
def _name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="server", scope="module")
def _server(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"DJANGO_SETTINGS_MODULE": "servers.site.settings", "PYTHONPATH": str(ROOT / "tests")}
    with running(SERVERS[name], output=tmp_path_factory.mktemp(name), env=env) as server:
        yield server


def chat(server: Server, path: str, request_id: str) -> ClientConnection:
    return connect(f"ws://{HOST}:{server.port}{path}", additional_headers={"X-Request-ID": request_id}, proxy=None)


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    """Wait for the line of the connection with this id, and return it if there is no other."""
    server.wait_for_line(request_id=request_id, kind="websocket")
    (line,) = [
        line for line in server.lines_so_far() if line.get("kind") == "websocket" and line["request_id"] == request_id
    ]
    return line


@pytest.fixture(name="path", params=["/sync/", "/async/"])
def _path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="request_id")
def _request_id(request: pytest.FixtureRequest) -> str:
    return "".join(character if character.isalnum() else "-" for character in request.node.name)


def test_the_client_closes(server: Server, name: str, path: str, request_id: str) -> None:
    with chat(server, path, request_id) as connection:
        connection.send("hello")
        assert connection.recv(timeout=10) == request_id

    line = line_of(server, request_id)
    assert line["message"].startswith("Connection took ")
    assert (line["outcome"], line["close_code"]) == AFTER_CLOSING[name]
    assert (line["path"], line["room"], line["client_ip"]) == (path, path.strip("/"), HOST)
    (inside,) = [
        one for one in server.lines_so_far() if one["logger"] == "chat" and one.get("request_id") == request_id
    ]
    assert (inside["message"], inside["path"], inside["room"]) == ("received hello", path, path.strip("/"))


def test_the_application_closes(server: Server, path: str, request_id: str) -> None:
    with chat(server, path, request_id) as connection:
        connection.send("close")
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)

    line = line_of(server, request_id)
    assert (line["outcome"], line["close_code"]) == ("ok", 4001)


def test_the_application_refuses(server: Server, path: str, request_id: str) -> None:
    with pytest.raises(InvalidStatus):
        chat(server, f"{path}?refuse", request_id)

    line = line_of(server, request_id)
    assert (line["outcome"], line.get("close_code"), line["path"]) == ("rejected", None, path)


def test_the_application_raises(server: Server, path: str, request_id: str) -> None:
    with chat(server, path, request_id) as connection:
        connection.send("fail")
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)

    line = line_of(server, request_id)
    assert (line["outcome"], line["level"]) == ("error", "error")
    assert line["error_type"] == "ValueError"
    assert line["stack_trace"].count("Traceback (most recent call last)") == 1


def test_the_client_vanishes(server: Server, name: str, path: str, request_id: str) -> None:
    with chat(server, path, request_id) as connection:
        connection.send("hello")
        connection.recv(timeout=10)
        connection.socket.close()

        line = line_of(server, request_id)

    assert (line["outcome"], line["close_code"]) == AFTER_VANISHING[name]


def test_the_server_stops(path: str, tmp_path: Path, request_id: str) -> None:
    env = {"DJANGO_SETTINGS_MODULE": "servers.site.settings", "PYTHONPATH": str(ROOT / "tests")}
    with running(SERVERS["uvicorn"], output=tmp_path, env=env) as server, chat(server, path, request_id) as connection:
        connection.send("hello")
        connection.recv(timeout=10)
        server.stop()

    assert line_of(server, request_id)["close_code"] == 1012
