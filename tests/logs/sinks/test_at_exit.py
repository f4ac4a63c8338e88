"""The queue of `NonBlockingHandler` at a fork, at exit and on SIGTERM."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from queued import PATIENCE, Gate, Make, forking, join_threads, log

from obs_middleware import stats
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.sinks import nonblocking


@forking
def test_a_child_process_writes_its_own_lines_and_none_of_its_parent(make: Make, tmp_path: Path, gate: Gate) -> None:
    path = tmp_path / "log"
    to_file = make(file=path)
    to_gate = make(gate, capacity=2)
    log("parent", "parent")
    to_file.flush()
    assert gate.waiting.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            gate.opened.set()
            assert stats()["sink_depth"] == stats()["sink_written"] == 0
            log("child")
            to_gate.flush()
            to_file.close()
            code = 0 if gate.lines() == ["child"] and stats()["sink_written"] == 2 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    gate.opened.set()

    assert os.waitstatus_to_exitcode(status) == 0
    assert path.read_text() == "parent\nparent\nchild\n"


def test_what_is_logged_when_no_thread_can_be_started_is_written_by_the_caller(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On Python 3.12 and newer that is so while the interpreter ends."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    path = tmp_path / "log"
    handler = make(file=path)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        log("one", "two")
        assert path.read_text() == "one\ntwo\n"
    log("three")
    handler.flush()

    assert path.read_text() == "one\ntwo\nthree\n"


def test_a_caller_that_writes_itself_leaves_the_thread_alone(make: Make) -> None:
    """It may have been started by somebody else in the meantime."""
    output = io.StringIO()
    handler = make(output)
    log("one")
    handler._write_in_caller()
    log("two")
    handler.flush()

    assert output.getvalue() == "one\ntwo\n"
    assert handler._thread is not None


def test_a_caller_that_writes_itself_does_not_wait_for_ever(
    make: Make, pipe: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stream = pipe
    os.set_blocking(stream.fileno(), False)
    with suppress(BlockingIOError):
        while True:
            os.write(stream.fileno(), b"x" * 4096)
    os.set_blocking(stream.fileno(), True)
    handler = make(stream)
    handler.close()
    monkeypatch.setattr(nonblocking, "DRAIN_SECONDS", 0.01)
    before = stats()
    log("x")

    assert stats()["sink_dropped"] - before["sink_dropped"] == 1


@pytest.mark.parametrize("to_file", [True, False])
def test_a_line_after_the_end_is_written_at_once(make: Make, tmp_path: Path, to_file: bool) -> None:
    path = tmp_path / "log"
    with path.open("a") as stream:
        handler = make(file=path) if to_file else make(stream)
        log("one")
        handler.close()
        handler.close()
        log("two", "three")

        assert path.read_text() == "one\ntwo\nthree\n"


def test_a_sink_that_takes_nothing_is_given_up_after_one_wait(
    make: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logging module flushes and then closes; only the first waits."""
    handler = make(gate)
    log("x")
    monkeypatch.setattr(nonblocking, "DRAIN_SECONDS", 0.01)
    handler.flush()
    monkeypatch.setattr(nonblocking, "DRAIN_SECONDS", 1e6)
    handler.close()
    log("written by the thread, which is still there")
    gate.opened.set()
    join_threads()

    assert gate.lines() == ["x", "written by the thread, which is still there"]


AT_EXIT: Final = """
import atexit, logging, sys, threading
from obs_middleware.logs.handlers import NonBlockingHandler
handler = NonBlockingHandler()
logging.basicConfig(level="INFO", handlers=[handler], format="%(message)s")
atexit.register(lambda: logging.info("while the interpreter ends"))
if sys.argv[1] == "busy":
    for number in range(5000):
        logging.info("line %d", number)
"""


@pytest.mark.parametrize("kind", ["busy", "idle"])
def test_all_is_written_when_the_process_ends(kind: str) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", AT_EXIT, kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    expected = [f"line {number}" for number in range(5000 if kind == "busy" else 0)]
    assert result.stdout.splitlines() == [*expected, "while the interpreter ends"]
    assert result.stderr == ""


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
