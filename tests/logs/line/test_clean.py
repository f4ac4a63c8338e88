"""`obs_middleware.logs.line.clean`: names become keys that every store takes, and secrets are hidden."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from records import clean, fields

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.redaction import Secrets
from obs_middleware.testing import parse_line


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


def test_two_extras_that_become_one_are_both_kept() -> None:
    line = parse_line(JSONFormatter().format(logging.makeLogRecord({"msg": "x", "status": 1, "app_status": 2})))

    assert (line["app_status"], line["app_status_2"]) == (2, 1)
