"""A new project, with the lines of the README pasted into its settings, shows rows in `runserver`."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paths import DOCS, ROOT
from ports import free_port

DEADLINE = 60
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"DJANGO_SETTINGS_MODULE", "NO_COLOR", "FORCE_COLOR", "COLUMNS"}
} | {"TERM": "xterm"}


def pasted(page: Path) -> str:
    """Return the first Python block of *page*, without its comments."""
    found = re.search(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.sub(r"  # .*", "", found[1])


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "django", "startproject", "shop", tmp_path], check=True, timeout=DEADLINE)
    with (tmp_path / "shop" / "settings.py").open("a") as settings:
        settings.write(f"\n{pasted(ROOT / 'README.md')}")
    return tmp_path


@contextmanager
def served(project: Path, output: int, environment: dict[str, str]) -> Iterator[str]:
    """Run the development server of *project*, and give its URL."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "manage.py", "runserver", "--noreload", "--skip-checks", address]
    with subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=output) as server:
        try:
            yield f"http://{address}/"
        finally:
            server.terminate()


def get(url: str) -> int:
    """Return the status of a GET of *url*, as soon as the server has started."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as response:
                return int(response.status)
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError(url)


def read_until(pattern: str, output: int) -> re.Match[str]:
    text = ""
    deadline = time.monotonic() + DEADLINE
    while not (found := re.search(pattern, text)):
        left = deadline - time.monotonic()
        assert left > 0, text
        if select.select([output], [], [], left)[0]:
            text += os.read(output, 65_536).decode()
    return found


def test_both_pages_have_the_same_lines() -> None:
    assert pasted(DOCS / "tutorial" / "getting-started.md") == pasted(ROOT / "README.md")


WINDOWS = {"OBS_SYSTEM": "windows", "PYTHONPATH": f"{ROOT / 'tests' / 'simulated'}{os.pathsep}{ROOT / 'tests'}"}


@pytest.mark.parametrize("system", [{}, WINDOWS], ids=["this system", "simulated windows"])
def test_a_new_project_shows_rows_on_a_terminal(system: dict[str, str], project: Path) -> None:
    environment = ENVIRONMENT | system
    check = [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]
    subprocess.run(check, cwd=project, env=environment, check=True, timeout=DEADLINE, capture_output=True)
    ours, theirs = pty.openpty()
    try:
        with served(project, theirs, environment) as url:
            assert get(url) == 200
            row = read_until(r"\d\d:\d\d:\d\d\S* \S*GET    \S* / +(\S*)200\S* +\S+ .s", ours)
    finally:
        os.close(ours)
        os.close(theirs)
    assert row[1] == ("" if system else "\x1b[32m")  # a terminal here does not know how Windows switches colours on
