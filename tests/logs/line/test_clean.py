"""`obs_middleware.logs.line.clean`: any value becomes strict JSON, the same with orjson and without."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import ipaddress
import json
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
    EXAMPLES,
    Colour,
    Hashless,
    Nameless,
    Number,
    Point,
    Raising,
    RaisingClass,
    RaisingGet,
    RaisingItems,
    RaisingIteration,
    Text,
    cycle,
    explosion,
    lazy_user,
    names,
    values,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line import encode
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.limits import MAX_DEPTH, MAX_ITEMS, MAX_VALUES
from obs_middleware.logs.line.values import NO_SECRETS
from obs_middleware.logs.options import SchemaName
from obs_middleware.measure.event import RequestEvent, current_event
from obs_middleware.redaction import Secrets
from obs_middleware.testing import CapturedRequests, parse_line

clean = Cleaner().clean


def fields(event_dict: dict[Any, Any], secrets: Secrets = NO_SECRETS) -> dict[str, Any]:
    """Return what becomes of the fields of an event."""
    return Cleaner(secrets).clean_fields(event_dict)[0]


def dumps(event_dict: dict[str, Any]) -> str:
    """Render an event as the formatter does."""
    return encode.dumps(fields(event_dict))


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


def test_a_name_is_made_of_what_every_store_takes() -> None:
    given = {"a.b": 1, "größe": 2, "": 3, "a b": 4, "x" * 100: 5, "@ok-1": 6, 7: 7, ("t",): 8}

    assert fields(given) == {"@ok-1": 6, "a_b": 1, "gr__e": 2, "_": 3, "a_b_2": 4, "x" * 64: 5, "7": 7, "__t__": 8}


def test_a_name_that_needs_no_change_keeps_it_and_no_value_is_lost() -> None:
    assert fields({"a.b": 1, "a b": 2, "a_b": 3, "a_b_2": 4}) == {"a_b": 3, "a_b_2": 4, "a_b_3": 1, "a_b_4": 2}
    assert clean({"a.b": 1, "a_b": 2, "c": {"d.e": 3}}) == {"a_b": 2, "a_b_2": 1, "c": {"d_e": 3}}


def test_a_name_cannot_become_one_of_the_package() -> None:
    assert fields({"status": 200, "stack.trace": "x", "message": "y", "event": "text"}) == {
        "status": 200,
        "message": "text",
        "app_stack_trace": "x",
        "app_message": "y",
    }


def test_the_message_may_have_been_renamed_by_a_processor() -> None:
    assert fields({"message": "text"}) == {"message": "text"}


@pytest.mark.parametrize(("given", "text"), [(1, "1"), (None, "null"), ({"a": [1]}, '{"a": [1]}'), (b"x", "x")])
def test_the_message_is_always_text(given: Any, text: str) -> None:
    assert fields({"event": given})["message"] == text


def test_a_secret_is_hidden_by_its_whole_name_at_every_depth() -> None:
    long = "x" * 100 + "password"
    line = fields(
        {"my.password": 1, long: 2, "a": {"api.key": 3, 4: {"Token": [5]}}}, Secrets(["password", "token", "api_key"])
    )

    assert line == {
        "my_password": "[redacted]",
        "x" * 64: "[redacted]",
        "a": {"api_key": "[redacted]", "4": {"Token": "[redacted]"}},
    }


def test_names_without_end_are_not_all_remembered() -> None:
    cleaner = Cleaner()
    for number in range(10_000):
        cleaner.clean_fields({f"name{number}": 1})

    assert len(cleaner._keys) <= 4_096


@settings(max_examples=EXAMPLES)
@given(st.dictionaries(names, values, max_size=10))
def test_every_event_is_strict_json_and_the_same_with_and_without_orjson(event: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        for has_orjson in (True, False):
            patch.setattr(encode, "_HAS_ORJSON", has_orjson)
            lines.append(dumps(event))

    first, second = (parse_line(line) for line in lines)
    assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert all("\n" not in line for line in lines)
    assert all(line.encode().decode() == line for line in lines)
    own = [name for name in first if name not in {"truncated", "truncated_fields", "message"}]
    assert len(own) >= len(event) - 2  # `event` and `message` aside, every field has a key of its own


# When all else fails


def raising(_: Any, __: str, event_dict: Any) -> Any:
    raise RuntimeError("no")


def nonsense(_: Any, __: str, event_dict: Any) -> Any:
    return 7


@pytest.mark.parametrize("processor", [raising, nonsense])
@pytest.mark.parametrize("schema", ["flat", "ecs", "otel", "datadog", "gcp"])
def test_a_line_that_cannot_be_written_whole_has_its_core_and_says_so(
    schema: SchemaName, processor: Any, lines: CapturedRequests
) -> None:
    formatter = JSONFormatter(schema=schema, service="shop", processors=[processor])
    event = RequestEvent(0.0, "the-id", "GET", "/orders/7/")
    event.message, event.status = "Request took 0.1234 seconds", 200
    event.route = "orders/<int:number>/"
    event.say().bound["tenant"] = "t1"
    current_event.set(event)

    text = formatter.format(logging.LogRecord("root", 20, __file__, 1, event.message, None, None))

    parse_line(text)
    for part in ("Request took 0.1234 seconds", "the-id", "GET", "/orders/7/", "orders/<int:number>/", "200", "shop"):
        assert part in text
    assert f'format_error":"{"RuntimeError" if processor is raising else "TypeError"}"' in text
    assert "tenant" not in text


def test_the_secrets_of_a_dict_that_was_logged_stay_hidden_when_a_processor_fails(lines: CapturedRequests) -> None:
    formatter = JSONFormatter(processors=[raising])

    line = parse_line(formatter.format(logging.makeLogRecord({"msg": {"event": "login", "password": "s3cret"}})))

    assert (line["message"], line["format_error"]) == ("login", "RuntimeError")
    assert "s3cret" not in str(line)


@pytest.mark.parametrize(
    "make",
    [Raising, RaisingClass, lazy_user, lambda: RaisingIteration([1]), Nameless, Hashless, lambda: RaisingGet(a=1)],
)
def test_a_message_that_is_no_text_does_not_lose_the_line(make: Callable[[], Any], lines: CapturedRequests) -> None:
    """The logging module itself would call its ``__str__``, so what that does is the caller's to know."""
    line = parse_line(JSONFormatter().format(logging.makeLogRecord({"msg": make(), "args": None})))

    assert line["event_id"]
    assert isinstance(line["message"], str)


def test_two_extras_that_become_one_are_both_kept() -> None:
    line = parse_line(JSONFormatter().format(logging.makeLogRecord({"msg": "x", "status": 1, "app_status": 2})))

    assert (line["app_status"], line["app_status_2"]) == (2, 1)
