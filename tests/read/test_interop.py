"""docs/how-to/interop.md: its commands run, if their programs are installed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from loglines import FORMATS, Event, events
from paths import ROOT

COMMANDS = re.findall(r"^\$ (.+)$", (ROOT / "docs" / "how-to" / "interop.md").read_text(), re.MULTILINE)


@pytest.fixture(name="written")
def _written() -> list[Event]:
    return [event | {"client_ip": f"203.0.113.{n % 9}", "response_bytes": 10} for n, event in enumerate(events(200))]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, written: list[Event]) -> Path:
    (tmp_path / "shop.log").write_text("".join(f"{FORMATS['flat'](event)}\n" for event in written))
    shutil.copy(ROOT / "examples" / "lnav" / "obs_middleware.json", tmp_path)
    return tmp_path


def run(command: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    result = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def commands(program: str) -> list[str]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    found = [command for command in COMMANDS if command.startswith(f"{program} ")]
    assert found
    return found


def test_jq(folder: Path, written: list[Event]) -> None:
    slow, statuses, failed = commands("jq")

    assert [json.loads(line)["request_id"] for line in run(slow, folder).splitlines()] == [
        event["request_id"] for event in written if event["route"] == "checkout/" and event["duration_seconds"] > 0.5
    ]
    counted = {int(status): int(number) for number, status in map(str.split, run(statuses, folder).splitlines())}
    assert counted == Counter(event["status"] for event in written)
    with (folder / "shop.log").open("a") as file:
        file.write("Traceback\n")
    assert len(run(failed, folder).splitlines()) == counted[500]


def test_duckdb_from_python(folder: Path) -> None:
    (command,) = (command for command in COMMANDS if command.startswith("python3 "))

    assert "404" in run(command, folder)


def test_duckdb(folder: Path) -> None:
    """Without the program, run its query with the Python module."""
    (command,) = (command for command in COMMANDS if command.startswith("duckdb "))
    if shutil.which("duckdb") is None:
        query = command.removeprefix('duckdb -c "').removesuffix('"')
        command = f'{sys.executable} -c "import duckdb; duckdb.sql(\\"{query}\\").show()"'

    assert "checkout/" in run(command, folder)


def test_goaccess(folder: Path, written: list[Event]) -> None:
    (command,) = commands("goaccess")
    run(command.replace("goaccess.html", "goaccess.json"), folder)

    general = json.loads((folder / "goaccess.json").read_text())["general"]
    assert (general["valid_requests"], general["failed_requests"]) == (len(written), 0)


def test_only_request_lines_for_goaccess(folder: Path, written: list[Event]) -> None:
    (command,) = (command for command in COMMANDS if command.startswith("obs-middleware "))
    with (folder / "shop.log").open("a") as file:
        file.write("Traceback\n")
    run(command, folder)

    assert len((folder / "requests.log").read_text().splitlines()) == len(written)


def test_lnav(folder: Path, written: list[Event]) -> None:
    install, _, query = commands("lnav")
    run(install, folder)
    assert run("lnav -C", folder) == ""

    rows = list(csv.DictReader(run(query, folder).splitlines()))

    assert sum(int(row["n"]) for row in rows) == len(written)
    slowest = max(event["duration_seconds"] for event in written if event["route"] == "checkout/")
    assert {row["route"]: float(row["slowest"]) for row in rows}["checkout/"] == pytest.approx(slowest)
