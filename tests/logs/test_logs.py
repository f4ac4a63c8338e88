"""`obs_middleware.logs`: `LOGGING`, the four formats, the filters; one request gives one line."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import django
import ecs_logging
import pytest
import structlog
from conftest import Get, Site, respond
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.msgspec import MsgspecFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from obs_middleware import bind, logging_config, structlog_config
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.logs.line.bound import bound_contextvars
from obs_middleware.logs.line.escape import escape_controls
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.processors import add_request_context
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.measure.ids import is_event_id
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")
WITHOUT_SETTINGS = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
HOSTILE = "a\nb\r\x1b[2J\u2028\x00\x85\u202e%s {} \" '"


@pytest.fixture(name="configured")
def _configured() -> Iterator[Any]:
    """Apply a LOGGING dict, and give the text that it wrote; everything is put back afterwards."""
    names = ("django", "django.server", "uvicorn.access", "gunicorn.access", "granian.access")
    kept = {name: (log := logging.getLogger(name), log.handlers[:], log.level, log.propagate) for name in names}

    def configure(**options: Any) -> io.StringIO:
        config = logging_config(**options)
        logging.config.dictConfig(config)
        stream = io.StringIO()
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        return stream

    yield configure
    for log, them, level, propagate in kept.values():
        log.handlers[:], log.level, log.propagate = them, level, propagate


def written(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


# logging_config


@pytest.mark.parametrize("format_", ["json", "console", "logfmt", "text"])
@pytest.mark.parametrize("url", ["/ok/", "/nowhere/", "/fail/", "/fail/403/", "/redirect/", "/unavailable/"])
def test_one_request_is_one_line_in_every_format(configured: Any, get: Get, format_: str, url: str) -> None:
    stream = configured(format=format_)

    get(url)

    text = stream.getvalue()
    assert text.count("Request took") == 1
    assert text.endswith("\n")
    if url != "/fail/" or format_ in {"json", "logfmt"}:
        assert len(written(stream)) == 1
    else:
        assert text.count("ValueError: no good") == 1


def test_the_json_line_is_strict_and_in_order(configured: Any, get: Get) -> None:
    stream = configured(service="shop", version="1.2", environment="test")

    get("/ok/")

    line = parse_line(stream.getvalue())
    assert list(line)[:5] == ["timestamp", "level", "logger", "message", "event_id"]
    assert (line["service"], line["version"], line["environment"]) == ("shop", "1.2", "test")
    assert set(line) <= set(FIELDS)


@pytest.mark.parametrize(
    ("created", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (0.9999994, "1970-01-01T00:00:00.999999Z"),
        (0.9999995, "1970-01-01T00:00:01.000000Z"),
        (0.99999951, "1970-01-01T00:00:01.000000Z"),
        (-0.25, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000.9999998, "2023-11-14T22:13:21.000000Z"),
        (float("nan"), "1970-01-01T00:00:00.000000Z"),
        (float("inf"), "1970-01-01T00:00:00.000000Z"),
        (1e300, "1970-01-01T00:00:00.000000Z"),
        (9_223_372_035.5, "2262-04-11T23:47:15.500000Z"),
        (9_223_372_036.5, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_a_timestamp_is_that_of_the_nearest_microsecond(created: float, text: str) -> None:
    timestamps = Timestamps()

    assert [timestamps.text(created) for _ in range(2)] == [text] * 2
    assert timestamps.text(1_700_000_000.25) == "2023-11-14T22:13:20.250000Z"
    assert timestamps.text(created) == text


def test_timestamps_are_in_order() -> None:
    timestamps = Timestamps()
    moments = [1_700_000_000 + number / 7_000_003 for number in range(14_000_000, 7_000_000, -997)]

    texts = [timestamps.text(moment) for moment in moments]

    assert texts == sorted(texts, reverse=True)


def test_a_timestamp_is_rfc_3339_with_six_digits_in_utc() -> None:
    record = logging.makeLogRecord({"msg": "x", "created": 1_700_000_000.000001})

    assert json.loads(JSONFormatter().format(record))["timestamp"] == "2023-11-14T22:13:20.000001Z"


def test_every_event_id_is_different(configured: Any) -> None:
    stream = configured()
    for _ in range(10):
        logger.info("x")

    assert len({parse_line(line)["event_id"] for line in written(stream)}) == 10


def test_two_handlers_write_the_same_line_under_one_id() -> None:
    record = logging.makeLogRecord({"msg": "x"})

    first, second = (json.loads(JSONFormatter().format(record)) for _ in range(2))

    assert first == second


def test_mail_to_the_administrators_goes_out(configured: Any, get: Get) -> None:
    configured()
    address = "admin@example.com"
    # Django 6.0 deprecated the pairs that 5.2 asks for.
    with override_settings(ADMINS=[address] if django.VERSION >= (6, 0) else [("Admin", address)]):
        get("/fail/")

    (message,) = mail.outbox
    assert message.subject.endswith("Internal Server Error: /fail/")


def test_a_django_record_without_our_request_passes(configured: Any) -> None:
    """A query string that is not UTF-8, for example, never reaches the middleware: its record must not be lost."""
    stream = configured()

    logging.getLogger("django.request").warning("Bad Request", extra={"status_code": 400})
    logging.getLogger("django.request").warning("Not ours", extra={"request": RequestFactory().get("/?token=secret")})

    assert [parse_line(line)["message"] for line in written(stream)] == ["Bad Request", "Not ours"]
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize("name", ["django.server", "uvicorn.access", "gunicorn.access", "granian.access"])
def test_access_logs_of_servers_are_silent(configured: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = configured()
    logging.getLogger(name).warning("GET / 404")

    assert stream.getvalue() == ""
    assert capsys.readouterr().err == ""


def test_access_logs_can_be_left_as_they_are() -> None:
    assert "uvicorn.access" not in logging_config(quiet_servers=False)["loggers"]


def test_further_loggers_are_added() -> None:
    config = logging_config(loggers={"noisy": "ERROR", "own": {"level": "DEBUG", "propagate": False}})

    assert config["loggers"]["noisy"] == {"level": "ERROR"}
    assert config["loggers"]["own"] == {"level": "DEBUG", "propagate": False}


def test_a_file_is_appended_to_and_opened_again_after_rotation(configured: Any, tmp_path: Any) -> None:
    path = tmp_path / "app.json"
    logging.config.dictConfig(logging_config(file=path))
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, LineFileHandler)]

    logger.info("one")
    path.rename(tmp_path / "app.json.1")
    logger.info("two")
    handler.close()

    assert parse_line((tmp_path / "app.json.1").read_text())["message"] == "one"
    assert parse_line(path.read_text())["message"] == "two"


def test_a_line_into_a_fifo_is_as_short_as_into_a_pipe(tmp_path: Any) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    assert logging_config(file=fifo)["formatters"]["obs"]["max_bytes"] == 4_096
    assert "max_bytes" not in logging_config(file=fifo, format="console")["formatters"]["obs"]
    assert "max_bytes" not in logging_config(file=tmp_path / "file")["formatters"]["obs"]


@pytest.mark.parametrize("option", ["schema", "format", "stream"])
def test_a_word_that_does_not_exist_is_refused_with_those_that_do(option: str) -> None:
    with pytest.raises(ValueError, match=rf"logging_config\({option}='nonsense'\): expected one of "):
        logging_config(**{option: "nonsense"})  # type: ignore[arg-type]  # the mistake under test


def test_the_formatter_refuses_an_unknown_schema() -> None:
    with pytest.raises(ValueError, match="expected"):
        JSONFormatter(schema="nonsense")  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("format_", ["json", "console", "logfmt", "text"])
def test_the_dict_is_accepted_in_a_process_without_django_settings(format_: str) -> None:
    code = (
        "import logging, logging.config\nfrom obs_middleware import logging_config\n"
        f"logging.config.dictConfig(logging_config(format={format_!r}))\nlogging.info('hello')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=WITHOUT_SETTINGS
    )

    assert "hello" in result.stdout
    assert result.stderr == ""


def test_importing_us_reads_no_settings_and_configures_nothing() -> None:
    code = (
        "import logging\nfrom obs_middleware import logging_config\nlogging_config()\n"
        "from django.conf import settings\nassert not settings.configured\nassert not logging.getLogger().handlers"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, env=WITHOUT_SETTINGS)


# Records into lines


def test_extra_becomes_fields_and_cannot_take_a_name_of_ours(configured: Any) -> None:
    stream = configured()
    logger.info(
        "x", extra={"order": 5, "status": "paid", "event": "e", "level": "gold", "timestamp": 0, "request": object()}
    )

    line = parse_line(stream.getvalue())
    assert (line["order"], line["app_status"], line["app_event"]) == (5, "paid", "e")
    assert (line["app_level"], line["level"], line["app_timestamp"]) == ("gold", "info", 0)
    assert "request" not in line


def test_an_exception_becomes_three_fields(configured: Any) -> None:
    stream = configured()
    try:
        raise ValueError("inner")
    except ValueError as error:
        try:
            raise KeyError("outer") from error
        except KeyError:
            logger.exception("failed")

    line = parse_line(stream.getvalue())
    assert (line["level"], line["error_type"], line["error_message"]) == ("error", "KeyError", "'outer'")
    assert "ValueError: inner" in line["stack_trace"]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_that_cannot_be_printed_still_gives_its_type(configured: Any) -> None:
    stream = configured()
    try:
        raise Unprintable
    except Unprintable:
        logger.exception("failed")

    assert parse_line(stream.getvalue())["error_type"].endswith("Unprintable")


def test_structlog_exceptions_and_levels_come_out_alike(configured: Any) -> None:
    stream = configured()
    structlog.configure(**structlog_config())
    log = structlog.get_logger("site")
    try:
        raise ValueError("no good")
    except ValueError:
        log.exception("failed", order=5)
    log.debug("not written")
    log.critical("end", stack_info=True)

    failed, end = (parse_line(line) for line in written(stream))
    assert (failed["level"], failed["error_type"], failed["order"]) == ("error", "ValueError", 5)
    assert failed["stack_trace"].startswith("Traceback")
    assert (end["level"], "Stack" in end["stack_info"]) == ("critical", True)


def test_a_dict_as_message_is_taken_as_fields(configured: Any) -> None:
    stream = configured()
    logger.info({"event": "paid", "amount": 3})

    line = parse_line(stream.getvalue())
    assert (line["message"], line["amount"]) == ("paid", 3)


def test_arguments_that_do_not_fit_do_not_lose_the_line(configured: Any) -> None:
    stream = configured()
    logger.info("%d items", "many")

    first, second = (parse_line(line) for line in written(stream))
    assert {first["message"], second["message"]} >= {"%d items"}
    assert {first["logger"], second["logger"]} == {"site", "obs_middleware"}


def raising(_: Any, __: str, event_dict: Any) -> Any:
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
    handler.setFormatter(formatter(processors=[raising]))
    logging.getLogger().addHandler(handler)

    response = respond(lambda request: HttpResponse(), RequestFactory().get("/"))
    respond(lambda request: HttpResponse(), RequestFactory().get("/"))

    assert response.status_code == 200
    assert stream.getvalue().count("Request took") == 2
    assert [line["logger"] for line in lines.logs] == ["obs_middleware"]


def test_a_processor_may_be_a_dotted_path() -> None:
    formatter = JSONFormatter(processors=["structlog.processors.CallsiteParameterAdder"])

    assert formatter.format(logging.makeLogRecord({"msg": "x"}))


# Formats for people


@pytest.mark.parametrize("formatter", [JSONFormatter, LogfmtFormatter, TextFormatter, ConsoleFormatter])
def test_nothing_that_a_client_sends_can_forge_a_line_or_move_the_cursor(
    formatter: Any, lines: CapturedRequests
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    logging.getLogger().addHandler(handler)

    def view(request: HttpRequest) -> HttpResponse:
        bind(**{HOSTILE: HOSTILE, "value": HOSTILE})
        logger.info("%s", HOSTILE)
        logger.info(HOSTILE)
        return HttpResponse()

    request = RequestFactory().get("/")
    request.path = HOSTILE
    respond(view, request)

    text = stream.getvalue()
    assert text.count("\n") == 3
    assert not set(text) & set("\r\x1b\x00")


def test_controls_are_spelt_out() -> None:
    assert escape_controls("a\nb\x1b[2J\u202e\x85é") == r"a\nb\x1b[2J\u202e\x85é"


def test_the_text_format_is_what_people_grep(configured: Any, get: Get) -> None:
    stream = configured(format="text")

    get("/ok/")

    assert stream.getvalue().split(" ", 1)[1].startswith("INFO root Request took 0.")


MARKS = {"\u061c", "\u200e", "\u200f"}
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_no_character_that_moves_or_turns_anything_is_left() -> None:
    """By the properties that Unicode gives them, not by a list of ours."""
    for character in map(chr, range(sys.maxunicode + 1)):
        kind, direction = unicodedata.category(character), unicodedata.bidirectional(character)
        spelt = kind in {"Cc", "Cs", "Zl", "Zp"} or direction in DIRECTIONS or character in MARKS
        assert (escape_controls(character) != character) is spelt, ascii(character)


def test_the_console_has_colour_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.makeLogRecord({"msg": "x", "levelno": 20, "levelname": "INFO"})
    monkeypatch.setattr("sys.stdout", io.StringIO())
    plain = ConsoleFormatter().format(record)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    coloured = ConsoleFormatter().format(record)
    monkeypatch.setenv("NO_COLOR", "1")
    refused = ConsoleFormatter().format(record)

    assert ("\x1b[" in plain, "\x1b[" in coloured, "\x1b[" in refused) == (False, True, False)


@pytest.mark.parametrize("colour", [True, False])
def test_a_line_that_is_wider_than_the_terminal_goes_on_below(colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {f"field_{number}": "x" * number for number in range(20)}
    record = logging.makeLogRecord({"msg": "Sent", "levelno": 20, "levelname": "INFO", "name": "site", **fields})
    monkeypatch.setattr("sys.stdout", io.StringIO())
    piped = ConsoleFormatter().format(record)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "" if colour else "1")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", ConsoleFormatter().format(record)).split("\n")
    monkeypatch.setenv("COLUMNS", "2000")
    wide = ConsoleFormatter().format(record)

    assert "\n" not in piped
    assert "\n" not in wide
    assert len(shown) > 3
    assert max(map(len, shown)) <= 60
    assert all(line.startswith("    ") for line in shown[1:])
    assert " ".join(" ".join(shown).split()) == " ".join(piped.split())


def test_logfmt_has_the_fields_of_the_event(configured: Any, get: Get) -> None:
    stream = configured(format="logfmt")

    get("/ok/")

    text = stream.getvalue()
    assert all(part in text for part in ('message="Request took 0.', " status=200 ", " method=GET ", " route=ok/ "))


# Formatters that are not ours


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
