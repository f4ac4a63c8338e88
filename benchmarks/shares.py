"""Figures from counted instructions: of each line against its target, and of each row as a share of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import ordinary
from benchmarks.instructions import Counts
from benchmarks.markdown import paragraph, table
from benchmarks.peers import PEERS
from benchmarks.rows import ROWS
from benchmarks.scenarios import NOTHING, REQUEST, SCENARIOS, TEXT

__all__ = ["Share", "lead", "scenario_table", "share_table", "shares"]

OTHERS: Final = {
    TEXT: "A plain line of text costs",
    "django-guid": "django-guid",
    "opentelemetry": "OpenTelemetry",
    "django-structlog": "django-structlog",
}
"""The rows that the first sentence of the page compares with, and how it names them."""


@dataclass(frozen=True)
class Share:
    """
    What a row adds to a request.

    Attributes:
        row: The name of the row.
        instructions: The instructions that it adds.
        ratio: The same as a multiple of what a line of text adds.
        percent: The same in percent of an ordinary request.
    """

    row: str
    instructions: float
    ratio: float
    percent: float

    @property
    def title(self) -> str:
        """The name of the row in tables and charts."""
        return (ROWS | PEERS)[self.row].title


def shares(counts: Counts) -> list[Share]:
    """Return what each counted row adds, the cheapest first."""
    request = counts[REQUEST]
    nothing, whole = request[NOTHING], counts[ordinary.NAME][NOTHING]
    text = request[TEXT] - nothing
    result = [
        Share(row, added, added / text, added / whole * 100)
        for row, added in ((row, value - nothing) for row, value in request.items())
    ]
    return sorted(result, key=lambda share: share.instructions)


def lead(data: Mapping[str, Any]) -> str:
    """Return the sentence that the page begins with."""
    percents = {share.row: f"{share.percent:.1f} %" for share in shares(counts_of(data))}
    others = [f"{name} {percents[row]}" for row, name in OTHERS.items() if row in percents]
    cost = f"You pay {percents['ours']} of an ordinary Django request for a request line with everything on it."
    compared = paragraph(f"{', '.join(others[:-1])}, and {others[-1]}.")
    return f"{cost}\n\n{compared}"


def counts_of(data: Mapping[str, Any]) -> Counts:
    """Return the counts of the oldest counted Python. The others differ little."""
    counted = data["instructions"]
    counts: Counts = counted[_in_order(counted)[0]]["counts"]
    return counts


def scenario_table(data: Mapping[str, Any]) -> str:
    """Return the table of the scenarios and their targets, with a column for each counted Python."""
    counted = data["instructions"]
    pythons = _in_order(counted)
    rows = [["line", *(f"Python {python}" for python in pythons), "target", ""]]
    for scenario in SCENARIOS:
        ratios = [scenario.ratio(counted[python]["counts"]) for python in pythons]
        verdict = "met" if all(round(ratio, 2) <= scenario.goal for ratio in ratios) else "missed"
        rows.append([scenario.title, *(f"{ratio:.2f}" for ratio in ratios), f"<= {scenario.goal:g}", verdict])
    return table(rows)


def share_table(data: Mapping[str, Any]) -> str:
    """Return the table of what each row adds to a request."""
    rows = [["row", "instructions", "x a line of text", "of an ordinary request"]]
    rows += [
        [share.title, f"{share.instructions:,.0f}", f"{share.ratio:.2f}", f"{share.percent:.2f} %"]
        for share in shares(counts_of(data))
    ]
    return table(rows)


def _in_order(pythons: Mapping[str, Any]) -> list[str]:
    """Return the versions of *pythons*, the oldest first: 3.9 before 3.11."""
    return sorted(pythons, key=lambda python: [int(part) for part in python.split(".")])
