"""Measure how fast logs are read, compared with DuckDB, jq and GoAccess on the same file: make bench-read."""

import argparse
import datetime as dt
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.processes import ROOT, environment
from benchmarks.reading.contests import MEBIBYTES, SECONDS, TARGETS, Contest, contests
from benchmarks.saved import PAGE, READING, with_tables

Figures = dict[str, list[dict[str, float]]]
"""What each run of each command took, in wall_seconds and cpu_seconds, and memory_bytes at most."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "obs-middleware-bench-read")
    parser.add_argument("--only", default="", metavar="REGEX", help="measure the rows whose names match")
    parser.add_argument("--save", action="store_true", help="write the results to the repository and to its page")
    arguments = parser.parse_args()
    if arguments.save and arguments.only:
        parser.error("--save needs a whole run: leave out --only")
    folder: Path = arguments.folder.resolve()
    folder.mkdir(exist_ok=True)
    found = [one for one in contests(folder, arguments.lines) if re.search(arguments.only, one.name)]
    data = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": machine(),
        "lines": arguments.lines,
        "rounds": arguments.rounds,
        "runs": measure(found, arguments.rounds),
    }
    print("\n\n".join(tables(data).values()))
    if arguments.save:
        READING.write_text(json.dumps(data, indent=1) + "\n")
        PAGE.write_text(with_tables(PAGE.read_text(), tables(data)))
    return 0


def measure(contests: list[Contest], rounds: int) -> Figures:
    """Run the commands in turn, so that disturbances affect all. Round 0 only loads the file into memory."""
    figures: Figures = {contest.name: [] for contest in contests}
    for number in range(rounds + 1):
        for name, command, file, made in contests:
            if made:
                shutil.rmtree(made, ignore_errors=True)
            run = _run(command, file or Path(os.devnull))
            if number:
                figures[name].append(run)
    return figures


def _run(command: list[str], file: Path) -> dict[str, float]:
    launch = [sys.executable, "-m", "benchmarks.reading.launch", *command]
    with file.open() as stdin:
        done = subprocess.run(
            launch, cwd=ROOT, env=environment(), stdin=stdin, stdout=subprocess.PIPE, check=True, text=True
        )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def best(figures: Figures, name: str, key: str) -> float:
    return min(run[key] for run in figures[name])


def memory_of(figures: Figures, name: str) -> str:
    return f"{max(run['memory_bytes'] for run in figures[name]) / (1 << 20):.0f} MiB"


def tables(data: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the page, by name."""
    figures: Figures = data["runs"]
    title = f"{data['lines']:,} lines, best of {data['rounds']}, {data['date']}; {data['machine']}"
    what = [
        [
            name,
            *(f"{best(figures, name, key):.2f} s" for key in ("wall_seconds", "cpu_seconds")),
            memory_of(figures, name),
        ]
        for name in figures
    ]
    starts = [
        [name, f"at most {most} s", f"{best(figures, name, 'wall_seconds'):.2f} s"]
        for name, most in SECONDS.items()
        if name in figures
    ]
    memory = [
        [name, f"at most {most} MiB", memory_of(figures, name)] for name, most in MEBIBYTES.items() if name in figures
    ]
    return {
        "reading": f"{title}\n\n{table([['what', 'wall', 'processor', 'memory'], *what])}",
        "reading ratios": table([["ratio", "target", "wall", "processor"], *ratios(figures)]),
        "reading starts": table([["start", "target", "wall"], *starts]),
        "reading memory": table([["memory", "target", "at most"], *memory]),
    }


def ratios(figures: Figures) -> Iterator[list[str]]:
    """Yield the rows of the ratios that have a target."""
    for name, of, most in TARGETS:
        if of not in figures or name not in figures:
            continue
        wall, cpu = (best(figures, name, key) / best(figures, of, key) for key in ("wall_seconds", "cpu_seconds"))
        if most >= 1:
            yield [f"{name} : {of}", f"at most {most:g}", f"{wall:.2f}", f"{cpu:.2f}"]
        else:
            yield [f"{of} : {name}", f"at least {1 / most:g}", f"{1 / wall:.1f}", f"{1 / cpu:.1f}"]


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{platform.machine()}, {os.cpu_count()} processors, load {load:.1f}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
