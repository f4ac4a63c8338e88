"""The columns that text takes on a terminal, whose characters may be two columns wide or none."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["cells", "padded", "shortened"]

_ELLIPSIS: Final = "..."


def cells(text: str) -> int:
    """Return the columns of *text* on a terminal: two for a wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def padded(text: str, columns: int) -> str:
    """Return *text* with spaces behind it, so that it fills *columns*."""
    return text + " " * (columns - cells(text))


def shortened(text: str, columns: int) -> str:
    """Return *text* without its middle if it is wider than *columns*. The end of a path says more than its start."""
    if cells(text) <= columns:
        return text
    room = max(columns - len(_ELLIPSIS), 2)
    tail = _beginning(text[::-1], room - room // 3)[::-1]
    return _beginning(text, room // 3) + _ELLIPSIS + tail


def _cells_of(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in {"Mn", "Me"} else 1


def _beginning(text: str, columns: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += _cells_of(character)
        if used > columns:
            return text[:index]
    return text
