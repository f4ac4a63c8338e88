"""
The lines of a log as text for DuckDB: `copy_text`, and `bytes_of`, which gives the bytes of a line back.

Read. DuckDB skips lines that are not UTF-8, and some characters end a line for it. Such a line becomes `ODD` and
hexadecimal digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

__all__ = ["ODD", "Text", "bytes_of", "copy_text", "text_lines"]

ODD: Final = "\x1d"
"""The first character of a line that is not text."""

_SPECIAL: Final = b"\0\r\x1d\x1e\x1f"
_MARK: Final = b"\xef\xbb\xbf"
_PIECE: Final = 1 << 20
_DIGITS: Final = 16


class Text(NamedTuple):
    """
    A copy of a log as text.

    Attributes:
        lines: The number of lines.
        longest: The bytes of the longest line.
        name: The name of the log in packs. It depends on its first line alone, so that it stays the same while a log
            grows, is renamed and compressed.
    """

    lines: int
    longest: int
    name: str


def text_lines(file: IO[bytes]) -> Iterator[str]:
    """Yield the lines of a log as text, without their ends."""
    for piece in _pieces(file):
        yield from piece.decode().removesuffix("\n").split("\n")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a log as text, whole lines in each. A piece that is all text is not taken apart."""
    while piece := file.read(_PIECE):
        piece += file.readline()
        piece = piece.removesuffix(b"\n") + b"\n"
        if _is_text(piece):
            yield piece
        else:
            yield b"".join(_text_of(line) + b"\n" for line in piece[:-1].split(b"\n"))


def _is_text(piece: bytes) -> bool:
    # Several times as fast as a regular expression.
    if len(piece.translate(None, _SPECIAL)) != len(piece) or _MARK in piece:
        return False
    try:
        return piece.isascii() or bool(piece.decode())
    except UnicodeDecodeError:
        return False


def _text_of(line: bytes) -> bytes:
    line = line.removesuffix(b"\r")
    return line if not line or _is_text(line) else f"{ODD}{line.hex()}".encode()


def bytes_of(line: str) -> bytes:
    """Return the bytes of a line that `text_lines` has yielded."""
    return bytes.fromhex(line.removeprefix(ODD)) if line.startswith(ODD) else line.encode()


def copy_text(file: IO[bytes], copy: Path) -> Text:
    """Write the lines of a log to *copy*, as text."""
    number = longest = 0
    first = b""
    with copy.open("wb") as target:
        for piece in _pieces(file):
            lines = piece[:-1].split(b"\n")
            number += len(lines)
            first = first or next(filter(None, lines), b"")
            longest = max([longest, *map(len, lines)])
            target.write(piece)
    return Text(number, longest, hashlib.sha256(first).hexdigest()[:_DIGITS])
