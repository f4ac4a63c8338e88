"""`obs_middleware.logs.handlers` and `.sinks`: nobody waits, nothing tears, nothing is lost without a word."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import logging.config
import os
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pytest
import structlog
from conftest import respond
from counts import changes, counts
from disks import short_of_room
from django.http import HttpResponse
from django.test import RequestFactory

from obs_middleware import counters, failures, logging_config, stats
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.options import Format
from obs_middleware.logs.sinks import file, nonblocking, stream
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.testing import CapturedRequests

# Python 3.12 warns of what these tests are about.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PATIENCE: Final = 20
Make = Callable[..., NonBlockingHandler]


class Gate(io.StringIO):
    """
    A stream that lets nothing through while it is shut.

    Attributes:
        waiting: Somebody stands before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.waiting = threading.Event()

    def write(self, text: str) -> int:
        self.waiting.set()
        assert self.opened.wait(PATIENCE)
        return super().write(text)

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture(name="make")
def _make() -> Iterator[Make]:
    """Make a handler of the logger ``sink``; all are closed afterwards."""
    logger = logging.getLogger("sink")
    logger.setLevel(logging.INFO)
    made: list[NonBlockingHandler] = []

    def make(stream: Any = "stdout", **options: Any) -> NonBlockingHandler:
        handler = NonBlockingHandler(stream=stream, **options)
        made.append(handler)
        logger.addHandler(handler)
        return handler

    yield make
    for handler in made:
        logger.removeHandler(handler)
        handler.close()
    counters._sinks.clear()
    assert not [thread for thread in threading.enumerate() if thread.name == "obs_middleware sink"]


@pytest.fixture(name="gate")
def _gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[int, Any]]:
    """A pipe: the descriptor to read from, and a stream to write to; whoever closes the first sets it to -1."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    with suppress(OSError):
        os.close(reading)


def log(*messages: object) -> None:
    for message in messages:
        logging.getLogger("sink").info("%s", message)


def join_threads() -> None:
    """Wait for those that a handler has not waited for."""
    for thread in threading.enumerate():
        if thread.name == "obs_middleware sink":
            thread.join(PATIENCE)


def replace(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **functions: Any) -> None:
    """Replace functions of *module* for the sinks alone: other threads use it too."""
    own = SimpleNamespace(**{**vars(module), **functions})
    for sink in (file, stream):
        if hasattr(sink, module.__name__):
            monkeypatch.setattr(sink, module.__name__, own)


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of the sizes of what is written to descriptors from now on."""
    seen: list[int] = []
    write = os.write

    def writing(descriptor: int, data: Any) -> int:
        seen.append(len(data))
        return write(descriptor, data)

    replace(monkeypatch, os, write=writing)
    return seen


# What is written


@pytest.mark.parametrize("stream", [io.StringIO, io.BytesIO])
def test_lines_are_written_in_order_to_a_stream_without_descriptor(make: Make, stream: Any) -> None:
    output = stream()
    handler = make(output)

    log(*range(100), "größer")
    handler.flush()

    text = output.getvalue()
    text = text.decode() if isinstance(text, bytes) else text
    assert text.splitlines() == [*map(str, range(100)), "größer"]


def test_a_binary_stream_that_takes_nothing_now_is_asked_again(make: Make) -> None:
    class Moody(io.RawIOBase):
        answers: list[int | None] = [None, 2]  # noqa: RUF012 -- a prop
        taken = b""

        def write(self, data: Any) -> int | None:
            size = self.answers.pop(0) if self.answers else len(data)
            self.taken += bytes(data[: size or 0])
            return size

    stream = Moody()
    handler = make(stream)
    log("abcdef")
    handler.flush()

    assert stream.taken == b"abcdef\n"


