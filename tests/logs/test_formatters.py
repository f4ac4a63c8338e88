"""`obs_middleware.logs.formatters`: records become lines, and nothing that a client sends can forge one."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
import sys
import unicodedata
from typing import Any

import pytest
import structlog
from conftest import Get, respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from loglines import written

from obs_middleware import bind, structlog_config
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.line.escape import escape_controls
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")
HOSTILE = "a\nb\r\x1b[2J\u2028\x00\x85\u202e%s {} \" '"


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
    assert escape_controls("pay\u200bpal\ufeff\U000e0041") == r"pay\u200bpal\ufeff\U000e0041"


def test_the_text_format_is_what_people_grep(configured: Any, get: Get) -> None:
    stream = configured(format="text")

    get("/ok/")

    assert stream.getvalue().split(" ", 1)[1].startswith("INFO root Request took 0.")


# Unicode's Default_Ignorable_Code_Point that have another category than "Cf": fillers, joiners and reserved ones.
FILLERS = {*map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x3164, 0xFFA0))}
RESERVED = {*map(chr, (*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)))}
SHOWN = {
    *map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)))
}
"""Category "Cf", but with a glyph: signs around Arabic, Syriac, Kaithi and Egyptian numbers and words."""


def test_no_character_without_a_glyph_is_left() -> None:
    """By the properties that Unicode gives them, not by our own list."""
    for character in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.category(character)
        spelt = kind in {"Cc", "Cs", "Zl", "Zp"} or (kind == "Cf" and character not in SHOWN)
        spelt = spelt or character in FILLERS or character in RESERVED
        assert (escape_controls(character) != character) is spelt, ascii(character)


@pytest.mark.parametrize("character", ["\u200b", "\u200d", "\u2060", "\ufeff", "\xad", "\U000e0041"])
@pytest.mark.parametrize("formatter", [JSONFormatter, ConsoleFormatter, LogfmtFormatter])
def test_a_character_without_width_is_seen_on_the_line(formatter: Any, character: str) -> None:
    record = logging.makeLogRecord({"msg": f"pay{character}pal", "who": f"pay{character}pal"})

    line = formatter().format(record)

    assert character not in line
    if formatter is JSONFormatter:
        assert json.loads(line)["who"] == f"pay{character}pal"


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
