"""The SQL of a condition."""

from __future__ import annotations

import duckdb
import hypothesis
import hypothesis.strategies as st
import pytest
from steps import steps
from tables import holds

from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.schemas import type_of
from obs_middleware.read.where.conditions import Every
from obs_middleware.read.where.expression import parse


@hypothesis.given(st.text(st.characters(exclude_characters="\"'\\", exclude_categories=["Cs"]), max_size=40))
def test_a_value_never_gets_into_the_sql(text: str) -> None:
    found = predicate(parse(f"route = '{text}'"))

    assert found.sql == predicate(parse("route = 'other'")).sql
    assert found.parameters == (text,)


def test_no_condition_at_all_always_holds() -> None:
    assert holds(Every())


LISTS = [
    "{} in (200, 500)",
    "{} in (200)",
    "{} not in (200, 500)",
    "not ({} in (200, 500))",
    "{} in (200, true)",
    "{0} = 200 or {0} = 500",
    "{0} = 200 or {0} > 500",
]


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("value", ["200", "404", "NULL"])
@pytest.mark.parametrize("field", ["status", "tenant"])
def test_a_list_holds_for_the_same_values_as_its_single_comparisons(text: str, value: str, field: str) -> None:
    condition = parse(text.format(field))

    def holds_as(sql: str, parameters: tuple[str | float | bool, ...]) -> object:
        row = duckdb.execute(
            f"SELECT {sql} FROM (SELECT {value}::{type_of(field)} AS {field})", list(parameters)
        ).fetchone()
        return row and row[0]

    found = predicate(condition)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("obs_middleware.read.files.predicate._among", lambda *_: None)
        single = predicate(condition)

    assert holds_as(found.sql, found.parameters) == holds_as(single.sql, single.parameters)


def test_a_long_list_is_one_comparison_and_its_cost_grows_with_its_length() -> None:
    """DuckDB takes more than twice as long for twice as many comparisons that are joined by OR."""

    def sql_of(number: int) -> str:
        return predicate(parse(f"status in ({', '.join(map(str, range(number)))})")).sql

    assert sql_of(1_000).count("status") == 1
    assert steps(lambda: sql_of(2_000)) < 2.6 * steps(lambda: sql_of(1_000))
