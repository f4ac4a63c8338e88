"""Hostile values in every schema: each event is one strict line within its limit, by either encoder."""

from __future__ import annotations

import functools
import json
import logging
from typing import Any

import orjson
import pytest
from hostile import EVENTS, EXAMPLES, NOT_EXTRA, SEED, Mischief, hostile_event, names, values
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line import encode
from obs_middleware.logs.options import SchemaName
from obs_middleware.logs.schemas import SCHEMAS
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.vocabulary import FIELDS
from obs_middleware.testing import parse_line

HEADS = {
    name: ("timestamp", "level", "message") if table is None else tuple(table.first) for name, table in SCHEMAS.items()
}
ENCODERS: dict[bool, dict[str, Any]] = {
    True: {"_HAS_ORJSON": True, "encoded": orjson.dumps, "encode_known": encode._encode_orjson},
    False: {"_HAS_ORJSON": False, "encoded": json.encoder.encode_basestring_ascii, "encode_known": None},
}
"""With orjson and without: names of `obs_middleware.logs.line.encode`. Formatters are made with them in force."""
LIMITS = [2_048, 4_096, 16_000]
OURS = sorted(set(FIELDS) - {"event_id"})
texts = st.text(st.characters(), max_size=50)
NUMBERS = [2**53, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**400, float("nan"), float("-inf"), 1e300]


class Adding:
    """A processor that puts whatever it likes under our own names."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __call__(self, _: Any, __: str, event_dict: Any) -> Any:
        event_dict.update(self.fields)
        return event_dict


def encoded(line: dict[str, Any], names: set[str]) -> str:
    """Return the fields of these *names* as text, in which 1, 1.0 and true are three."""
    return json.dumps({name: line[name] for name in names if name in line}, sort_keys=True)


@functools.cache
def hostile_formatter(
    schema: SchemaName, max_bytes: int, *, has_orjson: bool
) -> tuple[JSONFormatter, JSONFormatter, Adding]:
    """Return a formatter that has only the chain, one that has plans too, and the processor of both."""
    assert has_orjson == encode._HAS_ORJSON
    adding = Adding()
    planned, chained = (
        JSONFormatter(schema=schema, service="shop", max_bytes=max_bytes, processors=[adding]) for _ in range(2)
    )
    chained._shapes = None
    return chained, planned, adding


@functools.cache
def bare_formatter(schema: SchemaName, max_bytes: int, *, has_orjson: bool) -> JSONFormatter:
    assert has_orjson == encode._HAS_ORJSON
    return JSONFormatter(schema=schema, service="shop", max_bytes=max_bytes)


def json_equal(one: str, other: str) -> bool:
    return json.dumps(parse_line(one), sort_keys=True) == json.dumps(parse_line(other), sort_keys=True)


def write_hostile(
    schema: str, event: Event, message: Any, extra: dict[str, Any], added: dict[str, Any], max_bytes: int
) -> None:
    """Write an event with orjson and without, and look at the lines."""
    record = logging.LogRecord("site", 20, __file__, 1, event.message or message, None, None)
    record.__dict__.update({name: value for name, value in extra.items() if name not in record.__dict__})
    current_event.set(event)
    try:
        lines = []
        for has_orjson, encoder in ENCODERS.items():
            with pytest.MonkeyPatch.context() as patch:
                for name, value in encoder.items():
                    patch.setattr(encode, name, value)
                formatter, planned, adding = hostile_formatter(schema, max_bytes, has_orjson=has_orjson)
                bare = bare_formatter(schema, max_bytes, has_orjson=has_orjson)
                adding.fields = added
                lines.append(formatter.format(record))
                for _ in range(4):  # the fourth line of a shape is by its plan
                    assert planned.format(record) == lines[-1]
                    if not added:
                        # Without processors the formatter may take its shortcut, and no line may show it.
                        assert bare.format(record) == lines[-1]
    finally:
        current_event.set(None)

    first, second = (parse_line(line) for line in lines)
    same = set(first) | set(second)
    if any('original_bytes"' in line for line in lines):
        # Of some floats the two write a character more or less, so of a line that shrinks one may lose a field more.
        same = set(HEADS[schema]).intersection(first, second)
    assert encoded(first, same) == encoded(second, same)
    for line in lines:
        assert len(line.encode()) + 1 <= max_bytes
        assert "\n" not in line
    assert first["event_id"] == record.__dict__["event_id"]
    if not added:
        assert set(HEADS[schema]) <= set(first)


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=EXAMPLES)
@given(
    event=st.builds(
        hostile_event,
        texts,
        st.builds(lambda text, count: text * count, texts, st.integers(1, 300)),
        st.dictionaries(names, values, max_size=15),
        on_the_request_line=st.booleans(),
    ),
    message=texts | values,
    extra=st.dictionaries(names.filter(lambda name: name not in NOT_EXTRA), values, max_size=5),
    added=st.dictionaries(st.sampled_from(OURS), values, max_size=3),
    max_bytes=st.sampled_from(LIMITS),
)
def test_every_hostile_event_is_one_strict_line_within_its_limit(
    schema: str, event: Event, message: Any, extra: dict[str, Any], added: dict[str, Any], max_bytes: int
) -> None:
    write_hostile(schema, event, message, extra, added, max_bytes)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_hostile_events_in_numbers(schema: str) -> None:
    """``OBS_HOSTILE_EVENTS=100000`` tries so many; ``OBS_HOSTILE_SEED`` repeats those of a failure."""
    for number in range(EVENTS):
        seed = f"{SEED}-{number}"
        mischief = Mischief(seed)
        draw = mischief.random
        event = hostile_event(
            mischief.text(), mischief.text(), mischief.fields(12), on_the_request_line=draw.random() < 0.5
        )
        extra = {name: value for name, value in mischief.fields(3).items() if name not in NOT_EXTRA}
        added = {draw.choice(OURS): mischief.value()} if draw.random() < 0.3 else {}
        try:
            write_hostile(schema, event, mischief.value(), extra, added, draw.choice(LIMITS))
        except BaseException as error:
            error.add_note(f"OBS_HOSTILE_SEED={SEED}, event {number}")
            raise


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_odd_number_is_the_same_by_either_encoder_and_by_the_shortcut(schema: str, number: float) -> None:
    """Also inside the objects that a schema makes of the fields: beyond 64 bits it is text, and no number is null."""
    for on_the_request_line in (True, False):
        event = hostile_event("GET", "/", {"number": number}, on_the_request_line=on_the_request_line)
        for _ in range(2):  # a name is known to need no cleaning from the second time on
            write_hostile(schema, event, "paid", {}, {}, 16_000)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_at_the_edge_of_the_limit_a_float_may_be_written_longer_by_one_encoder(schema: str) -> None:
    """The line of one then fits and that of the other must shrink; both are bounded, and each says what it is."""
    for size in range(1_000, 2_000):
        event = hostile_event("GET", "/", {"small": 1e-7, "one": "x" * size, "two": "y"}, on_the_request_line=True)
        write_hostile(schema, event, "", {}, {}, 2_048)
