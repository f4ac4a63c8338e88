"""`obs_middleware.logs.sinks.sigterm`: the queue is written before the server's own handler of SIGTERM runs."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import pytest
from queued import PATIENCE, Gate, Make, log

from obs_middleware.logs.handlers import NonBlockingHandler


def test_sigterm_empties_the_queue_before_the_server_hears_of_it(make: Make, gate: Gate, on_sigterm: Any) -> None:
    heard: list[list[str]] = []
    on_sigterm(lambda *_: heard.append(gate.lines()))
    make(gate, flush_on_sigterm=True)
    log("one", "two")
    assert gate.waiting.wait(PATIENCE)
    gate.opened.set()
    signal.raise_signal(signal.SIGTERM)
    log("three")

    assert heard == [["one", "two"]]
    assert gate.lines() == ["one", "two", "three"]


def test_sigterm_still_ends_a_process_that_does_not_handle_it(
    make: Make, on_sigterm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sigterm(signal.SIG_DFL)
    output = io.StringIO()
    make(output, flush_on_sigterm=True)
    log("one")
    sent: list[Any] = []
    raise_signal = signal.raise_signal
    monkeypatch.setattr("signal.raise_signal", lambda number: sent.append((number, signal.getsignal(number))))
    raise_signal(signal.SIGTERM)

    assert output.getvalue() == "one\n"
    assert sent == [(signal.SIGTERM, signal.SIG_DFL)]


@pytest.mark.parametrize(("before", "asked"), [(signal.SIG_IGN, True), (signal.SIG_DFL, False)])
def test_sigterm_is_left_alone_where_it_is_ignored_or_nobody_asked(
    make: Make, on_sigterm: Any, before: Any, asked: bool
) -> None:
    on_sigterm(before)
    make(io.StringIO(), flush_on_sigterm=asked)

    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_is_left_alone_outside_the_main_thread(make: Make, on_sigterm: Any) -> None:
    def before(*_: Any) -> None:
        raise NotImplementedError

    on_sigterm(before)
    thread = threading.Thread(target=make, args=[io.StringIO()], kwargs={"flush_on_sigterm": True})
    thread.start()
    thread.join()

    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_reaches_the_server_when_the_handler_is_no_more(on_sigterm: Any) -> None:
    heard: list[int] = []
    on_sigterm(lambda number, _: heard.append(number))
    NonBlockingHandler(stream=io.StringIO(), flush_on_sigterm=True).close()
    signal.raise_signal(signal.SIGTERM)

    assert heard == [signal.SIGTERM]


def test_sigterm_handlers_do_not_pile_up(on_sigterm: Any) -> None:
    """A test suite or a reload may configure logging thousands of times in one process."""
    heard: list[int] = []

    def before(number: int, _: Any) -> None:
        heard.append(number)

    on_sigterm(before)
    for _ in range(2 * sys.getrecursionlimit()):
        NonBlockingHandler(stream=io.StringIO(), flush_on_sigterm=True).close()
    signal.raise_signal(signal.SIGTERM)

    assert heard == [signal.SIGTERM]


def test_sigterm_reaches_a_handler_that_was_installed_in_between(make: Make, on_sigterm: Any) -> None:
    """As a server does that loads the site first; its handler may call the one before."""
    heard: list[str] = []
    on_sigterm(lambda *_: heard.append("first"))
    one, two = io.StringIO(), io.StringIO()
    make(one, flush_on_sigterm=True)
    ours: Any = signal.getsignal(signal.SIGTERM)

    def server(number: int, frame: Any) -> None:
        heard.append("server")
        ours(number, frame)

    on_sigterm(server)
    log("one")
    make(two, flush_on_sigterm=True)
    log("two")
    signal.raise_signal(signal.SIGTERM)

    assert heard == ["server", "first"]
    assert (one.getvalue(), two.getvalue()) == ("one\ntwo\n", "two\n")


def test_a_later_handler_decides_whether_the_process_ends(make: Make, on_sigterm: Any) -> None:
    on_sigterm(signal.SIG_DFL)
    output = io.StringIO()
    make(output, flush_on_sigterm=True)
    ours: Any = signal.getsignal(signal.SIGTERM)
    on_sigterm(lambda number, frame: ours(number, frame))
    log("one")
    signal.raise_signal(signal.SIGTERM)

    assert output.getvalue() == "one\n"  # and this process is alive


IN_SUBINTERPRETER: Final = """
import logging, logging.config, sys
sys.path[:] = {path!r}
from obs_middleware import logging_config
logging.config.dictConfig(logging_config(file={log!r}, format="text", nonblocking=True))
logging.info("one")
logging.info("two")
logging.shutdown()
"""
AS_MOD_WSGI: Final = "import _testcapi, sys; sys.exit(_testcapi.run_in_subinterp(sys.argv[1]))"
ISOLATED: Final = """
import _xxsubinterpreters, sys
interpreter = _xxsubinterpreters.create()
_xxsubinterpreters.run_string(interpreter, sys.argv[1])
_xxsubinterpreters.destroy(interpreter)
"""


@pytest.mark.parametrize(
    "starter",
    [
        AS_MOD_WSGI,
        pytest.param(
            ISOLATED,
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="C modules refuse to load there"),
        ),
    ],
    ids=["as mod_wsgi", "isolated"],
)
def test_a_sub_interpreter_starts_and_writes_its_lines(starter: str, tmp_path: Path) -> None:
    """It gets no signals. An isolated one has no threads either, so callers write their lines themselves."""
    if starter is AS_MOD_WSGI:
        pytest.importorskip("_testcapi")
    path = tmp_path / "log"
    code = IN_SUBINTERPRETER.format(path=sys.path, log=str(path))
    # Coverage cannot start in a sub-interpreter, and says so.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", starter, code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["one", "two"]
