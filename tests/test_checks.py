"""`obs_middleware.checks`: mistakes are reported by ``manage.py check``, each with a hint."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from obs_middleware import checks
from obs_middleware.logs.filters import RequestContextFilter
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.processors import add_request_context

OURS = "obs_middleware.middleware.TimingMiddleware"


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
    # Not override_settings(): a running middleware would refuse the value first.
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
        (["opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware", OURS], []),
        (["scout_apm.django.middleware.MiddlewareTimingMiddleware", "opentelemetry.Other", OURS], []),
        (["opentelemetry.Other", "django.middleware.common.CommonMiddleware", OURS], ["W002"]),
    ],
    ids=[
        "first",
        "subclass",
        "missing",
        "second",
        "twice",
        "late and twice",
        "below OpenTelemetry",
        "below two that insert themselves",
        "below another one, too",
    ],
)
def test_the_place_of_the_middleware_is_checked(middleware: list[str], expected: list[str]) -> None:
    with override_settings(MIDDLEWARE=middleware):
        assert ids(checks.check_middleware()) == expected


def test_logging_that_swallows_the_line_is_reported() -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    assert ids(checks.check_logging()) == []
    root.setLevel(logging.WARNING)
    assert ids(checks.check_logging()) == ["W004"]
    root.setLevel(logging.INFO)
    root.handlers.clear()
    assert ids(checks.check_logging()) == ["W005"]


def test_only_the_logger_that_gets_the_line_is_checked() -> None:
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
def test_a_proxy_that_is_not_trusted_is_reported(
    django: dict[str, Any], ours: dict[str, Any], expected: list[str]
) -> None:
    with override_settings(**django, OBS_MIDDLEWARE=ours):
        assert ids(checks.check_proxies()) == expected


def test_handlers_without_the_fields_are_reported() -> None:
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
def test_a_layer_that_costs_thread_changes_is_reported(
    asgi: str | None, middleware: list[str], expected: list[str]
) -> None:
    with override_settings(ASGI_APPLICATION=asgi, MIDDLEWARE=middleware):
        messages = checks.check_bridges()

    assert ids(messages) == expected
    assert all("testproject.middleware.sync_only" in message.msg for message in messages)


def test_the_checks_do_not_configure_logging() -> None:
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.INFO)
    checks.check_logging()

    assert root.handlers == []


def test_a_correct_project_gets_no_message() -> None:
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


def test_every_check_id_is_documented() -> None:
    used = {message.id for name, message in vars(checks).items() if name[:1] in "EW" and name[1:].isdigit()}

    assert used | set(checks._IDS.values()) == set(checks.CHECKS)
