"""
The process of one row: puts it in force, then does what its parent asks, one line of JSON each way.

A process of its own, because a configuration leaves traces that cannot be taken back: what is imported, what is
patched, and what the interpreter has specialised its code for.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
from pathlib import Path
from typing import Any

from benchmarks.counting import follow_new_threads
from benchmarks.drivers import DRIVERS
from benchmarks.peers import PEERS
from benchmarks.rows import ROWS
from benchmarks.site import put_in_force

WARM_UP = 300
BATCHES = 5


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
    for line in sys.stdin:
        order, number = json.loads(line)
        answer: Any
        if order == "time":
            # The best of a few: where another process had the core in between is not the row's cost.
            answer = min(driver.time(number) for _ in range(BATCHES))
        elif order == "count":
            calls = driver.count(number)
            answer = {"calls": calls.total / number, "hops": calls.hops / number, "queries": calls.queries / number}
        else:
            lines = Path(file).read_text().splitlines() if Path(file).exists() else []
            answer = {"lines": len(lines), "last": lines[-1] if lines else None}
        print(json.dumps(answer), flush=True)  # noqa: T201 -- the parent reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
