"""
Many small files as one: `together`.

Read. DuckDB needs half a millisecond for each file, as long as for a hundred lines. To copy them costs much less.
"""

from __future__ import annotations

import codecs
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from obs_middleware.read.files.sources import Source

__all__ = ["is_small", "together"]

_MANY: Final = 50
_SMALL_BYTES: Final = 1 << 20
"""The size from which DuckDB needs more time to read a file than to open it."""
_CRLF: Final = re.compile(rb"\r+\n")
"""DuckDB takes all lines of a file to end like the first one. Otherwise it loses a character behind a single CR."""
_MOST_BYTES: Final = 1 << 29
"""The size of the copy. Files for which it has no room are read as they are."""


@contextmanager
def together(group: Sequence[Source], scratch: Path) -> Iterator[list[Source]]:
    """
    Yield sources with the same lines as *group*, of which many small files are one. It is removed at the end.

    Args:
        group: Sources of one compression.
        scratch: Folder for the copy. If it is full, *group* is yielded as it is.
    """
    small = [source for source in group if is_small(source)]
    if len(small) < _MANY:
        yield [*group]
        return
    try:
        descriptor, name = tempfile.mkstemp(dir=scratch)
    except OSError:
        yield [*group]
        return
    copy = Path(name)
    try:
        copied = _copy(small, descriptor)
        rest = [source for source in group if source.path not in copied]
        yield [replace(small[0], path=copy), *rest] if copied else rest
    finally:
        with suppress(OSError):
            copy.unlink()


def is_small(source: Source) -> bool:
    """Return whether to open a file takes longer than to read it."""
    try:
        return source.compression == "none" and source.path.stat().st_size <= _SMALL_BYTES
    except OSError:
        return False  # reading reports it


def _copy(sources: Sequence[Source], descriptor: int) -> set[Path]:
    """Copy the lines of *sources*, and return the paths of those that were copied as a whole."""
    copied = set()
    try:
        with os.fdopen(descriptor, "wb") as target:
            for source in sources:
                if target.tell() < _MOST_BYTES and _append(source.path, target):
                    copied.add(source.path)
    except OSError:
        return set()
    return copied


def _append(path: Path, target: IO[bytes]) -> bool:
    """Append the lines of a file, each with an end. Return whether the file could be read."""
    try:
        text = path.read_bytes()
    except OSError:
        return False  # reading it alone reports it
    text = text.removeprefix(codecs.BOM_UTF8)
    if b"\r" in text:
        text = _CRLF.sub(b"\n", text)
    target.write(text if text.endswith(b"\n") or not text else text + b"\n")
    return True
