"""`obs_middleware.logs.line.usual`: which records the shortcut reads, and that their lines are those of the chain."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import structlog
from hostile import names, values
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware import bind, structlog_config
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.usual import usual_fields
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import parse_line

logger = logging.getLogger("site.usual")
Formatters = Callable[[SchemaName], tuple[JSONFormatter, JSONFormatter]]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())


class Kept(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(name="kept")
def _kept() -> Iterator[Kept]:
    kept = Kept()
    logger.addHandler(kept)
    logger.setLevel("INFO")
    logger.propagate = False
    yield kept
    logger.removeHandler(kept)
    logger.propagate = True


@pytest.fixture(name="event", autouse=True)
def _event() -> Iterator[Event]:
    """A request is being served during the test."""
    event = Event(0.0, "r", "GET", "/")
    current_event.set(event)
    yield event
    current_event.set(None)


def formatters(schema: SchemaName) -> tuple[JSONFormatter, JSONFormatter]:
    """Return a formatter that may take the shortcut, and one that never does."""
    chain = JSONFormatter(schema=schema, service="shop")
    chain._shortcut = None
    return JSONFormatter(schema=schema, service="shop"), chain


def made(**extra: Any) -> logging.LogRecord:
    return logger.makeRecord(logger.name, logging.INFO, __file__, 1, "Paid %d", (7,), None, extra=extra)


def from_structlog(kept: Kept, text: str, **fields: Any) -> logging.LogRecord:
    config = structlog_config()
    structlog.wrap_logger(logger, processors=config["processors"], wrapper_class=config["wrapper_class"]).info(
        text, **fields
    )
    record = kept.records[-1]
    record.__dict__.pop("message", None)  # set by a handler of pytest; a new record has none
    return record


def shortcut_line(formatter: JSONFormatter, record: logging.LogRecord) -> str | None:
    """Return the line of the shortcut, when it knows the names of the fields and has a plan for them, or None."""
    for _ in range(3):
        formatter.format(record)
    assert formatter._shortcut is not None
    return formatter._shortcut.line(record)


@pytest.mark.parametrize("schema", get_args(SchemaName))
def test_extra_takes_the_shortcut(schema: SchemaName) -> None:
    bind(tenant="t1", order=1)
    record = made(order=2, paid=True, rate=0.5, code="é", nothing=None)
    shortcut, chain = formatters(schema)

    assert shortcut_line(shortcut, record) == chain.format(record)


@pytest.mark.parametrize("schema", get_args(SchemaName))
def test_a_line_of_structlog_takes_the_shortcut(schema: SchemaName, kept: Kept) -> None:
    record = from_structlog(kept, "Paid", order=2, paid=True, rate=0.5)
    shortcut, chain = formatters(schema)

    assert shortcut_line(shortcut, record) == chain.format(record)


def test_a_record_of_structlog_that_a_filter_changed_is_left_to_the_chain(kept: Kept) -> None:
    record = from_structlog(kept, "Paid", order=2)
    del record.__dict__["processName"]  # so that it has as many attributes as before
    record.__dict__["tenant"] = "t1"

    assert usual_fields(record) is None


def test_values_of_bind_contextvars_take_the_shortcut(kept: Kept) -> None:
    with structlog.contextvars.bound_contextvars(shard=3, order=1):
        for record in (made(order=2), from_structlog(kept, "Paid", order=2)):
            shortcut, chain = formatters("flat")

            line = shortcut_line(shortcut, record)

            assert line == chain.format(record)
            fields = parse_line(line or "")
            assert (fields["order"], fields["shard"]) == (2, 3)


def test_the_line_after_the_response_is_the_same(event: Event) -> None:
    event.done = True
    for name in ("site", "django.request", "django.security.csrf"):
        record = made(order=2)
        record.name = name
        shortcut, chain = formatters("flat")
        shortcut.format(record)

        assert shortcut.format(record) == chain.format(record)


@pytest.mark.parametrize(
    "extra",
    [
        {"status": 1},
        {"request": object()},
        {"server_time": "now"},
        {"event": "x"},
        {"stack": "x"},
        {"request_id": "mine"},
        {"event_id": None},
        {"event_id": "mine"},
        {"_logger": 1},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_name_that_the_chain_treats_specially_is_left_to_it(extra: dict[str, Any]) -> None:
    assert usual_fields(made(**extra)) is None


def test_attributes_that_changed_places_are_left_to_the_chain() -> None:
    record = made(order=2, paid=True)
    del record.processName

    assert usual_fields(record) is None


def test_an_added_attribute_in_the_place_of_a_removed_one_is_written() -> None:
    """A filter may remove an attribute, and add another one: the record is as large as a plain one."""
    record = made(order=2)
    del record.processName

    assert usual_fields(record) is None
    assert parse_line(formatters("flat")[0].format(record))["order"] == 2


def test_a_second_handler_writes_the_same_id() -> None:
    record = made(order=2)
    logging.Formatter("%(asctime)s %(message)s").format(record)
    first, second = (shortcut_line(formatters("flat")[0], record) or "" for _ in range(2))

    assert parse_line(first)["event_id"] == parse_line(second)["event_id"]


def test_a_mapping_of_another_kind_is_left_to_the_chain(kept: Kept) -> None:
    record = made(order=2)
    record.msg = {"event": "x", "order": 1}

    assert usual_fields(record) is None  # it is not from structlog
    for message in ({"event": 7}, {"event": "x", "exc_info": True}, {"event": "x", "stack": "y"}, {"order": 2}):
        record = from_structlog(kept, "Paid")
        record.msg = message
        assert usual_fields(record) is None


@pytest.mark.parametrize("most", [94, 95])
def test_a_line_with_more_than_100_fields_is_left_to_the_chain(most: int, event: Event) -> None:
    event.method = event.path = None  # so that the line has 6 fields of ours, and the service
    record = made(**{f"own{number}": number for number in range(most - 1)})
    shortcut, chain = formatters("flat")

    line = shortcut_line(shortcut, record)

    assert (line is not None) == (most == 94)
    assert shortcut.format(record) == chain.format(record)


@given(
    extra=st.dictionaries(names.filter(lambda name: name not in {"message", "asctime"}), scalars | values, max_size=5),
    bound=st.dictionaries(st.sampled_from(["a", "b", "tenant", "order"]), scalars, max_size=3),
    schema=st.sampled_from(get_args(SchemaName)),
)
def test_any_extra_gives_the_line_of_the_chain(
    extra: dict[str, Any], bound: dict[str, Any], schema: SchemaName
) -> None:
    current_event.set(Event(0.0, "r", "GET", "/"))
    bind(**bound)
    record = made()
    record.__dict__.update({name: value for name, value in extra.items() if name not in record.__dict__})
    shortcut, chain = formatters(schema)

    for _ in range(4):  # names are learned from the first line, and the fourth is by a plan
        assert shortcut.format(record) == chain.format(record)
