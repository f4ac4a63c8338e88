"""Measure how fast logs are read, compared with DuckDB, jq and GoAccess on the same file: make bench-read."""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.reading import lines

HERE = Path(__file__).resolve().parent
OURS = [sys.executable, "-m", "obs_middleware"]
PLAIN = """
import duckdb, sys
print(duckdb.execute('''
    SELECT route, quantile_cont(duration_seconds, 0.95) FROM read_json($1, format = 'newline_delimited') GROUP BY route
''', [sys.argv[1]]).fetchall())
"""
GOACCESS = (
    '{"timestamp":"%dT%t.%^","client_ip":"%h","method":"%m","path":"%U","status":"%s","response_bytes":"%b",'
    '"duration_seconds":"%T"}'
)


class Contest(NamedTuple):
    """A command to measure."""

    name: str
    command: list[str]


class Target(NamedTuple):
    """The command *name* may take at most *most* times as long as the command *of*."""

    name: str
    of: str
    most: float


TARGETS = [
    Target("stats, flat", "plain DuckDB, flat", 2),
    Target("stats, flat", "jq, flat", 1 / 8),
    Target("stats, flat", "GoAccess, flat", 1 / 12),
    Target("stats, ECS", "jq, flat", 1 / 5),
    Target("stats, text", "jq, flat", 1 / 5),
    Target("stats, one in twenty damaged", "stats, flat", 1.5),
]
SECONDS = {"--help": 0.3, "stats, one line": 0.8}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "obs-middleware-bench-read")
    parser.add_argument("--output", type=Path, help="write all figures to this file as JSON")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    paths = lines.write(arguments.folder, arguments.lines)
    one = arguments.folder / "one.log"
    with paths["flat"].open() as file:
        one.write_text(file.readline())
    figures = measure(contests(paths, one), arguments.rounds)
    report(figures, arguments)
    if arguments.output:
        arguments.output.write_text(
            json.dumps({"machine": machine(), "lines": arguments.lines, "runs": figures}, indent=1)
        )
    return 0


def contests(paths: dict[str, Path], one: Path) -> list[Contest]:
    flat = str(paths["flat"])
    found = [
        Contest("plain DuckDB, flat", [sys.executable, "-c", PLAIN, flat]),
        Contest("stats, flat", [*OURS, "stats", flat]),
        Contest("stats, ECS", [*OURS, "stats", str(paths["ecs"])]),
        Contest("stats, text", [*OURS, "stats", str(paths["text"])]),
        Contest("stats, one in twenty damaged", [*OURS, "stats", str(paths["damaged"])]),
        Contest("stats, one line", [*OURS, "stats", str(one)]),
        Contest("--help", [*OURS, "--help"]),
    ]
    if shutil.which("jq"):
        found.append(Contest("jq, flat", ["jq", "-r", '"\\(.route)\\t\\(.duration_seconds)"', flat]))
    if shutil.which("goaccess"):
        form = ["--log-format", GOACCESS, "--date-format", "%Y-%m-%d", "--time-format", "%H:%M:%S"]
        out = ["--no-global-config", "--no-progress", "-o", str(one.parent / "goaccess.json")]
        found.append(Contest("GoAccess, flat", ["goaccess", flat, *form, *out]))
    return found


def measure(contests: list[Contest], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run the commands in turn, so that disturbances affect all. Round 0 only loads the file into memory."""
    figures: dict[str, list[dict[str, float]]] = {contest.name: [] for contest in contests}
    for number in range(rounds + 1):
        for name, command in contests:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wall = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if number:
                figures[name].append({"wall_seconds": wall, "cpu_seconds": cpu})
    return figures


def best(figures: dict[str, list[dict[str, float]]], name: str, key: str) -> float:
    return min(run[key] for run in figures[name])


def report(figures: dict[str, list[dict[str, float]]], arguments: argparse.Namespace) -> None:
    print(f"{arguments.lines:,} lines, best of {arguments.rounds}; {machine()}\n")
    print("| what | wall | processor |\n|---|---:|---:|")
    for name in figures:
        print(f"| {name} | {best(figures, name, 'wall_seconds'):.2f} s | {best(figures, name, 'cpu_seconds'):.2f} s |")
    print("\n| ratio | target | wall | processor |\n|---|---:|---:|---:|")
    for name, of, most in TARGETS:
        if of not in figures:
            continue
        wall, cpu = (best(figures, name, key) / best(figures, of, key) for key in ("wall_seconds", "cpu_seconds"))
        if most >= 1:
            print(f"| {name} : {of} | at most {most:g} | {wall:.2f} | {cpu:.2f} |")
        else:
            print(f"| {of} : {name} | at least {1 / most:g} | {1 / wall:.1f} | {1 / cpu:.1f} |")
    print("\n| start | target | wall |\n|---|---:|---:|")
    for name, most in SECONDS.items():
        print(f"| {name} | at most {most} s | {best(figures, name, 'wall_seconds'):.2f} s |")


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{platform.machine()}, {os.cpu_count()} processors, load {load:.1f}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
