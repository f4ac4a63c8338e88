"""Formatters of other packages with our filter and our processor, and records that are not ordinary."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import Any

import ecs_logging
import pytest
import structlog
from conftest import Get, Site
from django.http import HttpRequest, HttpResponse
from loglines import written
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.msgspec import MsgspecFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from obs_middleware import bind
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.bound import bound_contextvars
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.processors import add_request_context
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.measure.ids import is_event_id
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")


def with_handler(formatter: logging.Formatter) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(RequestContextFilter())
    logging.getLogger().addHandler(handler)
    return stream


@pytest.mark.parametrize(
    "formatter", [JsonFormatter, OrjsonFormatter, MsgspecFormatter], ids=["json", "orjson", "msgspec"]
)
def test_python_json_logger_prints_the_fields(formatter: Any, get: Get, lines: CapturedRequests) -> None:
    stream = with_handler(formatter("{message}{levelname}{name}", style="{"))

    get("/talk/")

    before, _, line = (parse_line(text) for text in written(stream) if "cart" in text or "before" in text)
    assert line["message"] == lines[0]["message"]
    assert (line["status"], line["path"], line["cart"]) == (200, "/talk/", 7)
    assert line["request_id"] == before["request_id"] == lines[0]["request_id"]
    assert line["event_id"] == lines[0]["event_id"]


def test_ecs_logging_prints_the_fields(get: Get, lines: CapturedRequests) -> None:
    stream = with_handler(ecs_logging.StdlibFormatter())

    get("/talk/")

    line = json.loads(written(stream)[-1])
    assert (line["status"], line["request_id"]) == (200, lines[0]["request_id"])


def test_a_foreign_formatter_gets_the_exception_and_only_safe_values(
    get: Get, site: Site, lines: CapturedRequests
) -> None:
    stream = with_handler(JsonFormatter("{message}", style="{"))

    def view(request: HttpRequest) -> HttpResponse:
        bind(name="clash", nan=float("nan"), request=request)
        raise ValueError("no good")

    site.get(view, "/?token=secret")

    line = [parse_line(text) for text in written(stream)][-1]
    assert (line["app_name"], line["nan"], line["error_type"]) == ("clash", None, "ValueError")
    assert line["exc_info"].count("ValueError: no good") == 1
    assert "secret" not in json.dumps(line)


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


def test_structlog_offers_the_shape_that_is_relied_on() -> None:
    """A canary: the variables in this dict are asked for what is bound here, to save a scan on every line."""
    structlog.contextvars.bind_contextvars(canary=1)
    assert [variable.get() for variable in structlog.contextvars._CONTEXT_VARS.values()].count(1) == 1
    assert bound_contextvars() == {"canary": 1}
    structlog.contextvars.clear_contextvars()
    assert all(variable.get() is Ellipsis for variable in structlog.contextvars._CONTEXT_VARS.values())
    assert bound_contextvars() == {}


@pytest.mark.parametrize("schema", ["flat", "ecs"])
@pytest.mark.parametrize("given", ['a"b\n', "x" * 3_000, "", 7, None, {"a": 1}, "\ud800"], ids=repr)
def test_an_event_id_that_a_call_gives_is_renamed(given: Any, schema: SchemaName) -> None:
    """A store takes no second document of one id, so it has to be ours."""
    record = logging.makeLogRecord({"msg": "x", "event_id": given})

    first, second = (parse_line(JSONFormatter(schema=schema).format(record)) for _ in range(2))

    assert is_event_id(first["event_id"])
    assert first["event_id"] == second["event_id"]
    assert "app_event_id" in str(first)
    if schema == "flat" and type(given) is not str:
        assert first["app_event_id"] == given


@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_line_without_text_in_a_request_is_not_the_request_line(schema: SchemaName) -> None:
    """Before its end a request has no message, and None is None."""
    event = RequestEvent(0.0, "the-id", "GET", "/")
    current_event.set(event)
    try:
        JSONFormatter(schema=schema).format(logging.makeLogRecord({"msg": None}))
        event.status = 200
        event.route = "orders/"
    finally:
        current_event.set(None)

    assert (event.line()["status"], event.line()["route"]) == (200, "orders/")


@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_long_name_of_a_logger_is_cut_in_every_schema(schema: SchemaName) -> None:
    record = logging.makeLogRecord({"msg": "x", "name": "n" * 9_000})

    assert len(JSONFormatter(schema=schema).format(record)) < 3_000


def test_a_record_of_a_class_of_its_own_says_its_own_text() -> None:
    class Redacted(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 -- of the base class
            return "[redacted]"

    record = Redacted("shop", logging.INFO, __file__, 1, "secret", None, None)

    assert parse_line(JSONFormatter().format(record))["message"] == "[redacted]"


def test_a_record_keeps_its_event_id_whatever_else_it_lost() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    del record.processName

    assert len({parse_line(JSONFormatter().format(record))["event_id"] for _ in range(2)}) == 1


@pytest.mark.parametrize("name", ['a"b', "a\nb", "x" * 3_000, "\0", "\ud800", "é"], ids=repr)
def test_the_name_of_a_logger_is_a_text_in_the_line(name: str) -> None:
    chained = JSONFormatter(processors=[lambda logger, method_name, event_dict: event_dict])
    record = logging.makeLogRecord({"msg": "x", "name": name})
    formatter = JSONFormatter()
    shortcut = formatter._shortcut
    assert shortcut is not None

    for _ in range(2):
        assert parse_line(formatter.format(record)) == parse_line(chained.format(record))
    assert len(shortcut._names) <= 1


def test_names_of_loggers_without_end_are_not_all_remembered() -> None:
    formatter = JSONFormatter()
    shortcut = formatter._shortcut
    assert shortcut is not None
    for number in range(2_000):
        formatter.format(logging.makeLogRecord({"msg": "x", "name": f"logger{number}"}))

    assert len(shortcut._names) <= 1_000


def test_constants_are_texts_in_the_line() -> None:
    line = parse_line(
        JSONFormatter(service='a"b', version="\0", environment="x" * 3_000).format(logging.makeLogRecord({}))
    )

    assert (line["service"], line["version"], len(line["environment"])) == ('a"b', "\ufffd", 1_024)
