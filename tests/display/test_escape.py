"""`obs_middleware.display.escape`: no character ends a line, moves the cursor or turns the direction of text."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from conftest import respond
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from records import record_of

from obs_middleware import bind
from obs_middleware.display.escape import escape_controls
from obs_middleware.logs.formatters import ConsoleFormatter, JSONFormatter, LogfmtFormatter, TextFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.testing import CapturedRequests, parse_line

logger = logging.getLogger("site")
SCHEMAS = ["flat", "ecs", "otel", "datadog", "gcp"]
# Unicode's Default_Ignorable_Code_Point that have another category than "Cf": fillers, joiners and reserved ones.
FILLERS = {*map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x3164, 0xFFA0))}
RESERVED = {*map(chr, (*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)))}
SHOWN = {
    *map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)))
}
"""Category "Cf", but with a glyph: signs around Arabic, Syriac, Kaithi and Egyptian numbers and words."""
HOSTILE = "a\nb\r\x1b[2J\u2028\x00\x85\u202e%s {} \" '"


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
