"""Values that others put on a record or bind beside it: our names keep their meaning, and nothing is lost."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from conftest import Site
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pythonjsonlogger.json import JsonFormatter

from obs_middleware import bind, logging_config, structlog_config
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")
SCHEMAS = ["flat", "ecs", "otel", "datadog", "gcp"]


def record_of(**attributes: Any) -> logging.LogRecord:
    """Return a record as a logger makes it; one without its level would never take the formatter's shortcut."""
    return logging.makeLogRecord({"msg": "hi", "name": "site", "levelno": 20, "levelname": "INFO", **attributes})


def line_of(formatter: logging.Formatter | None = None, **attributes: Any) -> dict[str, Any]:
    return parse_line((formatter or JSONFormatter()).format(record_of(**attributes)))


# Names


def test_what_structlog_has_bound_cannot_take_a_name_of_ours() -> None:
    structlog.contextvars.bind_contextvars(outcome="won", status=5, version="v9", level="gold", cart="C-1")

    line = line_of(JSONFormatter(version="1"))

    assert (line["app_outcome"], line["app_status"], line["app_version"], line["app_level"]) == ("won", 5, "v9", "gold")
    assert (line["version"], line["level"], line["cart"]) == ("1", "info", "C-1")
    assert "status" not in line


def test_what_structlog_has_bound_makes_no_request_line_in_a_schema() -> None:
    structlog.contextvars.bind_contextvars(outcome="ok", status=200)

    line = line_of(JSONFormatter(schema="ecs"))

    assert "http" not in line
    assert "action" not in line["event"]


def test_what_structlog_has_bound_is_once_on_its_own_lines(lines: CapturedRequests) -> None:
    structlog.configure(**structlog_config())
    structlog.contextvars.bind_contextvars(status=5)

    structlog.get_logger("site").warning("x")

    (line,) = lines.logs
    assert {name: value for name, value in line.items() if "status" in name} == {"app_status": 5}


@pytest.mark.parametrize("fails", [False, True])
def test_the_context_filter_of_another_handler_leaves_no_copy_on_our_line(site: Site, fails: bool) -> None:
    """It puts the fields on the record, which all handlers share."""
    ours: list[dict[str, Any]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ours.append(parse_line(self.format(record)))

    first, second = Collect(), Collect()
    first.setFormatter(JsonFormatter())
    first.addFilter(RequestContextFilter())
    second.setFormatter(JSONFormatter())

    def view(request: HttpRequest) -> HttpResponse:
        bind(cart_id="C-1")
        logger.warning("x", extra={"status": "paid"})
        if fails:
            raise ValueError("no")
        return HttpResponse()

    logging.getLogger().handlers[:] = [first, second]
    site.get(view)

    _, inside, _, request_line = [line for line in ours if line.get("message") == "x" or "Request took" in str(line)]
    assert (inside["cart_id"], inside["app_status"]) == ("C-1", "paid")
    assert request_line["status"] == (500 if fails else 200)
    assert [name for name in request_line if name.startswith("app_")] == []
    assert [name for name in inside if name.startswith("app_")] == ["app_status"]


# Values that are the application's, though others use the same names


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


@pytest.mark.parametrize("stack", ["production", {"a": 1}, ["web"]], ids=str)
def test_a_stack_that_is_none_of_code_is_the_applications(stack: Any) -> None:
    line = line_of(msg={"event": "deploy", "stack": stack})

    assert line["stack"] == stack
    assert "stack_info" not in line


def test_the_stack_that_structlog_makes_is_stack_info(lines: CapturedRequests) -> None:
    structlog.configure(**structlog_config())

    structlog.get_logger("site").warning("x", stack_info=True)

    assert lines.logs[0]["stack_info"].startswith("Stack (most recent call last)")
    assert "stack" not in lines.logs[0]


def test_a_wish_for_a_stack_that_nobody_made_is_no_text_of_one() -> None:
    line = line_of(msg={"event": "x", "stack_info": True})

    assert "stack_info" not in line
    assert line["app_stack_info"] is True


def test_structlogs_own_processors_leave_no_second_level() -> None:
    line = line_of(msg={"event": "x", "level": "info", "logger": "site"})

    assert not any(name.startswith("app_") for name in line)


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


# Exceptions


class Falsy(Exception):
    def __len__(self) -> int:
        return 0


def test_an_exception_that_counts_as_false_is_on_the_request_line(lines: CapturedRequests) -> None:
    """Under WSGI; under ASGI Django never tells of it, because asgiref takes it for none when it changes the thread."""

    def view(request: HttpRequest) -> HttpResponse:
        raise Falsy("nothing")

    Site("sync").get(view)

    assert lines[0]["error_type"].endswith("Falsy")
    assert "raise Falsy" in lines[0]["stack_trace"]


def test_an_exception_that_counts_as_false_is_on_a_line_of_structlog() -> None:
    assert line_of(msg={"event": "x", "exc_info": Falsy("nothing")})["error_message"] == "nothing"


@pytest.mark.parametrize("formatter", [JSONFormatter(), LogfmtFormatter(), TextFormatter()], ids=type)
def test_an_exception_that_was_formatted_in_another_process_is_on_the_line(formatter: logging.Formatter) -> None:
    record = record_of(exc_text="Traceback\nValueError: far away")

    assert "far away" in formatter.format(record)


def _raising(*_: Any) -> Any:
    raise RuntimeError("in the processor")


def test_a_processor_that_raises_costs_no_exception(lines: CapturedRequests) -> None:
    """Neither that of the line, nor its own, which is reported through the same formatter."""
    handler = logging.StreamHandler()
    written: list[dict[str, Any]] = []
    handler.setFormatter(JSONFormatter(processors=[_raising]))
    handler.emit = lambda record: written.append(parse_line(handler.format(record)))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)

    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logger.exception("bad")

    reported, line = written
    assert (line["error_type"], line["format_error"]) == ("ZeroDivisionError", "RuntimeError")
    assert "by zero" in line["stack_trace"]
    assert (reported["error_type"], reported["error_message"]) == ("RuntimeError", "in the processor")


