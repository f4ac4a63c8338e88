"""`obs_middleware.logs.line.shapes`: plans for the shapes that were seen, and their number has a limit."""

from __future__ import annotations

from typing import Any

import pytest

from obs_middleware.logs.line import shapes
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.shapes import Shapes
from obs_middleware.logs.line.source import Frame, Plan, Source
from obs_middleware.logs.schemas import SCHEMAS
from obs_middleware.logs.schemas.plans import Planner, plan_flat
from obs_middleware.redaction import DEFAULT_NAMES, Secrets


class Made:
    """Makes plans of the flat schema, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, source: Source) -> Plan:
        self.count += 1
        return plan_flat(source)


def known(*names: str) -> Cleaner:
    """Return a cleaner that has seen fields of these *names*."""
    cleaner = Cleaner(Secrets(DEFAULT_NAMES))
    cleaner.clean_fields(dict.fromkeys(names, 1))
    return cleaner


@pytest.fixture(name="made")
def _made() -> Made:
    return Made()


def test_a_plan_is_made_at_the_second_event_of_a_shape(made: Made) -> None:
    shapes = Shapes(made, known("a"), Frame(1_000))

    lines = [shapes.line({"event": "x", "a": number}) for number in range(4)]

    assert lines == [None, None, '{"message":"x","a":2}', '{"message":"x","a":3}']
    assert made.count == 1


@pytest.mark.parametrize("value", ["x" * 600, float("nan"), float("-inf"), 2**70, "\0", "\ud800", [1], b"x"], ids=ascii)
def test_a_value_that_may_have_to_be_cleaned_is_left_to_the_chain(value: Any, made: Made) -> None:
    shapes = Shapes(made, known("a"), Frame(1_000))
    for usual in ("x", 0.5, 1) * 2:
        shapes.line({"a": usual})

    try:
        line = shapes.line({"a": value})
    except (TypeError, ValueError):
        line = None

    assert line is None


def test_a_line_beyond_the_limit_is_left_to_the_chain(made: Made) -> None:
    shapes = Shapes(made, known("a"), Frame(100))

    lines = [shapes.line({"a": "x" * length}) for length in (1, 1, 92, 93)]

    assert [line is None for line in lines] == [True, True, False, True]


def test_a_name_that_needs_cleaning_or_is_secret_has_no_plan(made: Made) -> None:
    shapes = Shapes(made, known("a.b", "password"), Frame(1_000))

    for name in ("a.b", "password", "unseen"):
        assert [shapes.line({name: 1}) for _ in range(4)] == [None] * 4
    assert made.count == 0


class Name(str):
    """A name like the members of an enum: its repr() is no text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'other'"


def test_a_name_of_another_type_and_a_trace_have_no_plan(made: Made) -> None:
    """A trace has a limit in bytes, which 512 characters may exceed."""
    shapes = Shapes(made, known("a"), Frame(4_000))

    for name in (Name("a"), "stack_trace", "stack_info"):
        assert [shapes.line({name: "\U0001f600" * 512}) for _ in range(4)] == [None] * 4
    assert made.count == 0


