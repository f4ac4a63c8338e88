"""Find out what an output can show: whether it is a terminal, how wide it is, and whether it takes colours."""

from __future__ import annotations

import os
from typing import Any, Final

from obs_middleware.platforms import enable_escapes

__all__ = ["is_terminal", "takes_colours", "width_of"]

_COLUMNS: Final = 80
"""The width of a terminal that does not tell."""


def is_terminal(stream: Any) -> bool:
    """Return whether *stream* says that it is a terminal. A replaced ``sys.stdout`` may not even have the method."""
    try:
        return bool(stream.isatty())
    except Exception:  # noqa: BLE001 -- closed, missing or foreign
        return False


def takes_colours(stream: Any) -> bool:
    """
    Return whether to write colours to *stream*: only to a terminal, and not if ``TERM`` is ``dumb``.

    The environment variable ``NO_COLOR`` switches them off everywhere, and ``FORCE_COLOR`` on everywhere else. On
    Windows, the terminal is told to obey escape sequences.
    """
    terminal = is_terminal(stream)
    obeys = not terminal or enable_escapes(stream)
    if os.environ.get("NO_COLOR"):
        return False
    return obeys and (bool(os.environ.get("FORCE_COLOR")) or (terminal and os.environ.get("TERM") != "dumb"))


def width_of(stream: Any) -> int | None:
    """Return the columns of a terminal, or the variable ``COLUMNS``; None if *stream* is not a terminal."""
    if not is_terminal(stream):
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except Exception:  # noqa: BLE001 -- a foreign stream may raise anything, or return it
        return _COLUMNS
