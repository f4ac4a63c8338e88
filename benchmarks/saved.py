"""Save a whole run in the repository: the raw data, and the chart and the tables of the documentation."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from benchmarks.figures import tables
from benchmarks.processes import ROOT

__all__ = ["DATA", "PAGE", "PICTURE", "save", "with_tables"]

DATA: Final = ROOT / "benchmarks" / "overhead.json"
PICTURE: Final = ROOT / "docs" / "images" / "overhead.svg"
PAGE: Final = ROOT / "docs" / "performance.md"


def save(data: dict[str, Any]) -> None:
    """Write *data*, and the tables and the chart made from it."""
    from benchmarks.plot import draw  # noqa: PLC0415 -- only this needs matplotlib

    # A list of numbers is easiest to read on one line.
    text = re.sub(r"\[[-\d.,\s]+\]", lambda match: " ".join(match[0].split()), json.dumps(data, indent=1))
    DATA.write_text(text + "\n")
    PAGE.write_text(with_tables(PAGE.read_text(), data))
    draw(data, PICTURE)


def with_tables(page: str, data: dict[str, Any]) -> str:
    """Return *page* with the tables of *data* between its marker comments."""
    for name, table in tables(data).items():
        page, found = re.subn(
            f"(<!-- bench: {name} -->\n).*?(<!-- end -->)",
            lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}",  # type: ignore[misc]  # mypy cannot infer it
            page,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"{PAGE.name} has {found} places for the table {name!r}; expected one.")
    return page
