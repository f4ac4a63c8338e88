"""`obs_middleware.conf` and `obs_middleware.checks`: mistakes are reported at start, each with a hint."""

from __future__ import annotations

import io
import logging
from dataclasses import fields
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpResponse
from django.test import override_settings

from obs_middleware import checks
from obs_middleware.conf import EXPECTED, Settings, find_problems, get_settings
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.processors import add_request_context
from obs_middleware.middleware import TimingMiddleware

OURS = "obs_middleware.middleware.TimingMiddleware"


def test_every_setting_has_a_default_and_a_check() -> None:
    assert {field.name.upper() for field in fields(Settings)} == set(EXPECTED)
    assert list(find_problems({name.upper(): getattr(Settings(), name) for name in Settings.__slots__})) == []


@pytest.mark.parametrize("value", [None, [], "x", 1], ids=repr)
def test_what_is_not_a_dict_is_one_error(value: Any) -> None:
    with override_settings(OBS_MIDDLEWARE={}):
        assert [problem.kind for problem in find_problems(value)] == ["mapping"]


@pytest.mark.parametrize(
    ("raw", "kind", "hint"),
    [
        ({"ENABLD": True}, "unknown", "Did you mean 'ENABLED'?"),
        ({"enabled": True}, "unknown", "Did you mean 'ENABLED'?"),
        ({"COLOUR": "red"}, "unknown", "The settings are ENABLED, "),
        ({1: 2}, "unknown", "The settings are ENABLED, "),
        ({"ENABLED": "yes"}, "value", "Correct the value, or leave the key out for its default, True."),
        ({"TRUST_REQUEST_ID": 1}, "value", "Correct the value"),
        ({"RESPONSE_HEADER": None}, "value", "Correct the value"),
        ({"REQUEST_ID_HEADER": "X Request"}, "value", "Correct the value"),
        ({"REQUEST_ID_HEADER": ""}, "value", "Correct the value"),
        ({"REQUEST_ID_HEADER": 7}, "value", "Correct the value"),
        ({"TRUSTED_PROXIES": -1}, "value", "Correct the value, or leave the key out for its default, 0."),
        ({"TRUSTED_PROXIES": True}, "value", "Correct the value"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, "value", "Correct the value"),
        ({"TRUSTED_PROXIES": ["10.0.0.0/99"]}, "value", "Expected the number of your proxies"),
        ({"EXCLUDE": "^/x"}, "value", "Correct the value"),
        ({"EXCLUDE": ["("]}, "regex", "Expected a list of regular expressions"),
        ({"QUIET": [7]}, "value", "Correct the value"),
        ({"QUIET": ["["]}, "regex", "Expected a list of regular expressions"),
        ({"QUIET_SECONDS": None}, "value", "Correct the value"),
        ({"QUIET_SECONDS": 0}, "value", "Correct the value"),
        ({"SAMPLE_RATE": 20}, "value", "Correct the value, or leave the key out for its default, 1.0."),
        ({"SAMPLE_RATE": True}, "value", "Correct the value"),
        ({"SAMPLE_RATE": float("nan")}, "value", "Correct the value"),
        ({"SLOW_SECONDS": -1}, "value", "Correct the value"),
        ({"LEVEL": "INFO"}, "value", "Correct the value"),
        ({"LEVEL": "no.such.thing"}, "callable", 'Expected None, "status", or a callable'),
        ({"LEVEL": lambda: 20}, "callable", 'Expected None, "status", or a callable'),
        ({"LOGGER": 7}, "value", "Correct the value"),
        ({"DATABASE": 1}, "value", "Correct the value"),
        ({"USER": None}, "value", "Correct the value"),
        ({"FIELDS": ["colour"]}, "value", "Correct the value"),
        ({"FIELDS": "query"}, "value", "Correct the value"),
        ({"HEADERS": ["X Tenant"]}, "value", "Correct the value"),
        ({"REDACT": "password"}, "value", "Correct the value"),
        ({"ENRICH": "django.http.Nothing"}, "callable", "Expected None, or a callable"),
        ({"ENRICH": len}, "callable", "Expected None, or a callable"),
        ({"ENRICH": 7}, "value", "Correct the value"),
        ({"SERVER_TIMING": "yes"}, "value", "Correct the value"),
        ({"WATCHDOG_SECONDS": 0}, "value", "Correct the value"),
        ({"WATCHDOG_SECONDS": float("inf")}, "value", "Correct the value"),
    ],
)
def test_a_mistake_is_named_with_its_cure(raw: dict[Any, Any], kind: str, hint: str) -> None:
    (problem,) = find_problems(raw)

    assert problem.kind == kind
    assert repr(next(iter(raw))) in problem.message
    assert problem.hint.startswith(hint)


