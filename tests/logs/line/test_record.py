"""`obs_middleware.logs.line.record`: attributes of a record that are fields, and those that are not."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from loglines import written
from records import Interrupted, line_of, record_of

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.record import unformatted
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.ids import is_event_id
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")
SCHEMAS = ["flat", "ecs", "otel", "datadog", "gcp"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_the_process_is_raised_again(stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        unformatted(record_of(msg="%s", args=(Interrupted(stop),)))


def test_an_applications_own_words_stay_on_the_line() -> None:
    line = line_of(request="purchase request 5", server_time="noon", color_message="red")

    assert (line["request"], line["server_time"], line["color_message"]) == ("purchase request 5", "noon", "red")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_django_and_uvicorn_add_for_themselves_is_left_out(schema: SchemaName) -> None:
    formatter = JSONFormatter(schema=schema)

    texts = [
        str(line_of(formatter, name="django.request", request=RequestFactory().get("/secret"))),
        str(line_of(formatter, name="django.server", request=object(), server_time="secret")),
        str(line_of(formatter, name="uvicorn.error", color_message="secret")),
    ]

    assert WSGIRequest.__name__ not in "".join(texts)
    assert "secret" not in "".join(texts)


@pytest.fixture(name="hostname")
def _hostname() -> Iterator[None]:
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.hostname = "web-1"
        return record

    logging.setLogRecordFactory(factory)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("hostname")
def test_what_a_record_factory_adds_is_on_every_line(lines: CapturedRequests) -> None:
    logger.warning("plain")
    logger.warning("with extra", extra={"order": 1})

    assert [line["hostname"] for line in lines.logs] == ["web-1", "web-1"]


FACTORY_BEFORE_US = """
import logging
def factory(*args, **kwargs):
    record = logging.LogRecord(*args, **kwargs)
    record.hostname = "web-1"
    return record
logging.setLogRecordFactory(factory)
logging.addLevelName(30, "WARN")
import logging.config
from obs_middleware import logging_config
logging.config.dictConfig(logging_config(schema="otel"))
logging.getLogger("site").warning("plain")
"""


def test_neither_a_factory_nor_names_of_levels_from_before_the_import_change_a_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FACTORY_BEFORE_US], capture_output=True, text=True, check=True, env={"PATH": ""}
    )

    line = parse_line(ran.stdout)
    assert line["attributes"]["app.hostname"] == "web-1"
    assert (line["severity_text"], line["severity_number"]) == ("WARNING", 13)


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


def test_every_event_id_is_different(configured: Any) -> None:
    stream = configured()
    for _ in range(10):
        logger.info("x")

    assert len({parse_line(line)["event_id"] for line in written(stream)}) == 10


def test_two_handlers_write_the_same_line_under_one_id() -> None:
    record = logging.makeLogRecord({"msg": "x"})

    first, second = (json.loads(JSONFormatter().format(record)) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("name", [None, 7, ["site"], b"site"], ids=repr)
def test_a_record_whose_logger_has_no_text_as_name_keeps_its_extra(name: Any) -> None:
    """A record from another process may have anything there."""
    record = logging.makeLogRecord({"msg": "x", "name": name, "order": 2})

    fields = parse_line(JSONFormatter(processors=[lambda logger, method_name, event_dict: event_dict]).format(record))

    assert fields["order"] == 2
    assert "format_error" not in fields
