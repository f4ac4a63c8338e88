"""README's comparison with other packages: each cell is what a small site with this package shows."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from functools import cache

import pytest
from compared import PACKAGES
from paths import ROOT, TESTS

HEADING = "## Compared with other packages"
HOPS = "Thread hops added to an async request"
NOT_MEASURED = {
    "One line for each task of Celery",
    "Metrics",
    "Spans",
    "Reads its lines",
    "Returns the dict for `LOGGING`",
}
"""The rows that say what a package is, not what a request shows."""


def table() -> dict[str, dict[str, str]]:
    """Return the comparison: package → row → cell."""
    text = (ROOT / "README.md").read_text().split(HEADING)[1].split("\n## ")[0]
    heading, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {name: {row[0]: row[place] for row in rows} for place, name in enumerate(heading) if place}


@cache
def measured(package: str) -> dict[str, str]:
    """Return the facts that a site with *package* shows: row → cell."""
    try:
        importlib.metadata.version(PACKAGES[package][0])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs {PACKAGES[package][0]}")
    result = subprocess.run(
        [sys.executable, TESTS / "compared.py", package],
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    facts: dict[str, str] = json.loads(result.stdout)
    return facts


def test_the_packages_are_those_that_are_measured() -> None:
    assert [*table()] == [*PACKAGES]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_cell_is_a_fact(package: str) -> None:
    """A cell may add to the fact, after a semicolon: "no; another package does"."""
    cells = {row: cell.split(";")[0] for row, cell in table()[package].items() if row not in NOT_MEASURED}
    hops = int(measured(package)[HOPS]) - int(measured("python-json-logger")[HOPS])  # it has no middleware

    assert cells == measured(package) | {HOPS: str(hops)}


def test_the_versions_are_those_of_the_table() -> None:
    """Each package has its version in the text above the table. Measure a newer one before you name it."""
    text = (ROOT / "README.md").read_text().split(HEADING)[1].split("\n|")[0]

    for distribution, _ in [*PACKAGES.values()][1:]:
        assert re.search(rf"\b{distribution} \d+\.\d+", text), distribution
