"""Exceptions on a line: type, message and trace; once per request, whole or cut, and never with local variables."""

from __future__ import annotations

import logging
import textwrap
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Get, Site
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from records import Interrupted

from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, TextFormatter
from obs_middleware.logs.line.exceptions import error_fields, exception_fields
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.event import Event
from obs_middleware.testing import CapturedRequests, parse_line

SECRET = "of a local variable"


def record_of(fail: Callable[[], Any]) -> logging.LogRecord:
    """Return a record with the exception that *fail* raises."""
    try:
        fail()
    except Exception as error:  # noqa: BLE001 -- whatever it raises
        return logging.LogRecord("site", 40, __file__, 1, "failed", None, (type(error), error, error.__traceback__))
    raise AssertionError("it did not raise")


def line(fail: Callable[[], Any], **options: Any) -> dict[str, Any]:
    return parse_line(JSONFormatter(**options).format(record_of(fail)))


def inner() -> None:
    local = SECRET
    raise ValueError("inner", len(local))


def chained() -> None:
    try:
        inner()
    except ValueError as error:
        raise KeyError("outer") from error


def in_context() -> None:
    try:
        inner()
    except ValueError:
        raise KeyError("outer")  # noqa: B904 -- the context is what is tested


def suppressed() -> None:
    try:
        inner()
    except ValueError:
        raise KeyError("outer") from None


def noted() -> None:
    error = ValueError("no good")
    error.add_note("of order 7\nof customer 4")
    raise error


def grouped() -> None:
    errors = []
    for fail in (inner, noted):
        try:
            fail()
        except ValueError as error:
            errors.append(error)
    raise ExceptionGroup("both", errors)


def in_a_ring() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def deep(number: int = 200) -> None:
    if number:
        return later(number)
    raise ValueError("bottom")


def later(number: int) -> None:
    deep(number - 1)


@pytest.mark.parametrize(
    ("fail", "kind", "message", "parts"),
    [
        (chained, "KeyError", "'outer'", ["ValueError: ('inner', 19)", "direct cause", "KeyError: 'outer'"]),
        (in_context, "KeyError", "'outer'", ["ValueError: ('inner', 19)", "During handling", "KeyError: 'outer'"]),
        (suppressed, "KeyError", "'outer'", ["Traceback", "KeyError: 'outer'"]),
        (noted, "ValueError", "no good", ["ValueError: no good\nof order 7\nof customer 4"]),
        (
            grouped,
            "ExceptionGroup",
            "both (2 sub-exceptions)",
            ["ExceptionGroup: both", "ValueError: ('inner', 19)", "ValueError: no good", "| of order 7"],
        ),
        (in_a_ring, "ValueError", "first", ["KeyError: 'second'", "ValueError: first"]),
    ],
)
def test_an_exception_is_told_with_its_chain_its_group_and_its_notes(
    fail: Callable[[], Any], kind: str, message: str, parts: list[str]
) -> None:
    found = line(fail)

    assert (found["error_type"], found["error_message"]) == (kind, message)
    position = 0
    for part in parts:
        position = found["stack_trace"].index(part, position)
    assert SECRET not in found["stack_trace"]


def test_what_was_suppressed_is_not_told() -> None:
    assert "inner" not in line(suppressed)["stack_trace"].replace("inner()", "")


def test_a_class_of_ones_own_has_its_module() -> None:
    assert line(lambda: HttpResponse().render())["error_type"] == "AttributeError"  # type: ignore[attr-defined]  # the mistake under test
    assert line(mistake)["error_type"] == f"{__name__}.Mistake"


class Mistake(Exception):
    pass


def mistake() -> None:
    raise Mistake


def test_a_long_trace_keeps_its_head_and_its_tail() -> None:
    found = line(deep)

    whole = "".join(traceback.format_exception(*record_of(deep).exc_info))  # type: ignore[misc]  # it has one
    assert len(whole) > 10_000
    assert len(found["stack_trace"].encode()) <= 8_000
    assert found["stack_trace"].startswith("Traceback (most recent call last):\n  File")
    assert found["stack_trace"].endswith("ValueError: bottom")
    assert "in record_of" in found["stack_trace"]
    assert "lines cut ..." in found["stack_trace"]
    assert (found["truncated"], found["truncated_fields"]) == (True, ["stack_trace"])


@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_failure_fits_into_a_pipe(schema: SchemaName) -> None:
    text = JSONFormatter(schema=schema, max_bytes=4_096).format(record_of(deep))

    assert len(text.encode()) < 4_096
    assert "ValueError: bottom" in text


def test_a_message_without_end_is_cut_at_its_end() -> None:
    def fail() -> None:
        raise ValueError("x" * 100_000)

    found = line(fail)

    assert found["error_message"] == "x" * 8_188 + "..."
    assert "in fail\n" in found["stack_trace"]
    assert len(found["stack_trace"]) <= 8_000


def test_the_exception_of_a_request_is_on_its_line_and_on_no_other(get: Get, lines: CapturedRequests) -> None:
    get("/fail/")

    (request_line,) = lines
    assert request_line["error_type"] == "ValueError"
    assert not [log for log in lines.logs if "stack_trace" in log]


def test_an_exception_in_a_stream_is_told_too(lines: CapturedRequests) -> None:
    site = Site("sync")

    def view(request: HttpRequest) -> StreamingHttpResponse:
        def body() -> Iterator[bytes]:
            yield b"one"
            inner()

        return StreamingHttpResponse(body())

    response = site.get(view)
    with pytest.raises(ValueError, match="inner"):
        list(response)

    (request_line,) = lines
    assert (request_line["outcome"], request_line["error_type"]) == ("stream_error", "ValueError")
    assert SECRET not in str(request_line)


@pytest.mark.parametrize("formatter", [TextFormatter, ConsoleFormatter])
@pytest.mark.parametrize("fail", [chained, grouped, noted])
def test_people_read_the_trace_below_the_line(formatter: Any, fail: Callable[[], Any]) -> None:
    record = record_of(fail)
    assert record.exc_info
    expected = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")

    head, _, trace = formatter().format(record).partition("\n")

    assert "failed" in head
    assert trace == textwrap.indent(expected, "  ", lambda _: True)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_the_process_is_raised_again(
    stop: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Event(0.0, "id", "GET", "/")
    event.error = Interrupted(stop)
    with pytest.raises(stop):
        error_fields(event)

    def interrupted(*_: Any) -> Any:
        raise stop

    monkeypatch.setattr("traceback.format_exception", interrupted)
    with pytest.raises(stop):
        exception_fields((ValueError, ValueError("no"), None))
