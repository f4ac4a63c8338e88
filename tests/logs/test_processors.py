"""`obs_middleware.logs.processors`: the fields of a request and of an exception, in formatters of structlog."""

from __future__ import annotations

import io
import logging

import pytest
import structlog
from conftest import Get, Site
from django.http import HttpRequest, HttpResponse
from loglines import written
from records import line_of

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.processors import add_request_context
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests, parse_line


def test_the_processor_works_in_structlogs_own_formatter(get: Get, lines: CapturedRequests) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[add_request_context, structlog.stdlib.add_log_level],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.getLogger().addHandler(handler)

    get("/fail/")

    line = [parse_line(text) for text in written(stream)][-1]
    assert (line["event"], line["status"], line["request_id"]) == (lines[0]["message"], 500, lines[0]["request_id"])
    assert "ValueError: no good" in line["exception"]


@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_line_without_text_in_a_request_is_not_the_request_line(schema: SchemaName) -> None:
    """Before its end a request has no message, and None is None."""
    event = Event(0.0, "the-id", "GET", "/")
    current_event.set(event)
    try:
        JSONFormatter(schema=schema).format(logging.makeLogRecord({"msg": None}))
        event.status = 200
        event.route = "orders/"
    finally:
        current_event.set(None)

    assert (event.line()["status"], event.line()["route"]) == (200, "orders/")


class Falsy(Exception):
    def __len__(self) -> int:
        return 0


def test_an_exception_that_counts_as_false_is_on_a_line_of_structlog() -> None:
    assert line_of(msg={"event": "x", "exc_info": Falsy("nothing")})["error_message"] == "nothing"


def test_an_exception_that_counts_as_false_is_on_the_request_line(lines: CapturedRequests) -> None:
    """Under WSGI; under ASGI Django never tells of it, because asgiref takes it for none when it changes the thread."""

    def view(request: HttpRequest) -> HttpResponse:
        raise Falsy("nothing")

    Site("sync").get(view)

    assert lines[0]["error_type"].endswith("Falsy")
    assert "raise Falsy" in lines[0]["stack_trace"]
