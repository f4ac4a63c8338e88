"""`obs_middleware.logs.line.render`: logfmt, text and the console."""

from __future__ import annotations

import io
import logging
import re
from typing import Any

import pytest
from conftest import Get

from obs_middleware.logs.formatters import ConsoleFormatter


def test_the_text_format_is_what_people_grep(configured: Any, get: Get) -> None:
    stream = configured(format="text")

    get("/ok/")

    assert stream.getvalue().split(" ", 1)[1].startswith("INFO root Request took 0.")


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
