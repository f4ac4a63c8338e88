"""`obs_middleware.logs.chain`: what is on a record, and a line for a record whose processor or text fails."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import structlog
from conftest import Site, respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from hostile import (
    Hashless,
    Nameless,
    Raising,
    RaisingClass,
    RaisingGet,
    RaisingIteration,
    lazy_user,
)
from loglines import written
from records import line_of, record_of

from obs_middleware import structlog_config
from obs_middleware.__main__ import main
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")


def test_arguments_that_do_not_fit_do_not_lose_the_line(configured: Any) -> None:
    stream = configured()
    logger.info("%d items", "many")

    first, second = (parse_line(line) for line in written(stream))
    assert {first["message"], second["message"]} >= {"%d items"}
    assert {first["logger"], second["logger"]} == {"site", "obs_middleware"}


def dropping(_: Any, __: str, event_dict: Any) -> Any:
    raise structlog.DropEvent


def adding(_: Any, __: str, event_dict: Any) -> Any:
    event_dict["added"] = event_dict.get("request_id") is not None
    return event_dict


def test_processors_of_the_user_run_with_the_context(lines: CapturedRequests) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter(processors=[adding]))
    logging.getLogger().addHandler(handler)

    respond(lambda request: HttpResponse(), RequestFactory().get("/"))

    assert parse_line(stream.getvalue())["added"] is True


@pytest.mark.parametrize("formatter", [JSONFormatter, LogfmtFormatter, TextFormatter, ConsoleFormatter])
def test_a_processor_that_raises_costs_the_fields_and_not_the_line(formatter: Any, lines: CapturedRequests) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(processors=[dropping]))
    logging.getLogger().addHandler(handler)

    response = respond(lambda request: HttpResponse(), RequestFactory().get("/"))
    respond(lambda request: HttpResponse(), RequestFactory().get("/"))

    assert response.status_code == 200
    # A row of the console begins with the method.
    assert len(re.findall(r"Request took|GET +/", stream.getvalue())) == 2
    assert "after_response" not in stream.getvalue().splitlines()[-1]
    assert [line["logger"] for line in lines.logs] == ["obs_middleware"]


def test_a_processor_may_be_a_dotted_path() -> None:
    formatter = JSONFormatter(processors=["structlog.processors.CallsiteParameterAdder"])

    assert formatter.format(logging.makeLogRecord({"msg": "x"}))


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


@pytest.mark.parametrize("formatter", [JSONFormatter(), LogfmtFormatter(), TextFormatter()], ids=type)
def test_an_exception_that_was_formatted_in_another_process_is_on_the_line(formatter: logging.Formatter) -> None:
    record = record_of(exc_text="Traceback\nValueError: far away")

    assert "far away" in formatter.format(record)


def raising(*_: Any) -> Any:
    raise RuntimeError("in the processor")


def test_a_processor_that_raises_costs_no_exception(lines: CapturedRequests) -> None:
    """Neither that of the line, nor its own, which is reported through the same formatter."""
    handler = logging.StreamHandler()
    written: list[dict[str, Any]] = []
    handler.setFormatter(JSONFormatter(processors=[raising]))
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
    handler.setFormatter(JSONFormatter(processors=[raising]))
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


def nonsense(_: Any, __: str, event_dict: Any) -> Any:
    return 7


@pytest.mark.parametrize("processor", [raising, nonsense])
@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_line_that_cannot_be_written_whole_has_its_core_and_says_so(
    schema: SchemaName, processor: Any, lines: CapturedRequests
) -> None:
    formatter = JSONFormatter(schema=schema, service="shop", processors=[processor])
    event = Event(0.0, "the-id", "GET", "/orders/7/")
    event.message, event.status = "Request took 0.1234 seconds", 200
    event.route = "orders/<int:number>/"
    event.say().bound["tenant"] = "t1"
    current_event.set(event)

    text = formatter.format(logging.LogRecord("root", 20, __file__, 1, event.message, None, None))

    parse_line(text)
    for part in ("Request took 0.1234 seconds", "the-id", "GET", "/orders/7/", "orders/<int:number>/", "200", "shop"):
        assert part in text
    assert f'format_error":"{"RuntimeError" if processor is raising else "TypeError"}"' in text
    assert "tenant" not in text


def test_the_secrets_of_a_dict_that_was_logged_stay_hidden_when_a_processor_fails(lines: CapturedRequests) -> None:
    formatter = JSONFormatter(processors=[raising])

    line = parse_line(formatter.format(logging.makeLogRecord({"msg": {"event": "login", "password": "s3cret"}})))

    assert (line["message"], line["format_error"]) == ("login", "RuntimeError")
    assert "s3cret" not in str(line)


@pytest.mark.parametrize(
    "make",
    [Raising, RaisingClass, lazy_user, lambda: RaisingIteration([1]), Nameless, Hashless, lambda: RaisingGet(a=1)],
)
def test_a_message_that_is_no_text_does_not_lose_the_line(make: Callable[[], Any], lines: CapturedRequests) -> None:
    """The logging module itself would call its ``__str__``, so what that does is the caller's to know."""
    line = parse_line(JSONFormatter().format(logging.makeLogRecord({"msg": make(), "args": None})))

    assert line["event_id"]
    assert isinstance(line["message"], str)


