"""`obs_middleware.logs.line.source`: a plan writes the bytes of the chain, or leaves the line to it."""

from __future__ import annotations

import json

import orjson
import pytest

from obs_middleware.logs.line import encode
from obs_middleware.logs.line.source import Frame, Plan, Source

ENCODERS = {"orjson": (True, orjson.dumps), "json": (False, json.encoder.encode_basestring_ascii)}


@pytest.fixture(params=ENCODERS, autouse=True)
def _encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    has_orjson, encoded = ENCODERS[request.param]
    monkeypatch.setattr(encode, "_HAS_ORJSON", has_orjson)
    monkeypatch.setattr(encode, "encoded", encoded)


def plan_of(event: dict[str, object], most_bytes: int = 1_000, **constants: str) -> Plan:
    """Return the plan for events like *event*, behind a message."""
    source = Source(event, ["x"], Frame(most_bytes, ("message",), constants))
    return source.plan(source.values)


def line_of(plan: Plan, event: dict[str, object], message: str = "x") -> str | None:
    return plan((message,), (*event.values(),), event)


@pytest.mark.parametrize(
    "text",
    ["", "a", 'a"b', "a\\b", "a\nb", "\x1f", "a\x7fb", "é", "\u2028", "\u200b", "\U0001f600", "'", "{a}", "\\u0020"],
    ids=ascii,
)
@pytest.mark.parametrize("place", ["message", "a", "constant"])
def test_any_text_is_written_as_the_chain_writes_it(text: str, place: str) -> None:
    texts = {"message": "x", "constant": "x", "a": "x", place: text}
    plan = plan_of({"a": "y", "b": 1}, constant=texts["constant"])

    line = line_of(plan, {"a": texts["a"], "b": 7}, texts["message"])

    assert line == encode.dumps({**texts, "b": 7})


@pytest.mark.parametrize("number", [0, 999, 1_000, -1, 2**53, 2**63 - 1, -(2**63), 0.0, -0.0, 1e-7, 1e16, 0.1, 1e300])
def test_any_number_is_written_as_the_chain_writes_it(number: float) -> None:
    plan = plan_of({"a": type(number)(1)})

    assert line_of(plan, {"a": number}) == encode.dumps({"message": "x", "a": number})


def test_nul_is_left_to_the_chain() -> None:
    assert line_of(plan_of({"a": "x"}), {"a": "a\0b"}) == ""


@pytest.mark.parametrize("text", ["x", "é", '"'])
@pytest.mark.parametrize("service", ["shop", "Büro", "a\xa0b"])
def test_a_line_has_at_most_the_bytes_of_the_limit(text: str, service: str) -> None:
    line = encode.dumps({"message": "x", "service": service, "a": text * 9})
    most = len(line.encode())

    lines = [line_of(plan_of({"a": "x"}, limit, service=service), {"a": text * 9}) for limit in (most, most - 1)]

    assert lines == [line, ""]


@pytest.mark.parametrize("length", [512, 513])
def test_a_text_that_may_have_to_be_cut_is_left_to_the_chain(length: int) -> None:
    """Several short texts may have more characters together."""
    plan = plan_of({"a": "x", "b": "x"}, 4_000)

    line = line_of(plan, {"a": "y" * 500, "b": "z" * length})

    assert (line is None) == (length > 512)
