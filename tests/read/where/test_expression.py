"""The language of ``--where``."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest
from tables import holds

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.where.expression import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status = 404", True),
        ("status == 404 and method != 'POST'", True),
        ("status >= 500 or duration_seconds > 300ms", False),
        ("duration_seconds > 249ms and duration_seconds < 0.251", True),
        ("duration_seconds >= 250000us", True),
        ("not status = 404", False),
        ("NOT (status = 404 AND status = 500)", True),
        ("status in (200, 404)", True),
        ("status not in (200, 404)", False),
        ("route ~ '^orders/<int'", True),
        (r"route ~ '^\w+/'", True),
        ("route !~ 'orders'", False),
        ("view is null", True),
        ("view is not null", False),
        ("view = 'x'", False),
        ("view != 'x'", False),
        ("cart_items > 9", True),
        ("cart_items = '12'", True),
        ("vip = true", True),
        ("timestamp >= '2026-11-02T10:00:00Z'", True),
        ("timestamp < '2026-11-02T12:00:00+02:00'", False),
        ('method = "GET"', True),
        ("größe is null", True),
        ("status = 404 and (method = 'POST' or (method = 'GET'))", True),
    ],
)
def test_an_expression_means_what_it_says(text: str, expected: bool) -> None:
    assert holds(parse(text)) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the name of a field"),
        ("status", "expected a comparison behind status"),
        ("status >", r"expected a value \(at the end\)"),
        ("status = GET", "put text in quotes"),
        ("status = 'x'", "status is a number: compare it"),
        ("status = 1 2", "did not expect '2'"),
        ("(status = 1", "closing parenthesis"),
        ("status in 5", "a list in parentheses"),
        ("status ~ 5", "regular expression in quotes"),
        ("status is 5", "expected null"),
        ("timestamp > 'soon'", "timestamp is a time"),
        ("timestamp > 5", "timestamp is a time"),
        ("tasks > 't1'", "tasks is a list: ask whether it has a text"),
        ("tasks in (1, 2)", "tasks is a list: ask whether it has a text"),
        ("status = 5; DROP TABLE x", r"unexpected character \(at character 11\)"),
        ("(" * 200 + "status = 1" + ")" * 200, "nested too deeply"),
        ("not " * 200 + "status = 1", "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_told_where(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse(text)


@hypothesis.given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_message(text: str) -> None:
    try:
        found = predicate(parse(text))
    except ExpressionError:
        return
    assert found.sql.count("?") >= len(found.parameters)
