"""`obs_middleware.logs.sinks.stream`: pipes that are full, have no reader or were closed."""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final, get_args

import needs
import pytest
from queued import Gate, Make, join_threads, log, sizes

from obs_middleware import failures, logging_config, stats
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.options import Format
from obs_middleware.logs.sinks import nonblocking, queued
from obs_middleware.platforms import PIPE_BYTES
from obs_middleware.testing import CapturedRequests


def test_a_write_to_a_pipe_is_whole_lines_and_not_above_pipe_buf(
    make: Make, pipe: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, stream = pipe
    seen = sizes(monkeypatch)
    handler = make(stream)
    messages = [str(number % 10) * 300 for number in range(100)]
    with handler._lock:  # so that they are all there when the thread looks
        log(*messages)
    handler.flush()

    assert os.read(reading, 100_000).decode().splitlines() == messages
    assert all(size <= PIPE_BYTES and size % 301 == 0 for size in seen)
    assert max(seen) > PIPE_BYTES - 301


def test_a_line_above_pipe_buf_goes_alone(make: Make, pipe: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _, stream = pipe
    seen = sizes(monkeypatch)
    handler = make(stream)
    with handler._lock:
        log("a", "b" * 5000, "c")
    handler.flush()

    assert seen == [2, 5001, 2]


def test_a_pipe_that_does_not_block_is_waited_for(make: Make, pipe: tuple[int, Any]) -> None:
    """Somebody else may have set O_NONBLOCK on what the process shares with it."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    handler = make(stream)
    messages = [f"{number} {'x' * 400}" for number in range(1000)]
    log(*messages)

    size = sum(len(message) + 1 for message in messages)
    text = b""
    while len(text) < size:
        text += os.read(reading, 5000)
    handler.flush()

    assert text.decode().splitlines() == messages


@needs.NOT_WINDOWS
def test_a_pipe_that_stays_full_does_not_keep_the_process_alive(
    make: Make, pipe: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stream = pipe
    os.set_blocking(stream.fileno(), False)
    monkeypatch.setattr(queued, "DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(nonblocking, "FULL_SECONDS", 0.01)
    handler = make(stream)
    before = stats()
    log("x" * 1_000_000, "y")
    handler.close()
    join_threads()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 2


def test_a_reader_that_has_gone_is_reported_once_and_raises_nothing(
    make: Make, pipe: tuple[int, Any], lines: CapturedRequests, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, stream = pipe
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, reading)  # the number stays in use, because the fixture closes it
    os.close(nothing)
    handler = make(stream)
    before = stats()
    for _ in range(3):
        log("x")
        handler.flush()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 3
    assert [line["error_type"] for line in lines.logs if "error_type" in line] == ["BrokenPipeError"]
    assert capsys.readouterr().err.count("BrokenPipeError") == 1


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_a_sink_that_reports_its_failure_to_itself_does_not_hang(make: Make, overflow: str) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise ValueError("I/O operation on closed file")

    handler = make(Closed(), capacity=1, overflow=overflow)
    package = logging.getLogger("obs_middleware")
    package.addHandler(handler)
    log("x", "y")
    handler.flush()
    package.removeHandler(handler)

    assert stats()["sink_depth"] == 0


def test_a_stream_that_was_closed_is_no_reason_to_write_to_its_number(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number may be that of a database connection by now."""
    stream = (tmp_path / "one").open("w")
    handler = make(stream)
    number = stream.fileno()
    stream.close()
    with (tmp_path / "two").open("w") as other:
        assert other.fileno() == number
        log("x")
        handler.flush()

    assert (tmp_path / "two").read_text() == ""
    assert "ValueError" in capsys.readouterr().err


def test_a_process_without_stdout_or_stderr_loses_its_lines_and_nothing_else(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    before = stats()
    handler = make("stdout")
    log("x")
    handler.flush()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_bug_in_a_sink_costs_its_batch_and_not_the_thread(
    make: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    gate.opened.set()
    handler = make(gate)
    deliver = handler._deliver
    results: list[Any] = [error]

    def delivering(lines: Any) -> int:
        if results:
            raise results.pop()
        return deliver(lines)

    monkeypatch.setattr(handler, "_deliver", delivering)
    log("lost")
    handler.flush()
    log("kept")
    handler.flush()

    assert gate.lines()[-1] == "kept"
    assert ("NonBlockingHandler" in dict(failures._reported)) == (error is ValueError)


class Replaced:
    """What some server or tool puts in the place of ``sys.stdout``: only `write` can be relied on."""

    def __init__(self, fileno: Any = None, error: type[BaseException] | None = None) -> None:
        self.written = ""
        self._fileno = fileno
        self._error = error

    def write(self, text: str) -> None:
        self.written += text

    def fileno(self) -> Any:
        if self._error is not None:
            raise self._error("this log object is not associated with a file descriptor")
        return self._fileno

    def isatty(self) -> bool:
        return bool(self.fileno())


REPLACED: Final[dict[str, dict[str, Any]]] = {
    "OSError": {"error": OSError},  # mod_wsgi
    "NotImplementedError": {"error": NotImplementedError},
    "KeyError": {"error": KeyError},
    "minus one": {"fileno": -1},
    "None": {"fileno": None},
    "text": {"fileno": "1"},
    "True": {"fileno": True},
}


@pytest.mark.parametrize("kind", REPLACED)
def test_a_stream_without_a_usable_descriptor_is_written_with_its_own_write(make: Make, kind: str) -> None:
    stream = Replaced(**REPLACED[kind])
    handler = make(stream)
    before = stats()
    log(*range(20))
    handler.flush()

    assert stream.written.split() == [str(number) for number in range(20)]
    assert stats()["sink_written"] - before["sink_written"] == 20


@needs.NOT_WINDOWS
def test_a_descriptor_that_is_closed_costs_its_lines_and_not_the_thread(make: Make) -> None:
    handler = make(Replaced(fileno=999_999))
    before = stats()
    log("x", "y")
    handler.flush()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 2


@pytest.mark.parametrize("format_", get_args(Format))
@pytest.mark.parametrize("kind", [*REPLACED, "no method at all", "missing"])
@pytest.mark.usefixtures("on_sigterm")
def test_the_site_starts_with_every_stdout(kind: str, format_: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = None if kind == "missing" else Replaced(**REPLACED.get(kind, {"fileno": None}))
    if kind == "no method at all":
        monkeypatch.delattr(Replaced, "isatty")
        monkeypatch.delattr(Replaced, "fileno")
    monkeypatch.setattr(sys, "stdout", stream)
    config = logging_config(format=format_, nonblocking=True, stream="stdout")
    config["loggers"] = {}
    logging.config.dictConfig(config)
    (handler,) = [one for one in logging.getLogger().handlers if isinstance(one, NonBlockingHandler)]
    logging.getLogger("site").info("hello")
    handler.close()

    assert stream is None or "hello" in stream.written
