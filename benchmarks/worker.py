"""
The process of one row: puts it in force, then does what its parent asks, one line of JSON each way.

A process of its own, because a configuration leaves traces that cannot be taken back: what is imported, what is
patched, and what the interpreter has specialised its code for.
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
from benchmarks.site import put_in_force

WARM_UP: Final = 300
BATCHES: Final = 10
BATCH_NANOSECONDS: Final = 1_000_000
"""So short, and equally short for all rows, that most batches are through before another process gets the core."""

MOST: Final = 200
"""Requests of a batch; more of them would be out of the processor's caches before they are sent."""

MEMORY_BATCH: Final = 1_000


def main(name: str, driver_name: str, file: str, handler: str, purpose: str) -> None:
    """Serve the parent until it closes the pipe."""
    row = (ROWS | PEERS)[name]
    put_in_force(row, "async" if driver_name.startswith(("async", "ASGI")) else "sync", file, handler)
    if purpose == "count":
        follow_new_threads()
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
    """Return the best of a few batches: where another process had the core in between is not the row's cost."""
    return min(driver.time(count) for _ in range(BATCHES))


def lines_of(driver: Driver, file: Path) -> list[str]:
    """Return what one request writes."""
    before = len(file.read_text().splitlines()) if file.exists() else 0
    driver.time(1)
    return file.read_text().splitlines()[before:] if file.exists() else []


def memory_after(driver: Driver, count: int) -> dict[str, int]:
    """Return what the process holds after *count* more requests: memory blocks of Python, and bytes in all."""
    for _ in range(count // MEMORY_BATCH):
        driver.time(MEMORY_BATCH)
    gc.collect()
    # Linux alone has /proc; the second field is what is resident, in pages.
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return {"blocks": sys.getallocatedblocks(), "resident_bytes": pages * os.sysconf("SC_PAGE_SIZE")}


if __name__ == "__main__":
    main(*sys.argv[1:])