def test_stdout_and_stderr_are_what_they_were_when_logging_was_configured(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = make("stdout"), make("stderr")
    monkeypatch.setattr(sys, "stdout", None)
    log("x")
    out.flush()
    err.flush()

    assert capsys.readouterr() == ("x\n", "x\n")


def test_a_record_is_formatted_where_it_was_logged(make: Make) -> None:
    output = io.StringIO()
    handler = make(output)
    threads: list[int] = []

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            threads.append(threading.get_ident())
            return super().format(record)

    handler.setFormatter(Formatter())
    log("x")
    handler.flush()

    assert threads == [threading.get_ident()]


def test_a_slow_formatter_holds_up_nobody_else(make: Make) -> None:
    """Another thread may log while the first is still formatting."""
    output = io.StringIO()
    handler = make(output)
    entered, leave = threading.Event(), threading.Event()

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            if record.getMessage() == "slow":
                entered.set()
                assert leave.wait(PATIENCE)
            return super().format(record)

    handler.setFormatter(Formatter())
    slow = threading.Thread(target=log, args=["slow"])
    slow.start()
    assert entered.wait(PATIENCE)
    log("quick")
    handler.flush()
    assert output.getvalue() == "quick\n"
    leave.set()
    slow.join()
    handler.flush()

    assert output.getvalue() == "quick\nslow\n"


def test_filters_reject_and_replace(make: Make) -> None:
    output = io.StringIO()
    handler = make(output)

    def judge(record: logging.LogRecord) -> Any:
        if record.getMessage() == "no":
            return False
        return logging.makeLogRecord({"msg": "replaced"}) if sys.version_info >= (3, 12) else True

    handler.addFilter(judge)
    log("no", "yes")
    handler.flush()

    assert output.getvalue() == ("replaced\n" if sys.version_info >= (3, 12) else "yes\n")


def test_a_lone_surrogate_costs_its_character(make: Make) -> None:
    output = io.BytesIO()
    handler = make(output)
    # Not through the root logger: what pytest captures there must be UTF-8 to travel between its processes.
    handler.handle(logging.makeLogRecord({"msg": "a\udc80b"}))
    handler.flush()

    assert output.getvalue() == b"a?b\n"


def test_the_thread_does_not_inherit_the_request(make: Make, gate: Gate) -> None:
    """Else the context of the request that starts it would be on every report, and stay in memory."""
    seen: list[Any] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            seen.append(current_event.get())
            return len(text)

    handler = make(Stream())
    current_event.set(RequestEvent(0.0, "id", "GET", "/"))
    log("x")
    handler.flush()

    assert seen == [None]


@pytest.mark.parametrize("options", [{"overflow": "explode"}, {"capacity": 0}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        NonBlockingHandler(**options)


def test_a_signal_handler_that_logs_in_the_middle_of_a_log_call_does_not_hang(make: Make) -> None:
    output = io.StringIO()
    handler = make(output)
    with handler._lock:
        log("inside")
    handler.flush()

    assert output.getvalue() == "inside\n"


# What is dropped


def test_the_newest_lines_are_dropped_and_counted_when_the_queue_is_full(make: Make, gate: Gate) -> None:
    handler = make(gate, capacity=3)
    before = stats()

    log(*range(5))
    during = stats()
    gate.opened.set()
    handler.flush()
    after = stats()

    assert [line for line in gate.lines() if line.isdigit()] == ["0", "1", "2"]
    assert (during["sink_depth"], during["sink_dropped"] - before["sink_dropped"]) == (3, 2)
    assert (after["sink_depth"], after["sink_written"] - before["sink_written"]) == (0, 3)


def test_dropped_lines_are_reported_at_most_every_thirty_seconds_and_at_the_end(
    make: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(nonblocking, "monotonic", lambda: now)
    handler = make(gate, capacity=1)

    def drop(count: int) -> None:
        gate.opened.clear()
        gate.waiting.clear()
        log("kept")
        assert gate.waiting.wait(PATIENCE)
        log(*range(count))
        gate.opened.set()
        handler.flush()

    reports = []
    for seconds, count in [(0, 2), (10, 3), (10, 4), (11, 5), (1, 6)]:
        now += seconds
        drop(count)
        log("behind the report, if there is one")
        handler.flush()
        reports.append([line for line in gate.lines() if line.startswith("Dropped")])
    handler.close()
    reports.append([line for line in gate.lines() if line.startswith("Dropped")])

    first, second, last = "Dropped 2 log lines", "Dropped 7 log lines", "Dropped 11 log lines"
    assert reports == [[first], [first], [first], [first, second], [first, second], [first, second, last]]


@pytest.mark.parametrize("format_", ["json", "logfmt", "text", "console"])
def test_the_report_is_a_line_of_its_format_with_the_number_in_a_field(make: Make, gate: Gate, format_: Format) -> None:
    config = logging_config(format=format_)["formatters"]["obs"]
    factory = logging.config.BaseConfigurator({}).resolve(config.pop("()"))
    handler = make(gate, capacity=1)
    handler.setFormatter(factory(**config))
    log("kept")
    assert gate.waiting.wait(PATIENCE)
    log("dropped")
    gate.opened.set()
    handler.close()

    _, report = gate.lines()
    assert "Dropped 1 log lines" in report
    assert "obs_middleware" in report
    if format_ == "json":
        line = json.loads(report)
        assert (line["level"], line["dropped"]) == ("warning", 1)
    elif format_ == "logfmt":
        assert " dropped=1" in report


def test_a_handler_above_warning_reports_nothing(make: Make, gate: Gate) -> None:
    handler = make(gate, capacity=1)
    handler.setLevel(logging.ERROR)
    for _ in range(3):
        logging.getLogger("sink").error("failed")
    gate.opened.set()
    handler.close()

    assert gate.lines() == ["failed"]


def test_a_full_queue_blocks_if_that_was_chosen(make: Make, gate: Gate) -> None:
    handler = make(gate, capacity=2, overflow="block")
    before = stats()
    log(0, 1)
    done = threading.Event()

    def work() -> None:
        log(2, 3, 4)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert gate.waiting.wait(PATIENCE)
    assert stats()["sink_depth"] == 2
    assert not done.is_set()
    gate.opened.set()
    thread.join(PATIENCE)
    handler.flush()

    assert gate.lines() == ["0", "1", "2", "3", "4"]
    assert stats()["sink_dropped"] == before["sink_dropped"]


@pytest.mark.parametrize("error", [ValueError, structlog.DropEvent, RecursionError])
def test_a_formatter_that_raises_costs_the_line_and_is_reported_once(
    make: Make, lines: CapturedRequests, error: type[BaseException]
) -> None:
    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            if record.name == "sink":
                raise error
            return super().format(record)

    output = io.StringIO()
    handler = make(output)
    handler.setFormatter(Formatter())
    before = stats()
    log("x", "y")
    handler.close()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 2
    assert output.getvalue() == "Dropped 2 log lines\n"
    assert [line["error_type"].rpartition(".")[2] for line in lines.logs if "error_type" in line] == [error.__name__]


def test_an_interrupt_inside_the_formatter_goes_on(make: Make) -> None:
    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise KeyboardInterrupt

    make(io.StringIO()).setFormatter(Formatter())
    with pytest.raises(KeyboardInterrupt):
        log("x")


def test_every_request_is_written_or_dropped(make: Make, gate: Gate) -> None:
    """Promise 7, with other lines among those that are dropped."""
    handler = make(gate, capacity=5)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    logging.getLogger("sink").removeHandler(handler)
    before = counts()

    def view(request: Any) -> HttpResponse:
        logging.getLogger("site").info("inside")
        return HttpResponse()

    for _ in range(10):
        respond(view, RequestFactory().get("/"))
    gate.opened.set()
    root.removeHandler(handler)
    handler.close()

    changed = changes(before)
    kept = [line for line in gate.lines() if line.startswith("Request took")]
    assert changed == {"requests": 10, "written": 2, "dropped": 8, "sink_written": 5, "sink_dropped": 15}
    assert len(kept) == changed["written"]


def test_figures_outlive_their_sink() -> None:
    before = stats()
    handler = NonBlockingHandler(stream=io.StringIO())
    handler.handle(logging.makeLogRecord({"msg": "x"}))
    handler.close()
    del handler

    assert stats()["sink_written"] - before["sink_written"] == 1


# Pipes


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
    assert all(size <= select.PIPE_BUF and size % 301 == 0 for size in seen)
    assert max(seen) > select.PIPE_BUF - 301


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


def test_a_pipe_that_stays_full_does_not_keep_the_process_alive(
    make: Make, pipe: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stream = pipe
    os.set_blocking(stream.fileno(), False)
    monkeypatch.setattr(nonblocking, "DRAIN_SECONDS", 0.05)
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
    os.close(reading)
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


# Disks


@pytest.fixture(name="quick")
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonblocking, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(nonblocking, "_LONGEST_PAUSE", 0.002)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("to_file", [True, False])
def test_a_full_disk_is_tried_again_until_there_is_room(
    make: Make, tmp_path: Path, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch, to_file: bool
) -> None:
    """A line that was written by half goes on where it stopped."""
    path = tmp_path / "log"
    replace(monkeypatch, os, write=short_of_room(0, 0, 3, 0, 0))
    with path.open("ab") as stream:
        handler = make(file=path) if to_file else make(stream)
        log("first", "second")
        handler.flush()

        assert path.read_text() == "first\nsecond\n"
    assert [line["error_type"] for line in lines.logs if "error_type" in line] == ["OSError"]


@pytest.mark.usefixtures("quick")
def test_a_line_that_others_have_written_behind_is_begun_anew(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a full disk has cut cannot go on behind the line of another process."""
    path = tmp_path / "log"

    def write_too() -> None:
        with path.open("a") as other:
            other.write("other's\n")

    replace(monkeypatch, os, write=short_of_room(3, 0, meanwhile=write_too))
    handler = make(file=path)
    log("first", "second")
    handler.flush()

    assert path.read_text() == "firother's\nfirst\nsecond\n"


@pytest.mark.usefixtures("quick")
def test_a_disk_that_stays_full_does_not_keep_the_process_alive(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nonblocking, "DRAIN_SECONDS", 0.05)
    before = stats()
    with Path("/dev/full").open("w") as stream:
        handler = make(stream)
        log("x")
        handler.close()
        join_threads()

    assert stats()["sink_dropped"] - before["sink_dropped"] == 1
    assert "No space left on device" in capsys.readouterr().err


def test_the_pause_between_tries_doubles_up_to_five_seconds(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a write has succeeded, the next failure starts with the shortest pause again."""
    full, taken, pauses = [True] * 9 + [False] + [True] * 2, [], []

    class Disk(io.RawIOBase):
        def write(self, data: Any) -> int:
            if full and full.pop(0):
                raise OSError(errno.ENOSPC, "No space left on device")
            taken.append(bytes(data[:3]))
            return 3

    handler = make(Disk())
    wait = handler._work.wait

    def waiting(seconds: float | None = None) -> bool:
        if seconds is None:  # for the next line
            return wait()
        pauses.append(seconds)
        return True

    monkeypatch.setattr(handler._work, "wait", waiting)
    log("12345")
    handler.flush()

    assert taken == [b"123", b"45\n"]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 0.1, 0.2]


# Files


def test_a_file_is_appended_to_and_found_again_when_it_was_renamed_or_removed(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    handler = make(file=path)

    def step(message: str) -> None:
        log(message)
        handler.flush()

    step("one")
    path.rename(tmp_path / "log.1")
    step("two")
    path.unlink()
    step("three")

    assert (tmp_path / "log.1").read_text() == "before\none\n"
    assert path.read_text() == "three\n"


def test_a_file_that_is_copied_and_truncated_is_written_from_its_start(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    handler = make(file=path)
    log("one")
    handler.flush()
    os.truncate(path, 0)
    log("two")
    handler.flush()

    assert path.read_text() == "two\n"


@pytest.mark.usefixtures("quick")
def test_a_folder_that_is_missing_for_a_while_costs_no_line(
    make: Make, tmp_path: Path, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    handler = make(file=folder / "log")
    told = threading.Event()
    monkeypatch.setattr(nonblocking, "report_once", lambda *_: told.set())
    folder.rename(tmp_path / "away")
    log("one")
    assert told.wait(PATIENCE)
    folder.mkdir()
    handler.flush()

    assert (folder / "log").read_text() == "one\n"


def test_a_file_that_cannot_be_opened_is_said_when_logging_is_configured(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NonBlockingHandler(file=tmp_path / "nowhere" / "log")


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "new\n"), ("whole\n", "whole\nnew\n"), ('{"half', '{"half\nnew\n')],
    ids=["empty", "whole", "half"],
)
def test_a_new_line_starts_on_its_own_line(make: Make, tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "log"
    path.write_text(before)
    handler = make(file=path)
    assert path.read_text() == before
    log("new")
    handler.flush()

    assert path.read_text() == after


def test_only_one_of_two_ends_a_half_line(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("half")
    one, two = make(file=path), make(file=path)
    log("new")
    one.flush()
    two.flush()

    assert path.read_text() == "half\nnew\nnew\n"


def test_what_another_process_is_writing_just_now_is_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_text("ha")
    sink = file.FileSink(path)
    rests = ["lf", "\n"]

    def passing(seconds: float) -> None:
        with path.open("a") as file:
            file.write(rests.pop(0))

    replace(monkeypatch, time, sleep=passing)
    assert sink.renew()
    assert not sink.renew()
    sink.close()

    assert path.read_text() == "half\n"


def test_a_file_in_constant_use_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("x")
    sink = file.FileSink(path)

    def passing(seconds: float) -> None:
        with path.open("a") as file:
            file.write("x")

    replace(monkeypatch, time, sleep=passing)
    assert sink.renew()
    sink.close()

    assert set(path.read_text()) == {"x"}


@pytest.mark.parametrize("error", [BlockingIOError, OSError])
def test_a_lock_that_cannot_be_had_keeps_no_line_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    path = tmp_path / "log"
    path.write_text("half")
    sink = file.FileSink(path)

    def refuse(*_: Any) -> None:
        raise error

    replace(monkeypatch, fcntl, flock=refuse)
    replace(monkeypatch, time, sleep=lambda _: None)
    sink.renew()
    sink.close()

    assert path.read_text() == "half\n"


def test_a_file_that_may_not_be_read_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("half")
    sink = file.FileSink(path)

    def refuse(*_: Any) -> int:
        raise PermissionError

    replace(monkeypatch, os, open=refuse)
    assert sink.renew()
    sink.close()
    sink.close()

    assert path.read_text() == "half"


def test_a_line_begun_before_a_rotation_is_whole_in_the_new_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    handler = make(file=path)
    write = os.write
    state: list[int] = [len("first\nsec")]

    def writing(descriptor: int, data: Any) -> int:
        if state:
            written = write(descriptor, data[: state.pop()])
            path.rename(tmp_path / "log.1")
            return written
        return write(descriptor, data)

    replace(monkeypatch, os, write=writing)
    with handler._lock:
        log("first", "second", "third")
    handler.flush()

    assert (tmp_path / "log.1").read_text() == "first\nsec"
    assert path.read_text() == "second\nthird\n"


def test_a_file_may_be_a_fifo_that_nobody_reads_yet(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    handler = make(file=path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log("x")
    handler.flush()

    assert stat.S_ISFIFO(path.stat().st_mode)
    assert os.read(reading, 100) == b"x\n"
    os.close(reading)


# Processes


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


@pytest.fixture(name="on_sigterm")
def _on_sigterm() -> Iterator[Callable[[Any], None]]:
    kept = signal.getsignal(signal.SIGTERM)

    def handle(handler: Any) -> None:
        signal.signal(signal.SIGTERM, handler)

    yield handle
    signal.signal(signal.SIGTERM, kept)


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


# logging_config


@pytest.mark.parametrize("options", [{"stream": "stdout"}, {"stream": "stderr"}, {"file": "log"}])
@pytest.mark.usefixtures("on_sigterm")
def test_logging_config_takes_it_by_a_word(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = logging_config(nonblocking=True, **options)
    config["loggers"] = {}
    logging.config.dictConfig(config)
    (handler,) = [one for one in logging.getLogger().handlers if isinstance(one, NonBlockingHandler)]
    logging.getLogger("site").info("hello")
    handler.close()

    out, err = capfd.readouterr()
    texts = {"stdout": out, "stderr": err, "log": Path("log").read_text() if "file" in options else ""}
    (written,) = options.values()
    assert {name for name, text in texts.items() if "hello" in text} == {written}


def test_blocking_is_the_default() -> None:
    assert logging_config()["handlers"]["obs"]["class"] == "logging.StreamHandler"
