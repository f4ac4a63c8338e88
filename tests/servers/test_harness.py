"""`servers.harness` reports failures and leaves no process behind."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import HOST
from servers import harness
from servers.harness import ByHand, Call, Server, running, send_all

HTTP_SERVER = ("http.server", "{port}", "--bind", HOST)
DEAF = """
import signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()
"""
RUDE = """
import socket, struct, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    connection.recv(1)  # not at once: the client might still be connecting
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
"""


def has_ended(server: Server) -> bool:
    """Return whether no process of the server's group is left."""
    try:
        os.killpg(server.process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_server_can_take_a_port_instead_of_a_socket(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello")
    with running(HTTP_SERVER, output=tmp_path, cwd=tmp_path) as server:
        (answer,) = send_all(server, [Call("GET", "/hello.txt")])
        assert not has_ended(server)

    assert (answer.status, answer.body) == (200, b"hello")
    assert has_ended(server)


def test_a_line_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    with running(
        ("ship", "{port}"), output=tmp_path, cwd=_module(tmp_path, f"print('hello', flush=True)\n{DEAF}")
    ) as server:
        server.process.kill()

    with pytest.raises(ValueError, match="Expecting value"):
        server.lines()


def test_the_server_ends_when_the_block_raises(tmp_path: Path) -> None:
    with pytest.raises(LookupError), running(HTTP_SERVER, output=tmp_path, cwd=tmp_path) as server:
        raise LookupError

    assert has_ended(server)


def test_the_output_of_a_server_that_dies_is_in_the_error(tmp_path: Path) -> None:
    cwd = _module(tmp_path, "raise SystemExit('no such ship')")

    with ExitStack() as stack, pytest.raises(AssertionError, match="no such ship"):
        stack.enter_context(running(("ship", "{port}"), output=tmp_path, cwd=cwd))


def test_waiting_for_a_server_that_never_listens_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "START_SECONDS", 0.1)
    cwd = _module(tmp_path, "import signal; signal.pause()")

    with ExitStack() as stack, pytest.raises(AssertionError, match="does not accept connections"):
        stack.enter_context(running(("ship", "{port}"), output=tmp_path, cwd=cwd))


def test_a_server_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "STOP_SECONDS", 0.1)
    with running(("ship", "{port}"), output=tmp_path, cwd=_module(tmp_path, DEAF)) as server:
        with pytest.raises(AssertionError, match="did not stop"):
            server.stop()

        assert has_ended(server)


def test_waiting_for_a_line_that_never_comes_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "LINE_SECONDS", 0.1)
    with running(HTTP_SERVER, output=tmp_path, cwd=tmp_path) as server, pytest.raises(AssertionError, match="no line"):
        server.wait_for_line(message="Request took ")


def test_waiting_for_a_line_ends_when_the_server_dies(tmp_path: Path) -> None:
    with running(HTTP_SERVER, output=tmp_path, cwd=tmp_path) as server:
        server.process.kill()
        server.process.wait()
        with pytest.raises(AssertionError, match="no line"):
            server.wait_for_line(message="Request took ")


def test_a_connection_that_is_reset_has_no_answer(tmp_path: Path) -> None:
    with running(("ship", "{port}"), output=tmp_path, cwd=_module(tmp_path, RUDE)) as server, ByHand(server) as client:
        client.send(Call("GET", "/"))
        assert client.answer() is None


def _module(directory: Path, source: str) -> Path:
    """Write the module ``ship`` and return its folder."""
    (directory / "ship.py").write_text(source)
    return directory