def test_the_message_names_the_value_and_what_was_expected() -> None:
    (problem,) = find_problems({"ENABLED": "yes"})

    assert problem.message == "OBS_MIDDLEWARE['ENABLED'] is 'yes'; expected True or False."


def test_a_mistake_stops_the_start_too() -> None:
    with (
        pytest.raises(ImproperlyConfigured, match="expected True or False"),
        override_settings(OBS_MIDDLEWARE={"ENABLED": "yes"}),
    ):
        TimingMiddleware(lambda request: HttpResponse())


def test_what_is_not_set_has_its_default() -> None:
    with override_settings(OBS_MIDDLEWARE={"RESPONSE_HEADER": False}):
        assert get_settings() == Settings(response_header=False)
    assert get_settings() == Settings()


@pytest.mark.parametrize(
    "raw",
    [
        {"TRUSTED_PROXIES": ["10.0.0.0/8", "::1"]},
        {"TRUSTED_PROXIES": 3},
        {"EXCLUDE": (r"^/healthz$",)},
        {"LEVEL": "status"},
        {"LEVEL": "obs_middleware.measure.policy.level_by_status"},
        {"LEVEL": print},
        {"ENRICH": dict},
        {"FIELDS": ("query", "host")},
        {"SERVER_TIMING": "debug"},
        {"WATCHDOG_SECONDS": 0.5, "SLOW_SECONDS": 1, "SAMPLE_RATE": 0},
        {"LOGGER": "site.requests"},
    ],
    ids=repr,
)
def test_what_is_right_is_not_complained_of(raw: dict[str, Any]) -> None:
    assert list(find_problems(raw)) == []
    with override_settings(OBS_MIDDLEWARE=raw):
        TimingMiddleware(lambda request: HttpResponse())


def ids(messages: Any) -> list[str]:
    return [message.id.removeprefix("obs_middleware.") for message in messages]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], "E001"),
        ({"NO": 1}, "E002"),
        ({"ENABLED": 1}, "E003"),
        ({"QUIET": ["("]}, "E004"),
        ({"ENRICH": "no.such.thing"}, "E005"),
    ],
    ids=["mapping", "unknown", "value", "regex", "callable"],
)
def test_settings_are_checked(value: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not by override_settings: a middleware that runs would refuse it first.
    monkeypatch.setattr(checks, "raw_settings", lambda: value)

    messages = checks.check_settings()

    assert ids(messages) == [expected]
    assert all(message.hint for message in messages)


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ([OURS], []),
        (["testproject.middleware.Plain"], []),
        ([], ["W001"]),
        (["django.middleware.common.CommonMiddleware", OURS], ["W002"]),
        ([OURS, OURS], ["W003"]),
        (["no.such.Thing", OURS, OURS], ["W002", "W003"]),
    ],
    ids=["first", "subclass", "missing", "second", "twice", "late and twice"],
)
def test_the_place_of_the_middleware_is_checked(middleware: list[str], expected: list[str]) -> None:
    with override_settings(MIDDLEWARE=middleware):
        assert ids(checks.check_middleware()) == expected


def test_a_log_that_swallows_the_line_is_told() -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    assert ids(checks.check_logging()) == []
    root.setLevel(logging.WARNING)
    assert ids(checks.check_logging()) == ["W004"]
    root.setLevel(logging.INFO)
    root.handlers.clear()
    assert ids(checks.check_logging()) == ["W005"]


