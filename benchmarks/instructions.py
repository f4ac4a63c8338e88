"""
Count the instructions that a request or a line takes, with cachegrind.

A count is the same on a busy machine, within about 1 %. It includes the interpreter and all libraries, and excludes
what the kernel does in system calls.

Rows run in forks of one process under valgrind, which has imported Django for all of them. The process of a row gets
ready and forks twice: the first child does a short run, the second a long one. The difference between the two is the
count of the additional requests or lines, without start and warm-up.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks import ordinary
from benchmarks.drivers import DRIVERS
from benchmarks.peers import PEERS
from benchmarks.processes import ROOT, environment
from benchmarks.rows import ROWS
from benchmarks.site import mode_of, put_in_force, settings_of

__all__ = ["MISSING", "Counts", "count", "is_available"]

MISSING: Final = "Instructions are not counted: valgrind is not installed (Debian: apt-get install valgrind)."

Counts = dict[str, dict[str, float]]
"""The instructions of one run, by driver and row."""

CORES: Final = os.cpu_count() or 1
VALGRIND: Final = ("valgrind", "--quiet", "--tool=cachegrind", "--cache-sim=no")
WARM_UP: Final = 128
SHORT: Final = 64
LONG: Final = 320
"""How many requests or lines a process does, and its two children. Random ids are made 64 at a time."""

FEWER: Final = {ordinary.NAME: 16}
"""Drivers with larger requests do so many times fewer of them."""


def is_available() -> bool:
    """Return whether valgrind can be used here."""
    return shutil.which(VALGRIND[0]) is not None and hasattr(os, "fork")


def count(pairs: Iterable[tuple[str, str]], handler: str) -> Counts:
    """
    Count the instructions of one run of each of *pairs*.

    Args:
        pairs: A key of `DRIVERS` and the name of a row.
        handler: A key of `benchmarks.rows.HANDLERS`.
    """
    different = list(dict.fromkeys(pairs))
    shares = [share for first in range(CORES) if (share := different[first::CORES])]
    counts: Counts = {}
    with ThreadPoolExecutor(CORES) as pool:  # a count does not depend on what runs beside it
        for counted in pool.map(lambda share: _count(share, handler), shares):
            for (driver, row), value in counted.items():
                counts.setdefault(driver, {})[row] = value
    return counts


def _count(pairs: Sequence[tuple[str, str]], handler: str) -> dict[tuple[str, str], float]:
    """Count *pairs* one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "benchmarks.instructions", folder, handler, json.dumps(pairs)]
        done = subprocess.run(
            [*VALGRIND, f"--cachegrind-out-file={folder}/%p", *program],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"Nothing was counted. {done.stderr}")
        totals = [[_total(Path(folder, pid)) for pid in line.split()] for line in done.stdout.splitlines()]
    return {
        pair: round((long - short) / (LONG - SHORT) * FEWER.get(pair[0], 1))
        for pair, (short, long) in zip(pairs, totals, strict=True)
    }


def _total(file: Path) -> int:
    """Return the instructions of a whole process from the file that cachegrind wrote."""
    summary = re.search(r"^summary: (\d+)", file.read_text(errors="replace"), re.MULTILINE)
    if summary is None:
        raise RuntimeError(f"cachegrind wrote no summary into {file}.")
    return int(summary[1])


def main(folder: str, handler: str, pairs: str) -> None:
    """Run *pairs* under valgrind. For each, print the ids of the processes of the short and of the long run."""
    for number, (driver, row) in enumerate(json.loads(pairs)):
        _in_child(functools.partial(_run, driver, row, f"{folder}/{number}.log", handler))


def _run(driver_name: str, row: str, file: str, handler: str) -> None:
    """Get one row ready, and run it in two children."""
    put_in_force((ROWS | PEERS)[row], mode_of(driver_name), file, handler, settings_of(driver_name))
    driver = DRIVERS[driver_name]()
    fewer = FEWER.get(driver_name, 1)
    driver.time(WARM_UP // fewer)
    gc.collect()
    gc.freeze()
    print(*(_in_child(functools.partial(driver.time, runs // fewer)) for runs in (SHORT, LONG)), flush=True)


def _in_child(work: Callable[[], object]) -> int:
    """Do *work* in a child of this process, and return the id of the child when it has ended."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 -- the child ends here, whatever happens
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("A child failed; its traceback is above.")
    return child


if __name__ == "__main__":
    main(*sys.argv[1:])
