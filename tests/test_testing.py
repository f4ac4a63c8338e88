"""`obs_middleware.testing`: the lines that a test captures."""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from desk import WITH_US, environment, make_project, manage
from django.test import Client, override_settings
from paths import DOCS

from obs_middleware.testing import CapturedRequest, CapturedRequests, capture_requests, parse_line


def test_request_lines_and_other_lines_are_kept_apart() -> None:
    with capture_requests() as lines:
        Client().get("/talk/")
        logging.getLogger("site").debug("too low")

    assert [line["path"] for line in lines] == ["/talk/"]
    assert [log["message"] for log in lines.logs] == ["before", "after"]


def test_the_only_request_has_its_fields_as_attributes() -> None:
    with capture_requests() as requests:
        Client().get("/talk/")

    assert (requests.one.path, requests.one.status, requests.one.kind) == ("/talk/", 200, None)
    assert requests.one == requests[0]


@pytest.mark.parametrize(("number", "says"), [(0, "got 0$"), (2, "got 2: GET /ok/, GET /ok/$")])
def test_none_or_several_requests_are_not_one(number: int, says: str) -> None:
    with capture_requests() as requests:
        for _ in range(number):
            Client().get("/ok/")

    with pytest.raises(AssertionError, match=f"^expected one request line, {says}"):
        _ = requests.one


def test_nothing_that_was_measured_is_0() -> None:
    line = CapturedRequest({"path": "/", "db_queries": 3})

    assert (line.db_queries, line.db_repeats, line.db_repeated_at) == (3, 0, None)
    assert (line.blocked_seconds, line.blocked_at, line.slow_at, line.queue_seconds) == (0.0, None, None, None)
    assert copy.copy(line) == line


def test_something_that_was_measured_is_as_on_the_line() -> None:
    line = CapturedRequest({"db_queries": 41, "db_repeats": 38, "blocked_seconds": 0.2, "cart_id": "C-1"})

    assert (line.db_repeats, line.blocked_seconds, line.cart_id) == (38, 0.2, "C-1")


@pytest.mark.parametrize("name", ["db_queries", "db_repeats"])
def test_what_was_not_measured_is_no_attribute(name: str) -> None:
    with pytest.raises(AttributeError, match=f'^{name} was not measured: add "obs_middleware" to INSTALLED_APPS$'):
        getattr(CapturedRequest({"path": "/"}), name)


def test_a_misspelt_attribute_names_the_fields() -> None:
    with pytest.raises(AttributeError, match=r"^the request line has no field 'stauts'; it has path, status$"):
        _ = CapturedRequest({"path": "/", "status": 200}).stauts


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


def test_the_pytest_plugin_is_light_in_a_run_that_does_not_use_it() -> None:
    """Pytest imports it in every environment that has the package."""
    (plugin,) = importlib.metadata.distribution("obs-middleware").entry_points.select(group="pytest11")
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\n"
        f"import {plugin.value}\nprint(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    imported = result.stdout.split()

    assert plugin.value in imported
    assert len(imported) <= 60
    assert {"django", "structlog", "obs_middleware.logs.capture"}.isdisjoint(imported)


URLS = """
from django.urls import path

from desk.views import checkout, stock

urlpatterns = [path("checkout/", checkout), path("stock/", stock)]
"""


def snippets() -> list[str]:
    """Return the Python code blocks of the page about testing."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / "how-to" / "testing.md").read_text(), re.MULTILINE | re.DOTALL)


def containing(text: str) -> str:
    (found,) = [code for code in snippets() if text in code]
    return found


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the views of the page, and its tests in the place of each runner."""
    views = containing("def checkout(") + containing("def stock(")
    structlog_settings = (
        "import structlog\nfrom obs_middleware import structlog_config\nstructlog.configure(**structlog_config())\n"
    )
    files = {
        "desk/urls.py": URLS,
        "desk/views.py": views,
        "desk/tests.py": containing("assertLogs"),
        "test_caplog.py": containing("caplog"),
        "test_capture_logs.py": containing("capture_logs"),
    }
    return make_project(tmp_path_factory.mktemp("project"), WITH_US, structlog_settings, files=files)


def test_assert_logs_works_as_the_page_says(project: Path) -> None:
    result = manage(project, "test")

    assert "Ran 2 tests" in result.stderr
    assert result.returncode == 0, result.stderr
    assert "Request took" not in result.stderr


def test_caplog_and_capture_logs_work_as_the_page_says(project: Path) -> None:
    files = ["test_caplog.py"]
    if "processors" in inspect.signature(structlog.testing.capture_logs).parameters:  # structlog 25.5
        files.append("test_capture_logs.py")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *files],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stdout
    assert f"{len(files)} passed" in result.stdout
