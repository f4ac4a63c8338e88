"""The reader's benchmarks have every command, run, and agree with the documentation. No speed is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import saved
from benchmarks.reading import lines
from benchmarks.reading.bench import measure, tables
from benchmarks.reading.contests import OURS, Contest, contests
from obs_middleware.__main__ import COMMANDS, main


def test_every_command_is_measured(tmp_path: Path) -> None:
    """If this fails for a new command, add it to `contests`."""
    rows = contests(tmp_path, 3)

    assert {one.command[3] for one in rows if one.command[:3] == OURS} == {*COMMANDS, "--help"}


def test_every_measured_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in this process, because a process for each takes many seconds."""
    for _, command, file, _ in contests(tmp_path, 300):
        if command[:3] == OURS:
            with (file or Path(os.devnull)).open() as stdin:
                monkeypatch.setattr(sys, "stdin", stdin)
                assert main(command[3:]) == 0, command


def test_a_command_is_measured_once_a_round_and_once_before(tmp_path: Path) -> None:
    """It reads its file from its standard input, which is empty otherwise."""
    file, log = tmp_path / "file", tmp_path / "log"
    file.write_text("line\n")
    copy = [sys.executable, "-c", f"import sys; open({str(log)!r}, 'a').write(sys.stdin.read() or '-')"]

    figures = measure([Contest("copy", copy, file), Contest("empty", copy)], rounds=1)

    assert log.read_text() == "line\n-" * 2
    assert {name: len(runs) for name, runs in figures.items()} == {"copy": 1, "empty": 1}


def test_a_folder_is_made_anew_in_each_round(tmp_path: Path) -> None:
    """Otherwise `pack` would only find that everything is packed."""
    folder = tmp_path / "folder"
    make = [sys.executable, "-c", f"import os; os.mkdir({str(folder)!r})"]

    assert len(measure([Contest("make", make, made=folder)], rounds=1)["make"]) == 1


def test_the_memory_is_that_of_the_command_alone() -> None:
    """The first one takes much more than the second."""
    commands = [[sys.executable, "-c", f"print(len(b'x' * {size}))"] for size in (200_000_000, 1)]

    runs = measure([Contest(str(size), command) for size, command in enumerate(commands)], rounds=1)

    large, small = (runs[name][0]["memory_bytes"] for name in ("0", "1"))
    assert large > 200_000_000 > 2 * small


def test_a_command_that_fails_is_no_figure() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure([Contest("fail", [sys.executable, "-c", "raise SystemExit(3)"])], rounds=1)


def test_ten_times_as_many_lines_are_all_different(tmp_path: Path) -> None:
    log = lines.write(tmp_path, 20)["flat"]

    events = [json.loads(line) for line in lines.write_ten_times(log).read_text().splitlines()]

    assert len({event["event_id"] for event in events}) == len({event["timestamp"] for event in events}) == 200


def test_the_page_has_the_tables_of_the_saved_figures() -> None:
    """`make bench-read BENCH_READ_ARGS=--save` updates the page."""
    page = saved.PAGE.read_text()

    assert saved.with_tables(page, tables(json.loads(saved.READING.read_text()))) == page


def test_a_ratio_is_of_the_best_runs() -> None:
    def run(seconds: float) -> dict[str, float]:
        return {"wall_seconds": seconds, "cpu_seconds": seconds * 2, "memory_bytes": 1 << 20}

    runs = {"request": [run(2.0), run(1.0)], "grep, one line": [run(1.5), run(4.0)]}
    data = {"date": "2026-11-30", "machine": "m", "lines": 9, "rounds": 2, "runs": runs}

    assert "| grep, one line : request | at most 1.5 | 1.50 | 1.50      |" in tables(data)["reading ratios"]