@pytest.mark.parametrize("value", [2**63, 10**30, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_left_to_the_chain_if_its_place_takes_text(value: int) -> None:
    table = SCHEMAS["gcp"]
    assert table is not None
    planned = Shapes(Planner(table).plan, known(), Frame(1_000))

    lines = [planned.line({"response_bytes": size}) for size in (1, 2, 3, value)]

    assert lines[2:] == ['{"httpRequest":{"responseSize":"3"}}', None]


def test_values_of_other_types_get_another_plan(made: Made) -> None:
    """The names are the same, so a plan must not take 1, 1.0, true and a text for each other."""
    shapes = Shapes(made, known("a"), Frame(1_000))
    for value in (1, 1, 1.0, True, "1", None):
        shapes.line({"a": value})

    lines = [shapes.line({"a": value}) for value in (1, 1.0, True, "1", None)]

    assert lines == ['{"a":1}', '{"a":1.0}', '{"a":true}', '{"a":"1"}', '{"a":null}']
    assert made.count == 5


class Loud(str):
    """A text whose parts are the application's code."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        raise AssertionError("called")

    __str__ = __repr__ = __hash__ = None  # type: ignore[assignment]


def test_a_text_of_another_type_is_left_to_the_chain(made: Made) -> None:
    shapes = Shapes(made, known("a"), Frame(1_000))

    assert [shapes.line({"a": value}) for value in ("x", "x", "x", Loud("x"))] == [None, None, '{"a":"x"}', None]


class Changing(dict[str, Any]):
    """An event that a thread of the application changes while its line is written."""

    def values(self) -> Any:
        found = list(super().values())
        self["a"] = {"password": "hunter2"}
        return found


def test_an_event_that_changes_meanwhile_is_read_once(made: Made) -> None:
    shapes = Shapes(made, known("a"), Frame(1_000))

    lines = [shapes.line(Changing(a="x")) for _ in range(4)]

    assert lines[2:] == ['{"a":"x"}'] * 2


def test_a_message_that_is_no_text_has_no_plan(made: Made) -> None:
    shapes = Shapes(made, known(), Frame(1_000))

    assert [shapes.line({"event": 7}) for _ in range(4)] == [None] * 4


def test_the_oldest_plans_are_forgotten_and_new_ones_made_rarely(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MOST_PLANS", 10)
    names = [f"a{number}" for number in range(20)]
    planned = Shapes(made, known(*names), Frame(1_000))

    for name in names:
        for _ in range(3):
            planned.line({name: 1})

    assert made.count == 10
    assert len(planned._plans) == 10
    assert len(planned._seen) <= 10
    for _ in range(100):
        planned.line({"a19": 1})
    assert planned.line({"a19": 1}) == '{"a19":1}'
    assert len(planned._plans) == 10


def test_a_shape_has_a_plan_for_each_place_that_a_value_may_have() -> None:
    """An address and another text have two places in ECS, and the first event does not decide for both."""
    table = SCHEMAS["ecs"]
    assert table is not None
    planned = Shapes(Planner(table).plan, known(), Frame(1_000))

    for client in ("192.0.2.1", "unix") * 3:
        planned.line({"client_ip": client})

    assert '"ip":"192.0.2.1"' in (planned.line({"client_ip": "192.0.2.1"}) or "")
    assert '"address":"unix"' in (planned.line({"client_ip": "unix"}) or "")


@pytest.mark.parametrize("kind", ["task", "command"])
def test_a_plan_is_for_one_kind_of_work(kind: str) -> None:
    table = SCHEMAS["ecs"]
    assert table is not None
    planned = Shapes(Planner(table).plan, known(), Frame(1_000))
    for _ in range(3):
        planned.line({"kind": "task", "outcome": "ok"})

    lines = [planned.line({"kind": kind, "outcome": "ok"}) for _ in range(2)]

    assert f'"action":"{kind}"' in (lines[-1] or "")


def test_a_usual_event_gets_a_plan_after_many_odd_ones_of_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client chooses the method and the port, so it could otherwise keep all later requests from the plans."""
    monkeypatch.setattr(shapes, "_VARIANTS", 4)
    table = SCHEMAS["otel"]
    assert table is not None
    planned = Shapes(Planner(table).plan, known(), Frame(1_000))
    odd = [("PROPFIND", "a:1", "ok"), ("PROPFIND", "a:1", "error"), ("GET", "a:1", "ok"), ("GET", "a:1", "error")]
    for method, host, outcome in odd * 3:
        planned.line({"method": method, "host": host, "outcome": outcome})

    lines = [planned.line({"method": "GET", "host": "a", "outcome": "ok"}) for _ in range(100)]

    assert lines[0] is None
    assert lines[-1] is not None
    assert {len(plans) for plans in planned._plans.values()} == {4}


def test_no_plan_is_made_from_a_text_in_front_that_is_no_plain_one(made: Made) -> None:
    shapes = Shapes(made, known("a"), Frame(1_000, ("logger",)))
    for _ in range(4):
        assert shapes.line({"event": "x", "a": 1}, (Name("shop"),)) is None

    lines = [shapes.line({"event": "x", "a": 1}, ("shop",)) for _ in range(3)]

    assert lines[-1] == '{"logger":"shop","message":"x","a":1}'
    assert made.count == 1
