"""
Run all benchmarks, `python -m benchmarks`, or some: `python -m benchmarks chains counts`.

The tables go to stdout. ``--save`` also writes the raw data, and the chart and the tables of the documentation.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks import instructions, machine, ordinary, saved, scenarios
from benchmarks.figures import tables
from benchmarks.peers import PEERS
from benchmarks.processes import ROOT, Worker, environment, workers
from benchmarks.rows import HANDLERS, ROWS
from benchmarks.servers import SERVERS, time_servers
from benchmarks.timing import time_rows

HERE: Final = ["nothing", "seed", "ours"]
CHAINS: Final = ("async chain", "sync chain")
MEASURED: Final = {
    **{chain: [*ROWS, *PEERS] for chain in CHAINS},
    "ASGI handler": HERE,
    "WSGI handler": HERE,
    "further line": [*HERE, "ours-std"],
    "query": HERE,
}
"""The rows that each driver measures."""

Options = argparse.Namespace
Data = dict[str, Any]


def _rows(options: Options, driver: str) -> list[str]:
    return [row for row in MEASURED[driver] if row not in PEERS or options.peers]


def count(options: Options, data: Data) -> None:
    """Count calls, thread hops and queries, and check the lines."""
    for driver in MEASURED:
        say(f"counting: {driver}")
        with workers(_rows(options, driver), driver, options.handler, "count") as running:
            data["counts"][driver] = {worker.row: worker.ask("count", 20) for worker in running}
            if driver == "sync chain":
                data["lines"] = {worker.row: worker.ask("lines") for worker in running}
    for row, lines in data["lines"].items():
        if len(lines) != (ROWS | PEERS)[row].lines:
            raise RuntimeError(f"The row {row!r} wrote {lines!r}; expected {(ROWS | PEERS)[row].lines} lines.")


def time_drivers(*drivers: str) -> Callable[[Options, Data], None]:
    """Return a part of the benchmarks that times the rows in *drivers*."""

    def part(options: Options, data: Data) -> None:
        for driver in drivers:
            rounds, generations = (12, 2) if options.quick else (36, 6)
            say(f"timing: {driver}, {rounds} rounds")
            data["times"][driver] = time_rows(
                _rows(options, driver),
                driver,
                handler=options.handler,
                rounds=rounds,
                generations=generations,
            )

    return part


def time_stages(options: Options, data: Data) -> None:
    """Time the stages of a request."""
    say("timing: stages")
    batches = "40" if options.quick else "200"
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run(
            [sys.executable, "-m", "benchmarks.stages", str(Path(folder, "log")), options.handler, batches],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    data["stages"] = json.loads(output)


def time_tasks(options: Options, data: Data) -> None:
    """Time a task of Celery with and without this package, in turns."""
    turns, batches = (1, "40") if options.quick else (4, "200")
    say(f"timing: tasks, {turns} turns")
    times: dict[str, list[float]] = {}
    for _ in range(turns):
        for variant in ("celery", "ours"):
            with tempfile.TemporaryDirectory() as folder:
                output = subprocess.run(
                    [sys.executable, "-m", "benchmarks.tasks", variant, str(Path(folder, "log")), batches],
                    cwd=ROOT,
                    env=environment(),
                    stdout=subprocess.PIPE,
                    check=True,
                ).stdout
            measured = json.loads(output.splitlines()[-1])
            for name, value in measured.items():
                times.setdefault(variant if name == "task" else name, []).append(value)
    data["tasks"] = {name: min(values) for name, values in times.items()}


def count_instructions(options: Options, data: Data) -> None:
    """Count the instructions of every row, and of the lines that have a target; without valgrind, say so."""
    if not instructions.is_available():
        say(instructions.MISSING)
        return
    pairs = [*scenarios.pairs(), (ordinary.NAME, scenarios.NOTHING)]
    if not options.quick:
        pairs += ((scenarios.REQUEST, row) for row in _rows(options, scenarios.REQUEST))
    say(f"counting: instructions of {len(set(pairs))} rows")
    data["instructions"][machine.python()] = {
        "date": data["date"],
        "versions": data["versions"],
        "counts": instructions.count(pairs, options.handler),
    }


def load_servers(options: Options, data: Data) -> None:
    """Send requests to real servers and time them."""
    rounds, batch = (4, 500) if options.quick else (12, 1000)
    data["servers"] = {}
    for name, server in SERVERS.items():
        say(f"load: {name}, {rounds} rounds of {batch} requests")
        wall, core = time_servers(server, HERE, handler=options.handler, rounds=rounds, batch=batch)
        data["servers"][name] = {"wall": wall, "core": core}


def watch_memory(options: Options, data: Data) -> None:
    """Send a million requests, and measure the memory after each tenth of them."""
    requests = 50_000 if options.quick else 1_000_000
    say(f"memory: {requests:,} requests")
    with Worker("ours", "varied requests", Path(os.devnull), options.handler, "time") as worker:
        after = [worker.ask("memory", requests // 10) for _ in range(11)]
    data["memory"] = {"requests": requests, "after": after}


PARTS: Final[dict[str, Callable[[Options, Data], None]]] = {
    "instructions": count_instructions,
    "counts": count,
    "chains": time_drivers(*CHAINS),
    "handlers": time_drivers("ASGI handler", "WSGI handler"),
    "inside": time_drivers("further line", "query"),
    "stages": time_stages,
    "tasks": time_tasks,
    "servers": load_servers,
    "memory": watch_memory,
}


def say(text: str) -> None:
    """Report progress on stderr. The tables go to stdout."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="the parts to run; the default is all of them")
    parser.add_argument("--quick", action="store_true", help="run a few rounds only; the figures are not reliable")
    parser.add_argument(
        "--handler", choices=HANDLERS, default="watched", help="the handler that writes the lines of other packages"
    )
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave out other packages")
    parser.add_argument("--save", action="store_true", help="write the results to the repository")
    parser.add_argument("--again", action="store_true", help="measure nothing; use the saved results")
    options = parser.parse_args()
    only_counts = options.parts == ["instructions"]
    if options.save and not (options.again or only_counts) and (options.quick or options.parts or not options.peers):
        parser.error("--save needs a whole run, or `instructions`: leave out --quick, --no-peers and other parts")
    data = saved.load() if options.again else measure(options)
    print("\n\n".join(tables(data).values()))
    if options.save:
        saved.save(saved.merged(saved.load(), data))


def measure(options: Options) -> Data:
    """Run the selected parts and return their results."""
    data: Data = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "handler": HANDLERS[options.handler],
        "times": {},
        "counts": {},
        "instructions": {},
    }
    parts = options.parts or PARTS
    # The tables of times also show counts.
    for part in parts if options.parts == ["instructions"] else dict.fromkeys(["counts", *parts]):
        PARTS[part](options, data)
    return data


if __name__ == "__main__":
    main()