def test_the_logger_that_gets_the_line_is_looked_at_and_no_other() -> None:
    root, own = logging.getLogger(), logging.getLogger("of.the.checks")
    handler = logging.NullHandler()
    root.setLevel(logging.WARNING)
    root.handlers.clear()
    own.setLevel(logging.INFO)
    with override_settings(OBS_MIDDLEWARE={"LOGGER": own.name}):
        assert ids(checks.check_logging()) == ["W005"]
        own.addHandler(handler)
        assert ids([*checks.check_logging(), *checks.check_formatters()]) == ["W007"]
        handler.setFormatter(JSONFormatter())
        assert ids([*checks.check_logging(), *checks.check_formatters()]) == []
        own.removeHandler(handler)
        root.addHandler(handler)
        assert ids([*checks.check_logging(), *checks.check_formatters()]) == []
        own.propagate = False
        assert ids(checks.check_logging()) == ["W005"]
        own.propagate = True
        own.setLevel(logging.ERROR)
        assert ids(checks.check_logging()) == ["W004"]
    own.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("django", "ours", "expected"),
    [
        ({}, {}, []),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, {}, ["W006"]),
        ({"USE_X_FORWARDED_HOST": True}, {}, ["W006"]),
        ({"USE_X_FORWARDED_HOST": True}, {"TRUSTED_PROXIES": 1}, []),
        ({"USE_X_FORWARDED_HOST": True}, {"TRUSTED_PROXIES": ["10.0.0.0/8"]}, []),
    ],
)
def test_a_proxy_that_is_not_trusted_is_told(django: dict[str, Any], ours: dict[str, Any], expected: list[str]) -> None:
    with override_settings(**django, OBS_MIDDLEWARE=ours):
        assert ids(checks.check_proxies()) == expected


def test_a_log_without_the_fields_is_told() -> None:
    root = logging.getLogger()
    handler = logging.StreamHandler()
    root.handlers[:] = [handler]
    assert ids(checks.check_formatters()) == ["W007"]

    handler.setFormatter(JSONFormatter())
    assert ids(checks.check_formatters()) == []

    handler.setFormatter(logging.Formatter())
    handler.addFilter(RequestContextFilter())
    assert ids(checks.check_formatters()) == []

    handler.filters.clear()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[add_request_context], processor=structlog.processors.JSONRenderer()
        )
    )
    assert ids(checks.check_formatters()) == []

    root.handlers.clear()
    assert ids(checks.check_formatters()) == []


@pytest.mark.parametrize(
    ("asgi", "middleware", "expected"),
    [
        ("site.asgi.application", [OURS, "testproject.middleware.sync_only"], ["W008"]),
        ("site.asgi.application", [OURS, "django.middleware.common.CommonMiddleware", "no.such.Thing"], []),
        (None, [OURS, "testproject.middleware.sync_only"], []),
    ],
    ids=["sync", "both", "wsgi"],
)
def test_a_layer_that_costs_threads_is_told(asgi: str | None, middleware: list[str], expected: list[str]) -> None:
    with override_settings(ASGI_APPLICATION=asgi, MIDDLEWARE=middleware):
        messages = checks.check_bridges()

    assert ids(messages) == expected
    assert all("testproject.middleware.sync_only" in message.msg for message in messages)


def test_the_checks_do_not_configure_the_log() -> None:
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.INFO)
    checks.check_logging()

    assert root.handlers == []


def test_a_sound_project_hears_nothing() -> None:
    output = io.StringIO()
    call_command("check", stderr=output)

    assert output.getvalue() == ""


def test_manage_py_check_prints_the_hint() -> None:
    output = io.StringIO()
    with override_settings(MIDDLEWARE=[OURS, *settings.MIDDLEWARE]):
        call_command("check", stderr=output)

    assert "obs_middleware.W003" in output.getvalue()
    assert "HINT: Leave only the first" in output.getvalue()


def test_a_check_can_be_silenced() -> None:
    output = io.StringIO()
    with override_settings(MIDDLEWARE=settings.MIDDLEWARE[1:], SILENCED_SYSTEM_CHECKS=["obs_middleware.W001"]):
        call_command("check", stderr=output)

    assert "obs_middleware" not in output.getvalue()


def test_an_error_fails_manage_py_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "raw_settings", lambda: {"ENABLED": "yes"})

    with pytest.raises(SystemCheckError, match=r"obs_middleware\.E003"):
        call_command("check", stderr=io.StringIO())


def test_ids_are_unique_and_documented_where_they_are_made() -> None:
    used = {message.id for name, message in vars(checks).items() if name[:1] in "EW" and name[1:].isdigit()}

    assert used | set(checks._IDS.values()) == set(checks.CHECKS)
