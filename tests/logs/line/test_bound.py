"""`obs_middleware.logs.line.bound`: fields that were bound with structlog."""

from __future__ import annotations

import structlog
from records import line_of

from obs_middleware import structlog_config
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.line.bound import bound_contextvars
from obs_middleware.testing import CapturedRequests


def test_what_structlog_has_bound_cannot_take_a_name_of_ours() -> None:
    structlog.contextvars.bind_contextvars(outcome="won", status=5, version="v9", level="gold", cart="C-1")

    line = line_of(JSONFormatter(version="1"))

    assert (line["app_outcome"], line["app_status"], line["app_version"], line["app_level"]) == ("won", 5, "v9", "gold")
    assert (line["version"], line["level"], line["cart"]) == ("1", "info", "C-1")
    assert "status" not in line


def test_what_structlog_has_bound_makes_no_request_line_in_a_schema() -> None:
    structlog.contextvars.bind_contextvars(outcome="ok", status=200)

    line = line_of(JSONFormatter(schema="ecs"))

    assert "http" not in line
    assert "action" not in line["event"]


def test_what_structlog_has_bound_is_once_on_its_own_lines(lines: CapturedRequests) -> None:
    structlog.configure(**structlog_config())
    structlog.contextvars.bind_contextvars(status=5)

    structlog.get_logger("site").warning("x")

    (line,) = lines.logs
    assert {name: value for name, value in line.items() if "status" in name} == {"app_status": 5}


def test_structlog_offers_the_shape_that_is_relied_on() -> None:
    """A canary: the variables in this dict are asked for what is bound here, to save a scan on every line."""
    structlog.contextvars.bind_contextvars(canary=1)
    assert [variable.get() for variable in structlog.contextvars._CONTEXT_VARS.values()].count(1) == 1
    assert bound_contextvars() == {"canary": 1}
    structlog.contextvars.clear_contextvars()
    assert all(variable.get() is Ellipsis for variable in structlog.contextvars._CONTEXT_VARS.values())
    assert bound_contextvars() == {}
