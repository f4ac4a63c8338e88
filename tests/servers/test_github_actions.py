"""The example for GitHub Actions: its schema, and its steps in the shell, on a branch that is slower."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from paths import ROOT
from servers.harness import QUICKSTART

EXAMPLE: Final = ROOT / "examples" / "github-actions"
JOB: Final[dict[str, Any]] = yaml.safe_load((EXAMPLE / "requests.yml").read_text(encoding="utf-8"))["jobs"]["requests"]
STEPS: Final[dict[str, dict[str, Any]]] = {step["name"]: step for step in JOB["steps"] if "name" in step}
SLOWER: Final = ("    product = await", "    await asyncio.sleep(0.04)\n    product = await")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs Git")


def test_the_workflow_keeps_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run([*command, EXAMPLE / "requests.yml"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


class Runner:
    """
    A folder that looks to the steps like the machine of the forge.

    Attributes:
        workspace: The project, at the branch that is tested.
        temp: The folder for what the steps pass on.
    """

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temp = folder / "workspace", folder / "temp"
        self.temp.mkdir()
        self._summary = folder / "summary.md"

    @property
    def summary(self) -> str:
        return self._summary.read_text(encoding="utf-8")

    def step(self, name: str) -> int:
        """Run a step as the forge does, and return its exit code."""
        step = STEPS[name]
        context = {"${{ runner.temp }}": str(self.temp), "origin/${{ github.base_ref }}": "main"}
        env = {key: context.get(value, value) for key, value in step.get("env", {}).items()}
        env = {key: value.replace("${{ runner.temp }}", str(self.temp)) for key, value in env.items()}
        assert "${{" not in step["run"], "a name of a branch could contain commands"
        return subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=self.workspace,
            env={**self._env(), **env},
            stdout=sys.stderr,
            timeout=300,
            check=False,
        ).returncode

    def _env(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "GIT_"))}
        return {
            **kept,
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_STEP_SUMMARY": str(self._summary),
        }

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=self.workspace, env=self._env(), check=True)


@pytest.fixture(name="runner")
def _runner(tmp_path: Path) -> Runner:
    """A runner with the shop on the branch main, and on a branch whose product page is slower."""
    runner = Runner(tmp_path)
    shutil.copytree(QUICKSTART, runner.workspace, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    shutil.copy(EXAMPLE / "visit.py", runner.workspace)
    runner.git("init", "--quiet", "--initial-branch=main")
    runner.git("add", ".")
    runner.git("commit", "--quiet", "--message=The shop")
    runner.git("switch", "--quiet", "--create=slower")
    views = runner.workspace / "shop" / "views.py"
    before = views.read_text(encoding="utf-8")
    assert before.count(SLOWER[0]) == 1
    views.write_text(before.replace(*SLOWER), encoding="utf-8")
    runner.git("commit", "--quiet", "--all", "--message=Wait for each product")
    return runner


def cells(line: str) -> list[str]:
    """Return the cells of a row of a table, with an empty one on each side."""
    return [cell.strip() for cell in line.split("|")]


def test_a_slower_branch_is_found_and_its_page_is_named(runner: Runner) -> None:
    assert runner.step("Visit the pages of both branches") == 0
    assert runner.step("Check each request of this branch") == 0
    assert runner.step("Compare both branches") == 1

    verdicts = {tuple(row[1:4]): row[-2] for line in runner.summary.splitlines() if len(row := cells(line)) > 8}
    assert verdicts["GET", "products/&lt;slug:slug&gt;/", "p50"] == "slower"
    before, after = (
        [json.loads(line) for line in (runner.temp / name).read_text(encoding="utf-8").splitlines()]
        for name in ("before.json", "after.json")
    )
    assert len([line for line in before if "route" in line]) == len([line for line in after if "route" in line]) == 120


@pytest.mark.parametrize(
    ("fields", "code"), [({}, 0), ({"db_queries": 31}, 1), ({"db_repeats": 11}, 1), ({"status": 500}, 1)]
)
def test_a_request_over_a_limit_makes_the_check_red(fields: Mapping[str, int], code: int, tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    runner.workspace.mkdir()
    line = {
        "timestamp": "2026-11-02T10:00:00.000000Z", "level": "info", "logger": "root",
        "message": "Request took 0.0100 seconds", "event_id": "1-1", "request_id": "a" * 32, "method": "GET",
        "path": "/", "route": "", "status": 200, "outcome": "ok", "duration_seconds": 0.01, "db_queries": 3,
        "db_seconds": 0.001, **fields,
    }  # fmt: skip
    (runner.temp / "after.json").write_text(json.dumps(line) + "\n", encoding="utf-8")

    assert runner.step("Check each request of this branch") == code
    assert ("all limits are kept" in runner.summary) == (code == 0)
