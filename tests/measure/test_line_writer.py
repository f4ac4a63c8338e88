"""`obs_middleware.measure.line_writer`: the level and the logger of the line, and failures while it is written."""

from __future__ import annotations

import logging
from typing import Any
from unittest.mock import patch

import pytest
from conftest import Get, Site, respond
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from obs_middleware.testing import CapturedRequests, capture_requests


def test_the_level_of_a_line_is_as_configured(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"LEVEL": "status"}):
        for url in ("/ok/", "/nowhere/", "/unavailable/"):
            get(url)
    get("/nowhere/")

    assert [line["level"] for line in lines] == ["info", "warning", "error", "info"]


def by_duration(status: int, duration_seconds: float, outcome: str) -> str:
    return "error" if duration_seconds >= 0 else "info"


def failing_level(status: int, duration_seconds: float, outcome: str) -> int:
    raise BaseException("no")


@pytest.mark.parametrize(
    ("level", "expected"),
    [(by_duration, "error"), (lambda *_: 30, "warning"), (lambda *_: "nonsense", "info"), (failing_level, "info")],
    ids=["name", "number", "nonsense", "failing"],
)
def test_a_callable_decides_the_level_and_may_fail(
    get: Get, level: Any, expected: str, lines: CapturedRequests
) -> None:
    with override_settings(OBS_MIDDLEWARE={"LEVEL": level}):
        assert get("/ok/").status_code == 200

    assert [line["level"] for line in lines] == [expected]


@pytest.mark.parametrize("level", [lambda *_: "nonsense", failing_level], ids=["nonsense", "failing"])
def test_a_failure_stays_an_error_if_the_callable_fails(get: Get, level: Any, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"LEVEL": level}):
        get("/fail/")

    assert [line["level"] for line in lines] == ["error"]


def test_a_dotted_path_names_the_callable(site: Site, lines: CapturedRequests) -> None:
    site.get(
        lambda request: HttpResponse(status=404),
        OBS_MIDDLEWARE={"LEVEL": "obs_middleware.measure.policy.level_by_status"},
    )

    assert lines[0]["level"] == "warning"


def test_the_line_can_go_to_a_named_logger(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"LOGGER": "site.requests"}):
        get("/ok/")

    assert (lines[0]["logger"], lines[0]["status"]) == ("site.requests", 200)


class Raising(logging.Filter):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "root":
            raise self.error
        return True


class NotAnException(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError(), NotAnException(), GeneratorExit()], ids=["error", "base", "exit"])
def test_a_filter_that_raises_does_not_reach_the_response(get: Get, error: BaseException) -> None:
    broken = Raising(error)
    root = logging.getLogger()
    with capture_requests() as lines:
        root.addFilter(broken)
        try:
            response = get("/ok/")
            get("/ok/")
        finally:
            root.removeFilter(broken)

    assert response.status_code == 200
    assert [line["logger"] for line in lines.logs] == ["obs_middleware"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_signal_during_the_line_is_not_swallowed(stop: type[BaseException]) -> None:
    with patch("logging.info", side_effect=stop), pytest.raises(stop):
        respond(lambda request: HttpResponse(), RequestFactory().get("/"))


def test_a_request_installs_no_handler(monkeypatch: pytest.MonkeyPatch, get: Get) -> None:
    """`logging.info` would install one, and lines of other loggers would suddenly appear."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    get("/ok/")

    assert root.handlers == []


def test_a_patched_logging_info_gets_the_line_without_any_handler(monkeypatch: pytest.MonkeyPatch, get: Get) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging, "info", seen.append)

    get("/ok/")

    assert [text.startswith("Request took ") for text in seen] == [True]
