"""Save a whole run in the repository: the raw data, and the chart and the tables of the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.figures import tables
from benchmarks.plot import chart
from benchmarks.processes import ROOT

__all__ = ["DATA", "PAGE", "PICTURE", "READING", "load", "merged", "save", "with_tables"]

DATA: Final = ROOT / "benchmarks" / "overhead.json"
READING: Final = ROOT / "benchmarks" / "reading.json"
PICTURE: Final = ROOT / "docs" / "images" / "overhead.svg"
PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"


def load() -> dict[str, Any]:
    """Return the saved data."""
    data: dict[str, Any] = json.loads(DATA.read_text())
    return data


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """
    Return *old* with what *new* has.

    If *new* has only instructions, all else stays. Those of another Python stay, and those of rows that *new* left out.
    """
    instructions = {**old["instructions"]}
    for python, counted in new["instructions"].items():
        before = instructions.get(python, {"counts": {}})["counts"]
        counts = {driver: before.get(driver, {}) | rows for driver, rows in counted["counts"].items()}
        instructions[python] = {**counted, "counts": before | counts}
    return {**(new if new["times"] else old), "instructions": instructions}


def save(data: dict[str, Any]) -> None:
    """Write *data*, and the tables and the chart made from it."""
    # A list of numbers is easiest to read on one line.
    text = re.sub(r"\[[-\d.,\s]+\]", lambda match: " ".join(match[0].split()), json.dumps(data, indent=1))
    DATA.write_text(text + "\n")
    PAGE.write_text(with_tables(PAGE.read_text(), tables(data)))
    PICTURE.write_text(chart(data))


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """Return *page* with each of *tables* between its marker comments."""
    for name, table in tables.items():
        page, found = re.subn(
            f"(<!-- bench: {name} -->\n).*?(<!-- end -->)",
            lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}",  # type: ignore[misc]  # mypy cannot infer it
            page,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"{PAGE.name} has {found} places for the table {name!r}; expected one.")
    return page