# Names of a request, outside one

WORKER = {"request_id": "r-17", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "method": "POST", "path": "/pay/"}


def log_extra(fields: dict[str, Any]) -> None:
    logging.getLogger("mail").warning("sent", extra=fields)


def log_contextvars(fields: dict[str, Any]) -> None:
    structlog.contextvars.bind_contextvars(**fields)
    logging.getLogger("mail").warning("sent")


def log_structlog(fields: dict[str, Any]) -> None:
    structlog.configure(**structlog_config())
    structlog.get_logger("mail").warning("sent", **fields)


def log_structlog_contextvars(fields: dict[str, Any]) -> None:
    structlog.configure(**structlog_config())
    structlog.contextvars.bind_contextvars(**fields)
    structlog.get_logger("mail").warning("sent")


WAYS = [log_extra, log_contextvars, log_structlog, log_structlog_contextvars]


@pytest.mark.parametrize("log", WAYS)
def test_names_of_a_request_are_kept_outside_a_request(configured: Any, log: Callable[..., None]) -> None:
    stream = configured()

    log(WORKER | {"status": "paid"})

    line = parse_line(stream.getvalue())
    assert {name: line[name] for name in WORKER} == WORKER
    assert line["app_status"] == "paid"


@pytest.mark.parametrize("log", WAYS)
def test_names_of_a_request_are_renamed_inside_a_request(configured: Any, log: Callable[..., None]) -> None:
    stream = configured()
    current_event.set(Event(0.0, "the-id", "GET", "/"))

    log({"request_id": "r-17"})

    line = parse_line(stream.getvalue())
    assert (line["request_id"], line["app_request_id"]) == ("the-id", "r-17")


@pytest.mark.parametrize("log", WAYS)
def test_a_value_that_no_request_has_is_renamed_everywhere(configured: Any, log: Callable[..., None]) -> None:
    """A store expects a text under the name."""
    stream = configured()

    log({"request_id": 17})

    line = parse_line(stream.getvalue())
    assert ("request_id" in line, line["app_request_id"]) == (False, 17)


@pytest.mark.parametrize("schema", get_args(SchemaName))
def test_the_command_finds_the_lines_of_work_outside_a_request(
    configured: Any, schema: SchemaName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = configured(schema=schema)
    log_extra({"request_id": "r-17"})
    (tmp_path / "worker.log").write_text(stream.getvalue())

    assert main(["request", "r-17", str(tmp_path / "worker.log")]) == 0
    assert "sent" in capsys.readouterr().out
