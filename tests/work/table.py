"""
The table of endings in docs/reference/work.md: measured by the tests of each queue, and compared with the page.

``make work-table`` writes the page instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from paths import DOCS

PAGE = DOCS / "reference" / "work.md"
COLUMNS = (
    "what happens",
    "pool",
    "lines",
    "`outcome`",
    "level",
    "`request_id`",
    "`duration_seconds`",
    "without us: lines with the id of the task",
)


class Row(NamedTuple):
    """
    How a task ended, and the lines of it.

    Attributes:
        ending: What happened, for the reader of the page.
        pool: Where the task ran, for example the pool of a worker.
        outcomes: The outcome of each line, in the order of the attempts.
        level: The level of the last line.
        has_id: All lines have the id of the request that sent the task.
        has_duration: All lines have a duration: None if the task has never begun.
        without: What the log has without this package.
    """

    ending: str
    pool: str
    outcomes: tuple[str, ...]
    level: str
    has_id: bool
    has_duration: bool | None
    without: str


def without_us(others: Collection[str], timed: str) -> str:
    """Say how many of *others*, lines of the queue with the id of the task, there are, and how many match *timed*."""
    if not others:
        return "no line"
    with_duration = sum(re.search(timed, line) is not None for line in others)
    return f"{len(others)} {'line' if len(others) == 1 else 'lines'}, {with_duration} with a duration"


def row_of(ending: str, pool: str, lines: Sequence[dict[str, Any]], request_id: str | None, without: str) -> Row:
    """Return the row of *lines*, all lines of one task or of tasks with one ending."""
    durations = [line["duration_seconds"] for line in lines]
    return Row(
        ending,
        pool,
        tuple(line["outcome"] for line in lines),
        lines[-1]["level"] if lines else "",
        bool(lines) and {line["request_id"] for line in lines} == {request_id},
        None if durations == [0] else bool(lines) and all(durations),
        without,
    )


def render(rows: Iterable[Row]) -> str:
    """Return the table of *rows*. Pools with the same result share a row."""
    pools: dict[Row, list[str]] = {}
    for row in rows:
        pools.setdefault(row._replace(pool=""), []).append(row.pool)
    cells = [
        (
            row.ending,
            ", ".join(where),
            str(len(row.outcomes)),
            ", ".join(f"`{outcome}`" for outcome in row.outcomes) or "none",
            row.level,
            "yes" if row.has_id else "no",
            "0, it never began" if row.has_duration is None else "yes" if row.has_duration else "no",
            row.without,
        )
        for row, where in pools.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [COLUMNS, ["---"] * len(COLUMNS), *cells])


def check(queue: str, rows: Iterable[Row]) -> None:
    """Compare the table of *queue* on the page with *rows*, or write it if ``OBS_WORK_TABLE`` is ``write``."""
    block = re.compile(rf"(<!-- endings: {queue} -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
    text = PAGE.read_text()
    new, count = block.subn(lambda found: found[1] + render(rows) + found[2], text)
    assert count == 1, f"docs/reference/work.md has no place for the table of {queue}"
    if os.environ.get("OBS_WORK_TABLE") == "write":
        PAGE.write_text(new)
    assert PAGE.read_text() == new, "docs/reference/work.md differs: run `make work-table`"
