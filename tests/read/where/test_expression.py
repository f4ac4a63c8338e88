"""The language of ``--where`` and the other filters."""

from __future__ import annotations

import argparse
import datetime as dt

import duckdb
import hypothesis
import hypothesis.strategies as st
import pytest

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.files.predicate import predicate
from obs_middleware.read.where.conditions import Every
from obs_middleware.read.where.expression import parse, seconds_of
from obs_middleware.read.where.options import add_filters, condition_of, said

ROW = {
    "status": (404, "INTEGER"),
    "duration_seconds": (0.25, "DOUBLE"),
    "route": ("orders/<int:pk>/", "VARCHAR"),
    "method": ("GET", "VARCHAR"),
    "view": (None, "VARCHAR"),
    "cart_items": ("12", "VARCHAR"),
    "vip": ("true", "VARCHAR"),
    "größe": (None, "VARCHAR"),
    "timestamp": (dt.datetime(2026, 11, 2, 10), "TIMESTAMP"),  # noqa: DTZ001 -- as the engine has it
}


def holds(sql: str, parameters: tuple[object, ...]) -> bool:
    columns = ", ".join(f'?::{kind} AS "{name}"' for name, (_, kind) in ROW.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            f"SELECT count(*) FROM (SELECT {columns}) WHERE {sql}", [*(value for value, _ in ROW.values()), *parameters]
        ).fetchone()
    assert found is not None
    return bool(found[0])


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
    found = predicate(parse(text))

    assert holds(found.sql, found.parameters) is expected


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


@hypothesis.given(st.text(st.characters(exclude_characters="\"'\\", exclude_categories=["Cs"]), max_size=40))
def test_a_value_never_gets_into_the_sql(text: str) -> None:
    found = predicate(parse(f"route = '{text}'"))

    assert found.sql == predicate(parse("route = 'other'")).sql
    assert found.parameters == (text,)


@pytest.mark.parametrize(
    ("text", "seconds"), [("300ms", 0.3), ("1.5s", 1.5), ("2", 2.0), ("15m", 900.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


def test_what_is_no_duration_is_a_message() -> None:
    with pytest.raises(ExpressionError, match="use a number with a unit"):
        seconds_of("soon")


def filters(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_filters(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], True),
        (["--status", "4xx"], True),
        (["--status", "500,404"], True),
        (["--status", "400-403"], False),
        (["--status", "5xx", "--status", "404"], True),
        (["--method", "get"], True),
        (["--method", "POST"], False),
        (["--route", "orders/<int:pk>/"], True),
        (["--route", ""], False),
        (["--since", "2026-11-02"], True),
        (["--since", "2026-11-02T10:00:00Z", "--until", "2026-11-02T11:00+01:00"], False),
        (["--until", "2026-11-02T10:00:01"], True),
        (["--since", "1h"], True),
        (["--since", "15m"], False),
        (["--where", "status = 404", "--where", "method = 'GET'"], True),
        (["--where", "status = 404 or status = 500", "--method", "POST"], False),
    ],
)
def test_all_filters_have_to_hold(arguments: list[str], expected: bool) -> None:
    """Now is half past ten."""
    found = predicate(condition_of(filters(*arguments), dt.datetime(2026, 11, 2, 10, 30, tzinfo=dt.UTC)))

    assert holds(found.sql, found.parameters) is expected


@pytest.mark.parametrize("arguments", [["--status", "ok"], ["--since", "yesterday"], ["--where", "1"]])
def test_what_is_no_filter_is_a_message(arguments: list[str]) -> None:
    with pytest.raises(ExpressionError):
        condition_of(filters(*arguments))


def test_the_filters_can_be_said_again() -> None:
    arguments = filters("--since", "2h", "--status", "5xx", "--status", "404")

    assert said(arguments) == ("--since 2h", "--status 5xx", "--status 404")


def test_no_condition_at_all_always_holds() -> None:
    assert holds(predicate(Every()).sql, ())
