"""`obs_middleware.checks`: mistakes are reported by ``manage.py check``, each with a hint."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from paths import DOCS

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


def test_the_page_shows_the_messages_and_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "reference" / "checks.md").read_text()
    monkeypatch.setattr(checks, "raw_settings", lambda: {"ENABELD": True, "SAMPLE_RATE": 20, "EXCLUDE": ["(healthz"]})

    with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware", OURS]):
        messages = [*checks.check_settings(), *checks.check_middleware()]

    assert [f"{message}\n" in page for message in messages] == [True] * 4
    assert f"System check identified {len(messages)} issues" in page


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o700, None),
        (0o750, None),
        (0o777, "can be written to by every user of this machine"),
        (None, "does not exist"),
    ],
)
def test_a_directory_that_cannot_be_used_is_reported(
    mode: int | None, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metrics"
    if mode is not None:
        folder.mkdir()
        folder.chmod(mode)
    for named in (str(folder), folder):
        monkeypatch.setattr(checks, "raw_settings", lambda named=named: {"METRICS": named})

        messages = checks.check_metrics()

        assert ids(messages) == ["W011"] * (reason is not None)
        assert all(message.msg.endswith(f"which {reason}.") for message in messages)


def test_a_directory_of_another_user_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "raw_settings", lambda: {"METRICS": str(tmp_path)})
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere

    (message,) = checks.check_metrics()

    assert message.msg.endswith("which cannot be written to.")


@pytest.mark.parametrize("raw", [{}, {"METRICS": True}, {"METRICS": False}, []], ids=repr)
def test_only_a_named_directory_is_checked(raw: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "raw_settings", lambda: raw)

    assert checks.check_metrics() == []


@pytest.mark.parametrize(
    ("user", "hint"),
    [("emal", "'email'"), ("nickname", "callable"), ("email", None), ("pk", None), (True, None), ("a.b", None)],
)
def test_a_field_that_users_do_not_have_is_reported(
    user: object, hint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "raw_settings", lambda: {"USER": user})

    messages = checks.check_user()

    assert ids(messages) == ["W010"] * (hint is not None)
    assert all(str(hint) in str(message.hint) for message in messages)


def test_a_site_without_users_has_no_fields_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "raw_settings", lambda: {"USER": "emal"})

    with override_settings(AUTH_USER_MODEL="nobody.User"):
        assert checks.check_user() == []


@pytest.mark.parametrize(
    ("name", "is_near"),
    [
        ("OBS_MIDDLEWARES", True),
        ("OBS_MIDDELWARE", True),
        ("OBSMIDDLEWARE", True),
        ("OBS_MIDDLEWARE_SAMPLE_RATE", True),
        ("LOG_MIDDLEWARE", False),
        ("OBSERVABILITY", False),
    ],
)
def test_a_setting_with_almost_the_right_name_is_reported(name: str, is_near: bool) -> None:
    with override_settings(**{name: {}}):
        messages = checks.check_settings()

    assert ids(messages) == ["W009"] * is_near
    assert all(message.msg.startswith(f"{name} is not OBS_MIDDLEWARE") for message in messages)


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


@pytest.mark.parametrize(
    ("above", "expected"), [("django_guid.middleware.guid_middleware", []), ("shop.middleware.Own", ["W002"])]
)
def test_a_middleware_whose_id_is_used_may_be_above(above: str, expected: list[str]) -> None:
    with override_settings(MIDDLEWARE=[above, OURS]):
        assert ids(checks.check_middleware()) == ["W002"]
        with override_settings(OBS_MIDDLEWARE={"REQUEST_ID": str}):
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
        ({"USE_X_FORWARDED_HOST": True}, {"CLIENT_IP": False}, []),
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


def test_one_middleware_can_be_left_out_of_the_check_of_bridges() -> None:
    paths = ["testproject.middleware.sync_only", "testproject.middleware.failing_before"]
    with override_settings(ASGI_APPLICATION="site.asgi.application", MIDDLEWARE=[OURS, *paths]):
        hints = [str(message.hint) for message in checks.check_bridges()]
        silenced = [hint.split('"')[1] for hint in hints]
        assert len(hints) == 2
        with override_settings(SILENCED_SYSTEM_CHECKS=silenced[:1]):
            (left,) = checks.check_bridges()

    assert left.msg.startswith(paths[1])


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
