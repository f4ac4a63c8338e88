"""The SQL of a condition."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
from tables import holds

from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.where.conditions import Every
from obs_middleware.read.where.expression import parse


@hypothesis.given(st.text(st.characters(exclude_characters="\"'\\", exclude_categories=["Cs"]), max_size=40))
def test_a_value_never_gets_into_the_sql(text: str) -> None:
    found = predicate(parse(f"route = '{text}'"))

    assert found.sql == predicate(parse("route = 'other'")).sql
    assert found.parameters == (text,)


def test_no_condition_at_all_always_holds() -> None:
    assert holds(Every())
