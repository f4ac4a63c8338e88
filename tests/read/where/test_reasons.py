"""Reasons why no request passes the filters."""

from __future__ import annotations

import pytest

from obs_middleware.read.where.conditions import Compared, Condition, Every, Missing, Not, Some
from obs_middleware.read.where.expression import parse
from obs_middleware.read.where.reasons import none_passes

ROUTES = ("a/", "")


def has(condition: Condition) -> bool:
    """Answer for a log with the fields ``status`` and ``route``, and the routes ``a/`` and the root."""
    match condition:
        case Not(of=Missing(field=field)):
            return field in {"status", "route"}
        case Compared(field="route", value=route):
            return route in ROUTES
    raise AssertionError(condition)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("status = 418", "none of the 50 request lines passes the filters"),
        ("tenat = 'acme'", "none of the 50 request lines passes the filters; no request line has the field tenat"),
        (
            "tenat ~ 'a' or not path = '/'",
            (
                "none of the 50 request lines passes the filters; no request line has the field path"
                "; no request line has the field tenat"
            ),
        ),
        ("route = 'a/' and status = 418", "none of the 50 request lines passes the filters"),
        (
            "route in ('/a/', 'x/')",
            (
                "none of the 50 request lines passes the filters; no request line has the route '/a/': routes have no "
                "leading slash, so try --route a/; no request line has the route 'x/'"
            ),
        ),
        (
            "route = '/'",
            (
                "none of the 50 request lines passes the filters; no request line has the route '/': routes have no "
                "leading slash, so try --route ''"
            ),
        ),
    ],
)
def test_a_message_names_unknown_fields_and_routes(where: str, message: str) -> None:
    assert none_passes(50, parse(where), has) == message


def test_one_line_is_in_the_singular() -> None:
    condition = Every((Some((Compared("status", "=", 418.0),)),))

    assert none_passes(1, condition, has) == "the one request line does not pass the filters"


def test_without_routes_the_field_is_named_only() -> None:
    message = none_passes(2, parse("route = 'a/'"), lambda _: False)

    assert message.endswith("filters; no request line has the field route")
