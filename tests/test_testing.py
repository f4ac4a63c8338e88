"""`obs_middleware.testing`: the lines that a test captures."""

from __future__ import annotations

import logging

import pytest
from django.test import Client, override_settings

from obs_middleware.testing import CapturedRequests, capture_requests, parse_line


def test_request_lines_and_other_lines_are_kept_apart() -> None:
    with capture_requests() as lines:
        Client().get("/talk/")
        logging.getLogger("site").debug("too low")

    assert [line["path"] for line in lines] == ["/talk/"]
    assert [log["message"] for log in lines.logs] == ["before", "after"]


def test_lines_are_captured_even_if_the_root_logger_would_drop_them() -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    with capture_requests() as lines:
        Client().get("/ok/")

    assert len(lines) == 1
    assert root.level == logging.ERROR


def test_lower_levels_can_be_captured() -> None:
    root = logging.getLogger()
    root.setLevel(logging.NOTSET)
    with capture_requests(level=logging.DEBUG) as lines:
        logging.getLogger("site").debug("low")

    assert [log["message"] for log in lines.logs] == ["low"]
    assert root.level == logging.NOTSET


def test_logging_is_restored_even_if_the_test_fails() -> None:
    before = logging.getLogger().handlers[:]
    with pytest.raises(ValueError, match="test"), capture_requests():
        raise ValueError("test")

    assert logging.getLogger().handlers == before


def test_lines_of_a_logger_that_does_not_propagate_are_captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = logging.getLogger("keeping")
    monkeypatch.setattr(keeping, "propagate", False)
    keeping.setLevel(logging.INFO)
    with override_settings(OBS_MIDDLEWARE={"LOGGER": "keeping.requests"}), capture_requests() as lines:
        Client().get("/ok/")
        logging.getLogger("keeping.else").info("hello")

    assert [line["logger"] for line in lines] == ["keeping.requests"]
    assert [log["message"] for log in lines.logs] == ["hello"]
    assert keeping.handlers == []


def test_the_fixture_captures_the_whole_test(captured_requests: CapturedRequests) -> None:
    Client().get("/ok/")

    assert [line["status"] for line in captured_requests] == [200]


@pytest.mark.parametrize(
    "line", ['{"a":NaN}', '{"a":1,"a":2}', "[1]", "no", '{"a":Infinity}', '{"a":1}{', '{"a":1e999}', r'{"a":"\ud800"}']
)
def test_a_line_that_a_strict_shipper_refuses_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_line(line)
