"""`obs_middleware.platforms`, and the core of the tests on simulated systems."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest
import yaml
from paths import ROOT, TESTS
from ports import HOST
from servers.harness import running
from simulated.systems import SIMULATED

from obs_middleware import platforms
from obs_middleware.platforms import APPEND, is_closed_pipe

CORE: Final = TESTS / "core.txt"
WORKFLOW: Final = ROOT / ".github" / "workflows" / "tests.yml"
PATIENCE: Final = 300


def environment(system: str) -> dict[str, str]:
    """Return the variables of a process that looks like one on *system*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
    return {**kept, "OBS_SYSTEM": system, "PYTHONPATH": os.pathsep.join((str(TESTS / "simulated"), str(TESTS)))}


# Simulated systems


@pytest.mark.parametrize("system", SIMULATED)
def test_the_core_passes_on_a_simulated_system(system: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "ahead", "-p", "no:xdist", f"@{CORE}"],
        cwd=ROOT,
        env=environment(system),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert result.returncode == 0, result.stdout[-5_000:] + result.stderr[-5_000:]
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed is not None
    assert int(passed[1]) > 500


@pytest.mark.parametrize("system", SIMULATED)
def test_a_simulated_process_lacks_the_names(system: str) -> None:
    """Otherwise the tests above would prove nothing."""
    script = (
        "import importlib, os, sys\n"
        "from simulated.systems import SIMULATED\n"
        "import obs_middleware.logs.handlers\n"
        "from obs_middleware import platforms\n"
        "system = SIMULATED[os.environ['OBS_SYSTEM']]\n"
        "found = [n for m, names in system.names.items() for n in names if hasattr(importlib.import_module(m), n)]\n"
        "print({*found} - {'PIPE_BUF'}, [name for name in system.modules if sys.modules[name] is not None])\n"
        "print(platforms._IS_WINDOWS, platforms.PIPE_BYTES, sys.platform)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(system),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    facts = {"windows": "True 4096", "macos": "False 512"}
    assert result.stdout.splitlines() == ["set() []", f"{facts[system]} {sys.platform}"]


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """A new project with the package in its settings."""
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "shop", str(tmp_path)], timeout=PATIENCE, check=True
    )
    settings = tmp_path / "shop" / "settings.py"
    settings.write_text(
        settings.read_text(encoding="utf-8")
        + "\nfrom obs_middleware import logging_config\n"
        + 'MIDDLEWARE.insert(0, "obs_middleware.middleware.TimingMiddleware")\n'
        + 'INSTALLED_APPS += ["obs_middleware"]\n'
        + 'LOGGING = logging_config(service="shop")\n',
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize("system", SIMULATED)
def test_a_new_project_has_one_line_per_request_and_the_console_script_reads_it(system: str, project: Path) -> None:
    variables = {**environment(system), "DJANGO_SETTINGS_MODULE": "shop.settings"}
    command = ["manage", "runserver", "--noreload", f"{HOST}:{{port}}"]
    with running(command, output=project, cwd=project, env=variables) as server:
        for path in ("/", "/nowhere/"):
            with closing(HTTPConnection(HOST, server.port, timeout=PATIENCE)) as connection:
                connection.request("GET", path)
                connection.getresponse().read()
        server.wait_for_line(path="/nowhere/", message="Request took")
        lines = [line for line in server.lines_so_far() if line["message"].startswith("Request took")]

    assert [(line["path"], line["status"], line["service"]) for line in lines] == [
        ("/", 200, "shop"),
        ("/nowhere/", 404, "shop"),
    ]
    assert "Traceback" not in server.errors()
    assert read(variables, "stats", str(project / "stdout")).startswith("2 requests")
    assert "/nowhere/" in read(variables, "tail", stdin=(project / "stdout").read_text(encoding="utf-8"))


def read(variables: Mapping[str, str], *arguments: str, stdin: str = "") -> str:
    """Return the output of the console script."""
    result = subprocess.run(
        [sys.executable, "-m", "obs_middleware", *arguments],
        input=stdin,
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return result.stdout


# Real systems


def test_the_workflow_runs_the_core_on_every_system() -> None:
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["systems"]["steps"]

    assert steps[-1]["run"] == f"python -m pytest @{CORE.relative_to(ROOT).as_posix()}"


def test_the_core_is_a_list_of_test_modules() -> None:
    names = CORE.read_text(encoding="utf-8").split()

    assert names == sorted(set(names), key=names.index)
    assert all((ROOT / name).is_file() for name in names)


# The module itself


def test_opening_a_log_does_not_translate_line_feeds_on_windows() -> None:
    script = "import os; from obs_middleware import platforms; assert platforms.APPEND & platforms.READ & os.O_BINARY"
    subprocess.run([sys.executable, "-c", script], env=environment("windows"), timeout=PATIENCE, check=True)

    assert APPEND & os.O_NONBLOCK


@pytest.mark.parametrize("windows", [True, False])
def test_a_closed_pipe_is_recognised(windows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong name of a file is an invalid argument on Windows, too."""
    monkeypatch.setattr(platforms, "_IS_WINDOWS", windows)

    assert is_closed_pipe(BrokenPipeError())
    assert is_closed_pipe(OSError(errno.EINVAL, "Invalid argument")) is windows
    assert not is_closed_pipe(OSError(errno.EINVAL, "Invalid argument", "what?.log"))
    assert not is_closed_pipe(OSError(errno.ENOSPC, "No space left on device"))
