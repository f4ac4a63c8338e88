"""The quickstart as a stranger meets it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from servers.harness import QUICKSTART


def run(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Return what *command* prints in the quickstart's directory, on stdout and stderr."""
    result = subprocess.run(
        [sys.executable, *command],
        cwd=QUICKSTART,
        env={**os.environ, **(env or {})},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
    )
    return result.stdout


def test_the_system_checks_have_nothing_to_say(shop: Mapping[str, str]) -> None:
    assert run("manage.py", "check", "--fail-level", "DEBUG", env=shop) == (
        "System check identified no issues (0 silenced).\n"
    )


def test_the_migrations_are_those_of_the_models(shop: Mapping[str, str]) -> None:
    assert run("manage.py", "makemigrations", "--check", "--dry-run", env=shop) == "No changes detected\n"


def test_the_demonstration_shows_as_many_lines_as_requests(tmp_path: Path) -> None:
    """It leaves with an error if they differ; here it is also read."""
    page = tmp_path / "report.html"
    shown = run("demo.py", str(page))

    sent, written = re.findall(r"^ *(\d+) request(?:s sent| lines written)", shown, re.MULTILINE)
    assert int(sent) == int(written) > 20
    assert "Request took" in shown
    assert "Paid 5170 cents" in shown
    assert f"\n{int(sent):,} requests  " in shown
    assert "catalogue/" in page.read_text()
