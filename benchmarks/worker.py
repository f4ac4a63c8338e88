"""
The process of one row: configure the site, then answer the parent, one line of JSON for each question.

Each row has a process, because a configuration cannot be undone: it imports modules, patches functions and makes the
interpreter specialise its code.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.counting import Calls, Peak, follow_new_threads
from benchmarks.drivers import DRIVERS, Driver
from benchmarks.peers import PEERS
from benchmarks.rows import ROWS
from benchmarks.site import mode_of, put_in_force, settings_of
from obs_middleware.measure.watching import WATCH

WARM_UP: Final = 300
BATCHES: Final = 10
BATCH_NANOSECONDS: Final = 1_000_000
"""Short enough that most batches end before another process gets the core, and equally short for all rows."""

MOST: Final = 200
"""The largest number of requests in a batch. More would not fit into the caches of the processor."""

MEMORY_BATCH: Final = 1_000

REST_SECONDS: Final = 3_600.0
"""How long the watching thread rests while calls are counted."""


def main(name: str, driver_name: str, file: str, handler: str, purpose: str) -> None:
    """Answer the parent until it closes the pipe."""
    row = (ROWS | PEERS)[name]
    put_in_force(row, mode_of(driver_name), file, handler, settings_of(driver_name))
    if purpose == "count":
        follow_new_threads()
        # The watching thread looks by the clock: the slower the machine, the more of its calls fall into a request.
        WATCH._tick = lambda: REST_SECONDS  # type: ignore[method-assign]  # noqa: SLF001 -- no setting lets it rest
    driver = DRIVERS[driver_name]()
    driver.time(WARM_UP)
    gc.collect()
    gc.freeze()
    batch = max(1, min(MOST, round(BATCH_NANOSECONDS / best(driver, 20))))
    for line in sys.stdin:
        order, number = json.loads(line)
        answer: Any
        if order == "time":
            answer = best(driver, batch)
        elif order == "count":
            calls, peak = Calls(), Peak()
            driver.measure(calls, number)
            driver.measure(peak, number)
            answer = calls.medians() | peak.medians()
        elif order == "memory":
            answer = memory_after(driver, number)
        else:
            answer = lines_of(driver, Path(file))
        print(json.dumps(answer), flush=True)


def best(driver: Driver, count: int) -> float:
    """Return the best of a few batches, because time that another process used is not a cost of the row."""
    return min(driver.time(count) for _ in range(BATCHES))


def lines_of(driver: Driver, file: Path) -> list[str]:
    """Return the lines that one request writes."""
    before = len(file.read_text().splitlines()) if file.exists() else 0
    driver.time(1)
    return file.read_text().splitlines()[before:] if file.exists() else []


def memory_after(driver: Driver, count: int) -> dict[str, int]:
    """Return the memory in use after *count* more requests: blocks of Python, and bytes of the process."""
    for _ in range(count // MEMORY_BATCH):
        driver.time(MEMORY_BATCH)
    gc.collect()
    # Only Linux has /proc. The second field is the resident memory in pages.
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return {"blocks": sys.getallocatedblocks(), "resident_bytes": pages * os.sysconf("SC_PAGE_SIZE")}


if __name__ == "__main__":
    main(*sys.argv[1:])
