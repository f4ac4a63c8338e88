"""Write tables and paragraphs in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

__all__ = ["paragraph", "table"]


def paragraph(text: str) -> str:
    """Return *text* in lines as long as those of the pages."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return *rows* as an aligned Markdown table. The first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
