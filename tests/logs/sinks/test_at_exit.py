"""`obs_middleware.logs.sinks.nonblocking` at the end of a process: the queue is written, and nobody waits for ever."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import needs
import pytest
from queued import Gate, Make, join_threads, log

from obs_middleware import stats
from obs_middleware.logs.sinks import queued


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
    assert handler._has_thread


@needs.NOT_WINDOWS
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
    monkeypatch.setattr(queued, "DRAIN_SECONDS", 0.01)
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
    monkeypatch.setattr(queued, "DRAIN_SECONDS", 0.01)
    handler.flush()
    monkeypatch.setattr(queued, "DRAIN_SECONDS", 1e6)
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
