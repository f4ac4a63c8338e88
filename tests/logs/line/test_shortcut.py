"""`obs_middleware.logs.line.shortcut`: it writes the same line as the chain, or leaves the record to the chain."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import get_args

import pytest

from obs_middleware import bind
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import parse_line

UNCLEAN = {
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "delete": "a\x7fb",
    "line separator": "a\u2028b",
    "long": "x" * 3_000,
}


def formatters(schema: SchemaName) -> tuple[JSONFormatter, JSONFormatter]:
    """Return a formatter that takes the shortcut, and one that never does."""
    chain = JSONFormatter(schema=schema)
    chain._shortcut = None
    return JSONFormatter(schema=schema), chain


def record(text: str) -> logging.LogRecord:
    """A record that the shortcut takes unless *text* prevents it."""
    return logging.LogRecord("site", logging.INFO, __file__, 1, text, None, None)


@pytest.fixture(name="event", autouse=True)
def _event() -> Iterator[None]:
    """A request is being served during the test."""
    current_event.set(Event(0.0, "r", "GET", "/"))
    yield
    current_event.set(None)


@pytest.mark.parametrize("schema", get_args(SchemaName))
@pytest.mark.parametrize("text", UNCLEAN.values(), ids=UNCLEAN)
@pytest.mark.parametrize("place", ["message", "bound"])
def test_a_text_that_needs_cleaning_is_the_same_as_from_the_chain(schema: SchemaName, text: str, place: str) -> None:
    shortcut, chain = formatters(schema)
    shortcut.format(record("x"))
    if place == "bound":
        bind(own="x")
        shortcut.format(record("x"))  # learns the name
        bind(own=text)
    one = record(text if place == "message" else "x")

    line = shortcut.format(one)

    assert line == chain.format(one)
    assert "\\u0000" not in line


def test_nul_is_replaced_in_a_line_that_the_shortcut_may_take() -> None:
    """The program rsyslog ends a value at a NUL. The record is one that the shortcut would otherwise write."""
    formatter, _ = formatters("flat")
    assert formatter._shortcut is not None
    assert formatter._shortcut.line(record("a-b")) is not None

    assert parse_line(formatter.format(record("a\0b")))["message"] == "a\ufffdb"


logger = logging.getLogger("site")


@pytest.mark.parametrize("name", ['a"b', "a\nb", "x" * 3_000, "\0", "\ud800", "é"], ids=repr)
def test_the_name_of_a_logger_is_a_text_in_the_line(name: str) -> None:
    chained = JSONFormatter(processors=[lambda logger, method_name, event_dict: event_dict])
    record = logging.makeLogRecord({"msg": "x", "name": name})
    formatter = JSONFormatter()
    shortcut = formatter._shortcut
    assert shortcut is not None

    for _ in range(4):
        assert parse_line(formatter.format(record)) == parse_line(chained.format(record))
    assert len(shortcut._names) <= 1


def test_names_of_loggers_without_end_are_not_all_remembered() -> None:
    formatter = JSONFormatter()
    shortcut = formatter._shortcut
    assert shortcut is not None
    for number in range(2_000):
        formatter.format(logging.makeLogRecord({"msg": "x", "name": f"logger{number}"}))

    assert len(shortcut._names) <= 1_000
