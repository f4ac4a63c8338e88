"""The translation of conditions into the query language of search engines."""

from __future__ import annotations

import pytest

from obs_middleware.read.index.dsl import IndexField, query
from obs_middleware.read.where.expression import parse

FIELDS = {"status": IndexField("http.response.status_code", "long"), "route": IndexField("http.route", "keyword")}
STATUS = "http.response.status_code"


@pytest.mark.parametrize(
    ("expression", "bound"),
    [
        ("not (status < 500)", "gte"),
        ("not (status <= 500)", "gt"),
        ("not (status > 500)", "lte"),
        ("not (status >= 500)", "lt"),
    ],
)
def test_not_turns_a_comparison_into_its_exact_opposite(expression: str, bound: str) -> None:
    assert query(parse(expression), FIELDS.get) == {"range": {STATUS: {bound: 500}}}


@pytest.mark.parametrize("expression", ["not (status = 500)", "status != 500"])
def test_a_missing_field_is_not_unequal(expression: str) -> None:
    assert query(parse(expression), FIELDS.get) == {
        "bool": {
            "filter": [{"exists": {"field": STATUS}}],
            "must_not": [{"term": {STATUS: {"value": 500}}}],
        }
    }


@pytest.mark.parametrize("expression", ["view = 'a'", "not (view = 'a')", "view > 3", "not (view > 3)"])
def test_no_comparison_holds_for_a_field_that_the_index_lacks(expression: str) -> None:
    assert query(parse(expression), FIELDS.get) == {"match_none": {}}