def test_a_processor_that_raises_costs_no_exception_of_a_request(site: Site) -> None:
    written: list[dict[str, Any]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(parse_line(self.format(record)))

    handler = Collect()
    handler.setFormatter(JSONFormatter(processors=[_raising]))
    logging.getLogger().handlers[:] = [handler]

    def view(request: HttpRequest) -> HttpResponse:
        raise ValueError("no good")

    site.get(view)

    line = next(line for line in written if "Request took" in line["message"])
    assert (line["status"], line["error_type"], line["error_message"]) == (500, "ValueError", "no good")


def test_arguments_that_do_not_fit_cost_no_exception() -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        line = line_of(msg="no stock for %d", args=("C-1",), exc_info=sys.exc_info())

    assert (line["error_type"], line["format_error"]) == ("ZeroDivisionError", "TypeError")


# What people see


@pytest.mark.parametrize("name", ["stack", "exception"])
@pytest.mark.parametrize("value", [["web"], {"a": 1}, 5, "text"], ids=str)
def test_the_console_shows_what_it_would_take_for_a_trace(name: str, value: Any) -> None:
    text = ConsoleFormatter(stream=None).format(logging.makeLogRecord({"msg": "hi", name: value, "order": 7}))

    assert f"app_{name}=" in text
    assert "order=7" in text


def test_the_console_format_in_a_file_has_neither_colour_nor_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    config = logging_config(format="console", file="app.log")["formatters"]["obs"]
    del config["()"]

    text = ConsoleFormatter(**config).format(logging.makeLogRecord({"msg": "x" * 300, "order": 7}))

    assert "\x1b" not in text
    assert "\n" not in text


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize(
    "unseen", ["\x7f", "\x9b2J", "\u2028", "\u2029", "\x85", "\u202e", "\u2066", "\u200f"], ids=ascii
)
@pytest.mark.parametrize("extra", [{}, {"own": "x"}], ids=["shortcut", "chain"])
def test_json_spells_out_what_moves_a_cursor_or_ends_a_line_elsewhere(
    schema: SchemaName, unseen: str, extra: dict[str, Any]
) -> None:
    text = JSONFormatter(schema=schema).format(record_of(msg=f"a{unseen}b", **extra))

    assert text.splitlines() == [text]
    assert not any(character in text for character in unseen if not character.isalnum())
    line = parse_line(text)
    assert (line["body"] if schema == "otel" else line["message"]) == f"a{unseen}b"


@pytest.mark.parametrize("format_", ["json", "logfmt", "text", "console"])
@pytest.mark.parametrize("nonblocking", [False, True])
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_stream_that_does_not_take_every_character_gets_the_line(
    format_: str, nonblocking: bool, encoding: str
) -> None:
    program = (
        "import logging, logging.config; from obs_middleware import logging_config\n"
        f"logging.config.dictConfig(logging_config(format={format_!r}, nonblocking={nonblocking}))\n"
        "logging.getLogger('site').info('Zo\\u00eb \\u20ac \\U0001f600 paid')"
    )

    ran = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": encoding, "PATH": ""},
    )

    assert ran.stderr == b""
    assert b"Zo\\u00eb \\u20ac \\ud83d\\ude00 paid" in ran.stdout
    if format_ == "json":
        assert parse_line(ran.stdout.decode("ascii"))["message"] == "Zoë € \U0001f600 paid"


def test_a_level_alone_leaves_django_its_mail() -> None:
    loggers = logging_config(loggers={"django": "WARNING", "uvicorn.access": "INFO"})["loggers"]

    assert loggers["django"] == {"handlers": ["mail_admins"], "level": "WARNING", "propagate": True}
    assert loggers["uvicorn.access"] == {"level": "INFO"}


@pytest.mark.parametrize("unseen", ["\u2028", "\x9b", "\u202e"], ids=ascii)
def test_a_text_that_must_shrink_to_its_core_does(unseen: str, lines: CapturedRequests) -> None:
    formatter = TextFormatter(max_bytes=2_048)
    record = logging.makeLogRecord({"msg": unseen * 4_000, "name": unseen * 3_000})

    text = formatter.format(record)

    assert len(text.encode()) < 2_048
    assert lines.logs == []  # no failure is reported
