"""The translation of conditions into the query language of search engines."""

from __future__ import annotations

import pytest
from console import Run
from indexed import Shop

from obs_middleware.read.index.dsl import IndexField, query
from obs_middleware.read.where.conditions import Every, Not, Some
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


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (r"path ~ '\bx'", "not a regular expression of search engines"),
        ("path ~ 'a(?=b)'", "not a regular expression of search engines"),
        ("path ~ 'a*?'", "not a regular expression of search engines"),
        ("path ~ '^a|b$'", "in parentheses"),
        ("status ~ '5..'", "status is long in the index: a regular expression needs a keyword field"),
        ("message ~ 'x'", "text in the index: a regular expression needs a keyword field"),
        ("message = 'x'", "text in the index: it cannot be compared with = 'x'"),
        ("user_id > 3", "user_id is keyword in the index: it cannot be compared with > 3.0"),
        ("payment_seconds = 'x'", "payment_seconds is double in the index"),
        ("timestamp > 'soon'", "timestamp is a time: use for example"),
        ("nosuch = 1", "has none of labels.nosuch, app.nosuch, nosuch"),
    ],
)
def test_a_condition_that_cannot_be_expressed_is_a_message(expression: str, message: str, run: Run, shop: Shop) -> None:
    code, out, err = run("stats", *shop.there, "--where", expression)

    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_none_of_no_conditions_holds_and_all_of_them_do() -> None:
    assert query(Some(()), FIELDS.get) == query(Not(Every()), FIELDS.get)
    assert query(Every(), FIELDS.get) == query(Not(Some(())), FIELDS.get) == {"bool": {"filter": [{"match_all": {}}]}}
