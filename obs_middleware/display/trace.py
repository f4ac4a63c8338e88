"""
The lines below a row: a traceback, and the stack of a call with ``stack_info=True``.

Each is indented, so that no line of an exception's text looks like a line of the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from obs_middleware.display.escape import escape_controls

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["highlighted", "in_colour", "trace_lines"]

_INDENT: Final = "  "
_FRAME: Final = re.compile(r'[\s|+]*File "([^"]*)", line \d+')
_CODE: Final = re.compile(r"[\s|+]* {4}")
"""The lines below a frame."""
_LIBRARY: Final = re.compile(
    r"[/\\](?:site|dist)-packages[/\\]|[/\\][Ll]ib[/\\](?:python3|[a-z_]+\.py|[a-z_]+[/\\])|^<"
)


def trace_lines(fields: Mapping[str, Any]) -> list[str]:
    """Return the inert lines of ``stack_info`` and ``stack_trace``."""
    texts = (str(fields[name]) for name in ("stack_info", "stack_trace") if fields.get(name))
    return [f"{_INDENT}{escape_controls(line)}" for text in texts for line in text.rstrip("\n").split("\n")]


def highlighted(lines: Sequence[str]) -> Text | None:
    """
    Return *lines* with the colours of Rich, or None if Rich is not installed.

    The frames of libraries are dim, so that those of the application stand out. The text is all that it needs: it has
    been redacted and shortened, no source file is read, and there are no local variables.
    """
    try:
        from rich.syntax import Syntax  # noqa: PLC0415 -- a tenth of a second, which only a traceback is worth
        from rich.text import Text  # noqa: PLC0415 -- as above
    except ImportError:
        return None
    # The lexer knows a traceback only without an indent.
    text = Syntax("", "pytb", theme="ansi_dark").highlight("\n".join(line.removeprefix(_INDENT) for line in lines))
    parts = text.split("\n", allow_blank=True)[: len(lines)]
    library = False
    for part in parts:
        if frame := _FRAME.match(part.plain):
            library = _LIBRARY.search(frame[1]) is not None
        elif _CODE.match(part.plain) is None:
            library = False
        if library:
            part.stylize("dim")
    return Text("\n").join(Text(_INDENT).append_text(part) for part in parts)


def in_colour(lines: Sequence[str]) -> str | None:
    """Return *lines* with the escape sequences of `highlighted`, or None if Rich is not installed."""
    text = highlighted(lines)
    if text is None:
        return None
    from rich.console import Console  # noqa: PLC0415 -- as above

    console = Console(force_terminal=True, color_system="standard", no_color=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(text, soft_wrap=True, end="")
    return captured.get()
