"""`obs_middleware.logs.sinks.standard`: a management command keeps its stdout clean, a server logs there."""

from __future__ import annotations

import logging.config
import shutil
import subprocess
import sys
from pathlib import Path

import django
import pytest
from desk import WITH_US, environment, make_project, manage
from django.core.management import ManagementUtility, call_command
from paths import DOCS

from obs_middleware import logging_config
from obs_middleware.logs.sinks import standard
from obs_middleware.logs.sinks.standard import stream_named
from obs_middleware.processes import SERVERS


@pytest.fixture(name="not_in_pytest")
def _not_in_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard, "_PYTEST_PLUGIN", "none")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["manage.py", "migrate"], "stderr"),
        (["/srv/shop/manage.py", "runserver"], "stdout"),
        (["/usr/bin/django-admin", "dumpdata"], "stderr"),
        (["/lib/django/__main__.py", "test"], "stderr"),
        (["manage.py", "db_worker"], "stdout"),
        (["manage.py"], "stdout"),
        (["/usr/bin/gunicorn", "shop.wsgi"], "stdout"),
        (["/usr/bin/celery", "worker"], "stdout"),
        (["-c"], "stdout"),
        ([], "stdout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
@pytest.mark.usefixtures("not_in_pytest")
def test_the_program_decides(monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str) -> None:
    monkeypatch.setattr(sys, "argv", arguments)

    assert stream_named("auto") == expected
    assert (stream_named("stdout"), stream_named("stderr")) == ("stdout", "stderr")


@pytest.mark.parametrize(("command", "expected"), [("dumpdata", "stderr"), ("runserver", "stdout")])
@pytest.mark.usefixtures("not_in_pytest")
def test_a_script_of_any_name_may_run_a_command(monkeypatch: pytest.MonkeyPatch, command: str, expected: str) -> None:
    found = []
    monkeypatch.setattr(sys, "argv", ["nightly.py"])
    monkeypatch.setattr(ManagementUtility, "fetch_command", lambda *_: pytest.fail("not called"))

    def setup() -> None:
        found.append(stream_named("auto"))
        raise KeyboardInterrupt

    monkeypatch.setattr(django, "setup", setup)
    with pytest.raises(KeyboardInterrupt):
        ManagementUtility(["site", command, "--noreload"]).execute()

    assert found == [expected]


def test_a_command_that_a_test_calls_has_its_stdout_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(logging_config())
    logging.getLogger("desk").info("about to print")
    call_command("diffsettings", default="testproject.settings")
    output, errors = capsys.readouterr()

    assert "SECRET_KEY" not in output
    assert "about to print" not in output
    assert "about to print" in errors


def test_the_stream_also_fits_a_handler_of_another_class(capsys: pytest.CaptureFixture[str]) -> None:
    config = logging_config()
    config["handlers"]["obs"]["class"] = "logging.StreamHandler"
    logging.config.dictConfig(config)
    logging.getLogger("desk").info("hello")

    assert "hello" in capsys.readouterr().err
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = standard.other


def test_the_output_of_a_command_is_the_same_with_and_without_us(tmp_path: Path) -> None:
    """The application logs while Django starts."""
    plain, ours = make_project(tmp_path / "plain"), make_project(tmp_path / "ours", WITH_US)
    thread = make_project(
        tmp_path / "thread", WITH_US.replace("logging_config()", 'logging_config(nonblocking=True, format="console")')
    )
    assert manage(plain, "migrate", "-v", "0").returncode == 0
    for project in (ours, thread):
        shutil.copy(plain / "db.sqlite3", project)
    for project, command in [
        (ours, ["dumpdata"]),
        (ours, ["sqlmigrate", "desk", "0001"]),
        (ours, ["shell", "-c", "print(6 * 7)"]),
        (thread, ["inspectdb", "desk_pen"]),
    ]:
        expected, found = manage(plain, *command), manage(project, *command)

        assert found.stdout == expected.stdout != ""
        assert found.returncode == 0
        assert "and clean" in found.stderr


def test_a_script_that_calls_a_command_after_setup_logs_to_stdout_as_a_server_does(tmp_path: Path) -> None:
    """Such a process may as well be a worker: only a command is known to have an output of its own."""
    project = make_project(tmp_path, WITH_US)
    result = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "and clean" in result.stdout


def test_the_page_names_every_command_that_serves() -> None:
    page = (DOCS / "how-to" / "logging.md").read_text()

    assert {name for name in SERVERS if f"`{name}`" not in page} == set()
