"""`obs_middleware.logs.formatters`: records become lines in each format."""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from typing import Any

import needs
import pytest
import structlog
from conftest import Get
from loglines import written
from records import Interrupted, record_of

from obs_middleware import logging_config, structlog_config
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter
from obs_middleware.testing import parse_line

logger = logging.getLogger("site")


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


@needs.NOT_WINDOWS
def test_the_console_has_colour_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.makeLogRecord({"msg": "x", "levelno": 20, "levelname": "INFO"})
    monkeypatch.setattr("sys.stdout", io.StringIO())
    plain = ConsoleFormatter().format(record)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    coloured = ConsoleFormatter().format(record)
    monkeypatch.setenv("NO_COLOR", "1")
    refused = ConsoleFormatter().format(record)

    assert ("\x1b[" in plain, "\x1b[" in coloured, "\x1b[" in refused) == (False, True, False)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == refused == plain


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("has_rich", [True, False])
def test_a_failed_request_is_a_row_with_the_traceback_below(
    has_rich: bool, colours: bool, configured: Any, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR" if colours else "NO_COLOR", "1")
    if not has_rich:
        monkeypatch.setitem(sys.modules, "rich.syntax", None)
    stream = configured(format="console")

    get("/fail/")

    text = stream.getvalue()
    assert ("\x1b[1;31m500\x1b[0m" in text) is colours
    assert ("\x1b[91mValueError" in text) is (colours and has_rich)
    row, first, *_, last = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET     /fail/ +500 +\S+ .s +\d sql  ValueError  [0-9a-f]{8}", row)
    assert (first, last) == ("  Traceback (most recent call last):", "  ValueError: no good")


@needs.NOT_WINDOWS
def test_the_console_shows_the_time_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.makeLogRecord({"msg": "x", "created": 0})
    odd = ConsoleFormatter(stream=None, processors=[lambda _, __, event: {**event, "timestamp": "\x1bnow"}])
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert ConsoleFormatter(stream=None).format(record).startswith("05:30:00 ")
        assert odd.format(record).startswith(r"\x1bnow ")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["message", "arguments", "value"])
def test_an_interrupt_of_the_process_is_raised_again(place: str, stop: type[BaseException]) -> None:
    odd = Interrupted(stop)
    attributes: dict[str, dict[str, Any]] = {
        "message": {"msg": odd},
        "arguments": {"msg": "%s", "args": (odd,)},
        "value": {"own": odd},
    }

    with pytest.raises(stop):
        JSONFormatter().format(record_of(**attributes[place]))


def test_the_console_format_in_a_file_has_neither_colour_nor_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    config = logging_config(format="console", file="app.log")["formatters"]["obs"]
    del config["()"]

    text = ConsoleFormatter(**config).format(logging.makeLogRecord({"msg": "x" * 300, "order": 7}))

    assert "\x1b" not in text
    assert "\n" not in text


def test_constants_are_texts_in_the_line() -> None:
    line = parse_line(
        JSONFormatter(service='a"b', version="\0", environment="x" * 3_000).format(logging.makeLogRecord({}))
    )

    assert (line["service"], line["version"], len(line["environment"])) == ('a"b', "\ufffd", 1_024)
