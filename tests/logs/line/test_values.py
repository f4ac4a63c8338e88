"""`obs_middleware.logs.line.values`: any value becomes JSON, within limits and without a query."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import ipaddress
import logging
import pathlib
import socket
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from hostile import (
    Colour,
    Nameless,
    Number,
    Point,
    Raising,
    RaisingClass,
    RaisingItems,
    RaisingIteration,
    Text,
    cycle,
    explosion,
    lazy_user,
)
from records import clean, dumps

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.limits import MAX_DEPTH, MAX_ITEMS, MAX_VALUES
from obs_middleware.testing import parse_line


class Pair(NamedTuple):
    a: int
    b: int


CASES: list[tuple[str, Any, Any]] = [
    ("nan", float("nan"), None),
    ("infinity", [float("inf"), float("-inf")], [None, None]),
    ("big", 2**63, "9223372036854775808"),
    ("biggest", 2**63 - 1, 2**63 - 1),
    ("smallest", -(2**63), -(2**63)),
    ("too small", -(2**63) - 1, "-9223372036854775809"),
    ("nul", "a\0b", "a\ufffdb"),
    ("surrogate", "a\ud800b", "a\ufffdb"),
    ("bytes", b"caf\xc3\xa9\xff", "café\ufffd"),
    ("bytearray", bytearray(b"x"), "x"),
    ("memoryview", memoryview(b"x"), "x"),
    ("tuple", (1, 2), [1, 2]),
    ("namedtuple", Pair(1, 2), [1, 2]),
    ("words", ["token", "mail"], ["token", "mail"]),
    ("set", {1}, [1]),
    ("deque", collections.deque([1, 2]), [1, 2]),
    (
        "keys",
        {1: "a", "1": "b", None: "c", False: "d", (1, 2): "e"},
        {"1": "a", "1_2": "b", "null": "c", "false": "d", "_1__2_": "e"},
    ),
    ("dataclass", Point(1, {2}), {"x": 1, "y": [2]}),
    ("class", dict, "<class 'dict'>"),
    ("enum", Colour.RED, "red"),
    ("int enum", Number.ONE, 1),
    ("str subclass", Text("truth"), "truth"),
    ("decimal", decimal.Decimal("1.10"), "1.10"),
    ("decimal nan", decimal.Decimal("NaN"), "NaN"),
    ("uuid", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("date", dt.date(2026, 11, 2), "2026-11-02"),
    ("datetime", dt.datetime(2026, 11, 2, 10, tzinfo=dt.UTC), "2026-11-02T10:00:00+00:00"),
    ("time", dt.time(10, 30), "10:30:00"),
    ("timedelta", dt.timedelta(minutes=1), 60.0),
    ("path", pathlib.PurePosixPath("/a/b"), "/a/b"),
    ("ip", ipaddress.ip_address("::1"), "::1"),
    ("lazy text", gettext_lazy("Ready"), "Ready"),
    ("exception", ValueError("no"), "ValueError: no"),
    ("object", object(), "<object>"),
    ("range", range(3), "<range>"),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_value_becomes_json(value: Any, expected: Any) -> None:
    assert parse_line(dumps({"value": value}))["value"] == expected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Raising, "Raising>"),
        (lambda: RaisingItems(a=1), "RaisingItems>"),
        (lambda: RaisingIteration([1]), "RaisingIteration>"),
        (lambda: (i for i in "ab"), "<generator>"),
        (lazy_user, "<django.utils.functional.SimpleLazyObject>"),
        (HttpRequest, "<django.http.request.HttpRequest>"),
        (lambda: 10**10000, "bits)"),
        (RaisingClass, "RaisingClass>"),
        (Nameless, "<object>"),
    ],
    ids=["repr", "items", "iter", "generator", "lazy", "request", "digits", "class", "name"],
)
def test_a_value_without_a_form_becomes_its_types_name(make: Callable[[], Any], text: str) -> None:
    """Made inside the test: to be looked at by pytest is enough to evaluate a lazy object."""
    assert parse_line(dumps({"value": make()}))["value"].endswith(text)


def test_a_generator_is_not_consumed() -> None:
    generator = iter([1, 2])
    clean(generator)

    assert list(generator) == [1, 2]


def test_a_socket_and_a_cycle_and_a_deep_value_are_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(1000):
        deep = [deep]
    with socket.socket() as a_socket:
        text = dumps({"cycle": cycle(), "deep": deep, "wide": list(range(1000)), "socket": a_socket})

    line = parse_line(text)
    assert str(line["deep"]).count("[") == MAX_DEPTH
    assert len(line["wide"]) == MAX_ITEMS + 1
    assert line["wide"][-1] == "... 950 more"
    assert len(text) < 2000


def test_a_wide_mapping_is_bounded() -> None:
    wide = clean({str(n): n for n in range(1000)})

    assert len(wide) == MAX_ITEMS + 1
    assert wide["_more"] == "950 more"


def test_all_values_of_an_event_together_are_bounded() -> None:
    """Fifty times itself, six levels deep, would be billions: a request must not hang on what was bound."""
    text = dumps({"first": explosion(), "second": explosion(), "third": {1: explosion()}})

    assert text.count("[") <= MAX_VALUES + 2
    assert parse_line(text)["truncated_fields"] == ["first", "second", "third"]


@pytest.mark.django_db
def test_query_sets_and_models_and_lazy_users_cost_no_query() -> None:
    user = User.objects.create(username="u")
    deferred = User.objects.only("username").get()
    del deferred.__dict__["id"]
    with CaptureQueriesContext(connection) as queries:
        line = parse_line(
            dumps(
                {
                    "set": User.objects.all(),
                    "manager": User.objects,
                    "raw": User.objects.raw("SELECT 1"),
                    "model": user,
                    "deferred": deferred,
                    "lazy": lazy_user(),
                    "known": SimpleLazyObject(lambda: user),
                    "nested": [User.objects.all()],
                }
            )
        )

    assert len(queries) == 0
    assert line["set"] == "<django.db.models.query.QuerySet>"
    assert line["nested"] == ["<django.db.models.query.QuerySet>"]
    assert line["model"] == f"<auth.User: {user.pk}>"
    assert line["deferred"] == "<auth.User: None>"
    assert line["known"] == "<django.utils.functional.SimpleLazyObject>"


def test_a_composite_primary_key_is_shown_with_its_parts() -> None:
    class Place(models.Model):
        pk = models.CompositePrimaryKey("row", "seat")
        row: Any = models.IntegerField()
        seat: Any = models.CharField(max_length=2)

        class Meta:
            app_label = "theatre"

        def __str__(self) -> str:
            raise AssertionError("nobody asks for it")

    line = parse_line(JSONFormatter().format(logging.makeLogRecord({"msg": "x", "place": Place(row=4, seat="B")})))

    assert line["place"] == "<theatre.Place: (4, B)>"


def test_an_evaluated_lazy_object_is_what_it_wraps() -> None:
    lazy = SimpleLazyObject(lambda: "text")
    assert str(lazy) == "text"

    assert clean(lazy) == "text"
