"""`obs_middleware.logs.sinks.line_stream`: each line is written to the stream, or counted as dropped."""

from __future__ import annotations

import io
import logging
import threading

import pytest
from conftest import respond
from counts import changes, counts
from django.http import HttpResponse
from django.test import RequestFactory

from obs_middleware.logs.handlers import LineStreamHandler


class Stream(io.StringIO):
    """A stream that raises *error* while there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("closed")])
def test_what_a_stream_does_not_take_is_dropped(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream()
    handler = LineStreamHandler(stream)
    before = counts()
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    for failing in (False, True, False):
        stream.error = error if failing else None
        for _ in range(3):
            respond(lambda _: HttpResponse(), RequestFactory().get("/"))
    root.removeHandler(handler)
    handler.close()

    # The report of the failure is dropped too.
    assert changes(before) == {"requests": 9, "written": 6, "dropped": 3, "sink_written": 6, "sink_dropped": 4}
    assert stream.getvalue().count("Request took") == 6
    assert stream.getvalue().count("Dropped 4 log lines") == 1
    assert capsys.readouterr().err.count("cannot write the log to Stream") == 1


def test_a_line_for_a_stream_that_cannot_be_formatted_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream()
    handler = LineStreamHandler(stream)
    before = counts()
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    handler.close()

    assert changes(before) == {"sink_dropped": 1}
    assert stream.getvalue() == "Dropped 1 log lines\n"
    assert "Logging error" in capsys.readouterr().err


def test_a_stream_handler_lets_interrupts_and_endless_recursion_pass() -> None:
    stream = Stream()
    handler = LineStreamHandler(stream)
    for error in (KeyboardInterrupt(), RecursionError()):
        stream.error = error
        with pytest.raises(type(error)):
            handler.handle(logging.makeLogRecord({"msg": "x"}))


def test_a_stream_can_be_exchanged_and_needs_only_write() -> None:
    class Bare:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    first, second = io.StringIO(), Bare()
    handler = LineStreamHandler(first)
    handler.handle(logging.makeLogRecord({"msg": "one"}))
    handler.setStream(second)
    handler.handle(logging.makeLogRecord({"msg": "two"}))

    assert (first.getvalue(), second.text) == ("one\n", "two\n")


def test_lines_of_many_threads_in_a_stream_are_whole() -> None:
    stream = io.StringIO()
    handler = LineStreamHandler(stream)

    def write(text: str) -> None:
        for _ in range(200):
            handler.handle(logging.makeLogRecord({"msg": text * 99}))

    threads = [threading.Thread(target=write, args=[text]) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(stream.getvalue().splitlines()) == sorted(text * 99 for text in "abcd" for _ in range(200))
