"""The filters that every command has."""

from __future__ import annotations

import argparse
import datetime as dt

import pytest
from tables import holds

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.where.options import add_filters, condition_of, said
from obs_middleware.read.where.times import zone_of


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
        (["--since", "today", "--until", "10:01"], True),
        (["--since", "11:00", "--tz", "Europe/Amsterdam"], True),
        (["--until", "11:00", "--tz=+01:00"], False),
        (["--where", "status = 404", "--where", "method = 'GET'"], True),
        (["--where", "status = 404 or status = 500", "--method", "POST"], False),
    ],
)
def test_all_filters_have_to_hold(arguments: list[str], expected: bool) -> None:
    """Now is half past ten."""
    given = filters(*arguments)
    condition = condition_of(given, dt.datetime(2026, 11, 2, 10, 30, tzinfo=dt.UTC).astimezone(zone_of(given.tz)))

    assert holds(condition) is expected


@pytest.mark.parametrize("arguments", [["--status", "ok"], ["--since", "yesterdy"], ["--tz", "Mars"], ["--where", "1"]])
def test_what_is_no_filter_is_a_message(arguments: list[str]) -> None:
    with pytest.raises(ExpressionError):
        condition_of(filters(*arguments))


def test_the_filters_can_be_said_again() -> None:
    arguments = filters("--since", "2h", "--status", "5xx", "--status", "404")

    assert said(arguments) == ("--since 2h", "--status 5xx", "--status 404")
