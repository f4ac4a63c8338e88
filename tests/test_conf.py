"""`obs_middleware.conf`: mistakes in the setting are reported at start, each with a hint."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import override_settings

from obs_middleware.conf import Settings, find_problems, get_settings
from obs_middleware.middleware import TimingMiddleware


def test_every_default_is_accepted() -> None:
    assert list(find_problems({name.upper(): getattr(Settings(), name) for name in Settings.__slots__})) == []


@pytest.mark.parametrize("value", [None, [], "x", 1], ids=repr)
def test_a_value_that_is_not_a_dict_is_one_error(value: Any) -> None:
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
        ({"EXPOSE_HEADER": "X-Request-ID"}, "value", "Correct the value"),
        ({"REQUEST_ID": "ulid"}, "value", "Correct the value"),
        ({"REQUEST_ID": "no.such.thing"}, "callable", "Expected None, or a callable or its dotted path"),
        ({"REQUEST_ID": "django.conf.ENVIRONMENT_VARIABLE"}, "callable", "Expected None, or a callable"),
        ({"REQUEST_ID": lambda request, response: ""}, "callable", "Expected None, or a callable"),
        ({"REQUEST_ID": asyncio.sleep}, "callable", "Expected None, or a callable"),
        ({"REQUEST_ID_HEADER": "X Request"}, "value", "Correct the value"),
        ({"REQUEST_ID_HEADER": ""}, "value", "Correct the value"),
        ({"REQUEST_ID_HEADER": 7}, "value", "Correct the value"),
        ({"REPEATED_QUERIES": 1}, "value", "Correct the value, or leave the key out for its default, 10."),
        ({"REPEATED_QUERIES": False}, "value", "Correct the value"),
        ({"REPEATED_QUERIES": 2.5}, "value", "Correct the value"),
        (
            {"QUEUE_HEADER": "X_Request_Start"},
            "value",
            "Correct the value, or leave the key out for its default, None.",
        ),
        ({"QUEUE_HEADER": ""}, "value", "Correct the value"),
        ({"QUEUE_HEADER": True}, "value", "Correct the value"),
        (
            {"QUEUE_HEADER": "x-amzn-trace-id"},
            "value",
            'Expected the name of an HTTP header, such as "X-Request-Start"',
        ),
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
        ({"LEVEL": "no.such.thing"}, "callable", 'Expected None, "info", "status", or a callable'),
        ({"LEVEL": lambda: 20}, "callable", 'Expected None, "info", "status", or a callable'),
        ({"LOGGER": 7}, "value", "Correct the value"),
        ({"DATABASE": 1}, "value", "Correct the value"),
        ({"USER": None}, "value", "Correct the value"),
        ({"THREADS": 1}, "value", "Correct the value"),
        ({"USER": 0}, "value", "Correct the value"),
        ({"USER": "e mail"}, "value", "Correct the value"),
        ({"USER": "no.such.thing"}, "callable", "Expected True, False, the name of a field of the user"),
        ({"USER": lambda: ""}, "callable", "Expected True, False, the name of a field of the user"),
        ({"CLIENT_IP": None}, "value", "Correct the value"),
        ({"OUTGOING": "api.internal"}, "value", "Correct the value, or leave the key out for its default, None."),
        ({"OUTGOING": ["http://api.internal"]}, "value", "Correct the value"),
        ({"OUTGOING": ["api.internal:8000"]}, "value", "Correct the value"),
        ({"OUTGOING": ["api.internal/v2"]}, "value", "Correct the value"),
        ({"OUTGOING": ["*"]}, "value", "Correct the value"),
        ({"OUTGOING": ["*.example.com"]}, "value", "Correct the value"),
        ({"OUTGOING": ["."]}, "value", "Correct the value"),
        ({"OUTGOING": [""]}, "value", "Correct the value"),
        ({"FIELDS": ["colour"]}, "value", "Correct the value"),
        ({"FIELDS": "query"}, "value", "Correct the value"),
        ({"HEADERS": ["X Tenant"]}, "value", "Correct the value"),
        ({"REDACT": "password"}, "value", "Correct the value"),
        ({"ENRICH": "django.http.Nothing"}, "callable", "Expected None, or a callable"),
        ({"ENRICH": len}, "callable", "Expected None, or a callable"),
        ({"ENRICH": 7}, "value", "Correct the value"),
        ({"SERVER_TIMING": "yes"}, "value", "Correct the value"),
        ({"TRACE_RESPONSE": "yes"}, "value", "Correct the value, or leave the key out for its default, False."),
        ({"METRICS": None}, "value", "Correct the value, or leave the key out for its default, False."),
        ({"METRICS": 1}, "value", "Correct the value"),
        ({"METRICS": ""}, "value", "Correct the value"),
        ({"METRICS": "run/metrics"}, "value", "Correct the value"),
        ({"WATCHDOG_SECONDS": 0}, "value", "Correct the value"),
        ({"WATCHDOG_SECONDS": float("inf")}, "value", "Correct the value"),
    ],
)
def test_a_mistake_is_reported_with_a_hint(raw: dict[Any, Any], kind: str, hint: str) -> None:
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


def test_a_missing_key_has_its_default() -> None:
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
        {"REQUEST_ID": "secrets.token_hex"},
        {"REQUEST_ID": "uuid.uuid4"},
        {"USER": "email"},
        {"USER": "django.utils.text.slugify"},
        {"SERVER_TIMING": "debug"},
        {"WATCHDOG_SECONDS": 0.5, "SLOW_SECONDS": 1, "SAMPLE_RATE": 0},
        {"LOGGER": "site.requests"},
        {"METRICS": True},
        {"METRICS": "/run/shop/metrics"},
        {"METRICS": Path("/run/shop/metrics")},
    ],
    ids=repr,
)
def test_valid_settings_are_accepted(raw: dict[str, Any]) -> None:
    assert list(find_problems(raw)) == []
    with override_settings(OBS_MIDDLEWARE=raw):
        TimingMiddleware(lambda request: HttpResponse())
