"""`obs_middleware.logs.quiet`: a test run writes no request line between its dots."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Get
from desk import WITH_US, environment, make_project, manage
from django.test import override_settings
from django.test.utils import setup_test_environment, teardown_test_environment
from loglines import written

from obs_middleware import logging_config
from obs_middleware.logs import quiet
from obs_middleware.logs.filters import QuietInTests
from obs_middleware.testing import capture_requests, parse_line

is_test_run = quiet._is_test_run

TESTS = """
import logging

from django.test import SimpleTestCase

from obs_middleware.testing import capture_requests


class DeskTest(SimpleTestCase):
    def test_pages(self):
        self.client.raise_request_exception = False
        for path, status in {"/": 200, "/nowhere/": 404, "/fail/": 500, "/stream/": 200}.items():
            self.assertEqual(self.client.get(path).status_code, status)

    def test_warning(self):
        logging.getLogger("desk").warning("careful")
"""
CAPTURED = """
    def test_captured(self):
        with capture_requests() as lines:
            self.client.get("/")

        self.assertEqual([line["path"] for line in lines], ["/"])
"""


@pytest.fixture(name="in_a_test_run")
def _in_a_test_run(monkeypatch: pytest.MonkeyPatch, _loud: None) -> None:
    monkeypatch.setattr(quiet, "_is_test_run", is_test_run)


def test_django_tells_whether__is_test_run() -> None:
    """This is about a private name of Django. If this test fails, find out how a test run is told now."""
    assert is_test_run()
    teardown_test_environment()
    try:
        assert not is_test_run()
    finally:
        setup_test_environment()


@pytest.mark.parametrize("url", ["/ok/", "/nowhere/", "/fail/"])
@pytest.mark.usefixtures("in_a_test_run")
def test_a_test_run_shows_no_request_but_captures_it(configured: Any, get: Get, url: str) -> None:
    stream = configured()
    with capture_requests() as lines:
        get(url)
        logging.getLogger("site").info("mine")

    assert [parse_line(line)["message"] for line in written(stream)] == ["mine"]
    assert [line["path"] for line in lines] == [url]


@pytest.mark.usefixtures("in_a_test_run")
def test_records_of_django_show_in_debug_mode_as_without_us(configured: Any, get: Get) -> None:
    stream = configured()
    with override_settings(DEBUG=True):
        get("/nowhere/")

    assert [parse_line(line)["message"] for line in written(stream)] == ["Not Found: /nowhere/"]


@pytest.mark.usefixtures("in_a_test_run")
@pytest.mark.parametrize("options", [{"quiet_tests": False}, {"formatter": "python-json-logger", "quiet_tests": False}])
def test_a_site_can_see_the_lines_of_its_tests(configured: Any, get: Get, options: Any) -> None:
    stream = configured(**options)
    get("/ok/")

    assert len(written(stream)) == 1


def test_a_server_loses_the_filter_with_its_first_request(configured: Any, get: Get) -> None:
    stream = configured()
    (handler,) = logging.getLogger().handlers[:1]
    logging.getLogger("site").info("starting")
    assert any(isinstance(one, QuietInTests) for one in handler.filters)

    for _ in range(2):
        get("/ok/")

    assert not any(isinstance(one, QuietInTests) for one in handler.filters)
    assert len(written(stream)) == 3


def test_a_file_keeps_the_lines_of_tests(tmp_path: Path) -> None:
    assert logging_config(file=tmp_path / "log")["handlers"]["obs"]["filters"] == ["fold_django_requests"]


def test_manage_py_test_prints_what_it_prints_without_us(tmp_path: Path) -> None:
    outputs = []
    for name, added, tests in (("plain", "", TESTS), ("ours", WITH_US, TESTS + CAPTURED)):
        project = make_project(tmp_path / name, added, files={"desk/tests.py": tests})
        result = manage(project, "test")
        assert result.returncode == 0, result.stderr
        outputs.append((re.sub(r"\d test", "N test", result.stdout), result.stderr))
    (plain, plain_errors), (ours, errors) = outputs

    assert ours == plain
    assert "careful" in plain_errors
    messages = [parse_line(line.lstrip("."))["message"] for line in errors.splitlines() if "{" in line]
    assert sorted(messages) == ["and clean", "careful", "the desk is ready"]


def test_pytest_prints_what_it_prints_without_us(tmp_path: Path) -> None:
    tests = """
def test_page(client):
    assert client.get("/write/").status_code == 200


def test_captured(client, captured_requests):
    client.get("/nowhere/")

    assert [line["status"] for line in captured_requests] == [404]
"""
    project = make_project(tmp_path, WITH_US, files={"test_desk.py": tests, "pytest.ini": "[pytest]\n"})
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:randomly", "-p", "no:cacheprovider"]
    result = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, check=False, timeout=60
    )

    assert result.stdout.splitlines()[0] == ".."
    assert "2 passed" in result.stdout
    messages = [parse_line(line)["message"] for line in result.stderr.splitlines() if line.startswith("{")]
    assert messages == ["the desk is ready", "and clean", "writing"]
