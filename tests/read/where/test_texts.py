"""Texts that a line must contain to match a condition."""

from __future__ import annotations

import pytest

from obs_middleware.read.where.conditions import Has
from obs_middleware.read.where.expression import parse
from obs_middleware.read.where.texts import MOST_TEXTS, texts_in


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ("request_id = 'bb50066b-44be'", [["bb50066b-44be"]]),
        ("path = '/orders/4711/'", [["orders"], ["4711"]]),
        ("tenant = 'caf\u00e9s du monde'", [["monde"], ["caf"]]),
        ("view = 'shop:list' and status = 500", [["shop:list"]]),
        ("view = 'shop:list' and user_id = 'ann'", [["shop:list"], ["ann"]]),
        ("view in ('one', 'three') or tenant = 'seven'", [["one", "three", "seven"]]),
        ("(view = 'one' and tenant = 'longer') or tenant = 'seven'", [["longer", "seven"]]),
    ],
)
def test_the_texts_are_the_longest_parts_that_json_never_escapes(expression: str, texts: list[list[str]]) -> None:
    assert texts_in(parse(expression)) == texts


@pytest.mark.parametrize(
    "expression",
    [
        "status = 500",
        "duration_seconds > 1s",
        "request_id is null",
        "not view = 'shop:list'",
        "view != 'shop:list'",
        "view ~ 'shop:list'",
        "view = 'shop:list' or status = 500",
        "timestamp = '2026-11-02T10:00:00Z'",
        "level = 'error'",  # `ERROR` in some schemas
        "kind = 'task'",  # follows from the message
        "tenant = true",
        "tenant = '100.0'",  # may be `1e2` in the line
        "tenant = '{\"a\":1}'",
        "view = 'ab'",
        "view = ''",
        f"view in ({', '.join(repr(f'view-{n}') for n in range(MOST_TEXTS + 1))})",
    ],
)
def test_nothing_is_known_of_a_condition_that_other_text_may_match(expression: str) -> None:
    assert texts_in(parse(expression)) == []


def test_a_list_contains_its_text() -> None:
    assert texts_in(Has("tasks", "4e1d-77")) == [["4e1d-77"]]
