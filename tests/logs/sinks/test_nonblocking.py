"""`obs_middleware.logs.sinks.nonblocking`: no request waits, and no line is lost without being counted."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog
from conftest import respond
from counts import changes, counts
from django.http import HttpResponse
from django.test import RequestFactory
from queued import PATIENCE, Gate, Make, log

from obs_middleware import logging_config, stats
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.options import Format
from obs_middleware.logs.sinks import losses
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests

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
    current_event.set(Event(0.0, "id", "GET", "/"))
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
    monkeypatch.setattr(losses, "monotonic", lambda: now)
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
    assert logging_config()["handlers"]["obs"]["class"] == "obs_middleware.logs.handlers.LineStreamHandler"
