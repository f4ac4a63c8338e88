"""
Compressed files: `compression_of`, `opened`, and `unpack` for those that DuckDB cannot read.

Read. DuckDB reads gzip and Zstandard; the standard library reads gzip, bzip2 and xz. UTF-16 is unpacked like these.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

import duckdb

from obs_middleware.read.files.columns import literal

__all__ = [
    "DAMAGE",
    "FOR_DUCKDB",
    "MOST_BYTES_OF_A_LINE",
    "PACK",
    "beginning",
    "compression_of",
    "head_of",
    "line_reader",
    "opened",
    "unpack",
]

MOST_BYTES_OF_A_LINE: Final = 1 << 20
"""Longer lines are skipped. The lines of this package are at most a tenth of this long."""

DAMAGE: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""The exceptions of a file that breaks off or is damaged."""

PACK: Final = "pack"
"""The name of the compression of a pack, which is a Parquet file."""

FOR_DUCKDB: Final = frozenset({"none", "gzip", "zstd", PACK})
"""The compressions that DuckDB reads."""

_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OPENERS: Final[Mapping[str, Callable[[Path], Any]]] = {
    "none": lambda path: path.open("rb"),
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "utf-16": lambda path: codecs.EncodedFile(path.open("rb"), "utf-8", "utf-16", "replace"),
}
_DELIMITER: Final = "'\x1f\x1e\x1f'"


def compression_of(head: bytes) -> str:
    """Return the name of the compression of a file that begins with *head*; ``none`` without one."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "none")


def opened(path: Path, compression: str) -> IO[bytes]:
    """Open a file, unless it is of Zstandard."""
    return cast("IO[bytes]", _OPENERS[compression](path))


def beginning(file: IO[bytes], size: int) -> bytes:
    """Return the first *size* bytes of *file*, and the rest of its first line if it is not too long."""
    head = file.read(size)
    return head if len(head) < size or b"\n" in head else head + file.readline(MOST_BYTES_OF_A_LINE - size)


def head_of(path: Path, compression: str, size: int) -> bytes:
    """Return the beginning of the content, as `beginning` does; empty for a pack, and if the archive is damaged."""
    if compression == PACK:
        return b""
    try:
        if compression == "zstd":
            with duckdb.connect() as connection:
                rows = connection.execute(f"SELECT line FROM {line_reader(literal(str(path)), 'zstd')} LIMIT 50")
                return b"".join((line or "").encode() + b"\n" for (line,) in rows.fetchall())
        with opened(path, compression) as file:
            return beginning(file, size)
    except (*DAMAGE, duckdb.Error):
        return b""


def line_reader(paths: str, compression: str, options: str = "") -> str:
    """Return the SQL of a table with one column, ``line``, of the files *paths*, which is SQL too."""
    # Three control characters in a row as delimiter, so that a line stays in one column.
    return (
        f"read_csv({paths}, columns = {{'line': 'VARCHAR'}}, delim = {_DELIMITER}, quote = '', escape = '',"
        " header = false, auto_detect = false, strict_mode = false, ignore_errors = true,"
        f" compression = {literal(compression)}{options})"
    )


def unpack(path: Path, compression: str, copy: Path) -> tuple[int, str | None, bool]:
    """
    Write the content of an archive to *copy*.

    Returns:
        The number of lines that were left out; the damage, None if the whole file was read; and whether anything was
        written.
    """
    if compression == "zstd":
        return _unpack_zstd(path, copy)
    with copy.open("wb") as target:
        try:
            with opened(path, compression) as file:
                shutil.copyfileobj(file, target, 1 << 20)
        except DAMAGE as error:
            return 1, str(error), target.tell() > 0  # the line at which it breaks off
    return 0, None, True


_LONGEST_OF_ZSTD: Final = 1 << 26


def _unpack_zstd(path: Path, copy: Path) -> tuple[int, str | None, bool]:
    """Write all lines but the long ones: only DuckDB reads Zstandard in every version of Python."""
    sizes = f", max_line_size = {_LONGEST_OF_ZSTD}, buffer_size = {_LONGEST_OF_ZSTD}"
    lines = line_reader(literal(str(path)), "zstd", sizes)
    long = f"strlen(line) > {MOST_BYTES_OF_A_LINE}"
    form = "(FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t')"
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute(f"COPY (SELECT line FROM {lines} WHERE NOT {long}) TO {literal(str(copy))} {form}")
            (found,) = connection.execute(f"SELECT count(*) FROM {lines} WHERE {long}").fetchone() or (0,)
    except duckdb.Error:
        return 0, "the archive is damaged", False
    return int(found), None, True
