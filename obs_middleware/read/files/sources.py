"""
The files to read and their formats: `find_sources`.

Read. An unreadable file gives one message. The format is detected from the content.
"""

from __future__ import annotations

import glob
import gzip
import os
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from obs_middleware.read.errors import SourceError
from obs_middleware.read.schemas import ALL_SCHEMAS, SCHEMAS

__all__ = ["Source", "find_sources", "scratch_folder", "stats_of", "without_long_lines"]

MOST_BYTES_OF_A_LINE: Final = 1 << 20
"""Longer lines are skipped. The lines of this package are at most a tenth of this long."""

_SAMPLE_BYTES: Final = 1 << 16
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True, slots=True)
class Source:
    """
    A file that is read.

    Attributes:
        name: The name that the user gave, or ``standard input`` for a pipe.
        path: The absolute path of the file, or of a copy of the data from a pipe.
        compression: ``none``, ``gzip`` or ``zstd``.
        schemas: The schemas in samples of the file; empty if most lines are not JSON, or JSON behind other text.
        is_cut: Whether the last line is JSON without an end, as in a file that is being written.
    """

    name: str
    path: Path
    compression: str
    schemas: tuple[str, ...]
    is_cut: bool = False


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for copies and for data that does not fit into memory, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="obs-middleware-") as name:
        yield Path(name)


def find_sources(names: Iterable[str], scratch: Path, stdin: IO[bytes] | None = None) -> list[Source]:
    """
    Return the sources of *names*: files, patterns of files, and ``-`` for standard input.

    Without a name, standard input is read if it is a pipe. The files of a pattern come in the order of their last
    change, which is the order of rotated logs.

    Args:
        names: The names that the user gave.
        scratch: Folder for a copy of the data from a pipe, which is read more than once.
        stdin: Standard input; None for that of the process.

    Raises:
        SourceError: A name matches nothing that can be read.
    """
    wanted = list(names)
    if not wanted:
        if stdin is None and sys.stdin is not None and sys.stdin.isatty():
            raise SourceError("no log file: name one, or pipe one in")
        wanted = ["-"]
    found: list[Source] = []
    for name in wanted:
        if name == "-":
            found.append(_piped(stdin or sys.stdin.buffer, "standard input", scratch))
        else:
            found.extend(_named(one, scratch) for one in _expand(name))
    return found


def stats_of(name: str) -> list[os.stat_result]:
    """Return the status of the files that *name* means, as in `find_sources`. A file that is missing is left out."""
    with suppress(OSError, ValueError, SourceError):
        return [os.fstat(sys.stdin.fileno())] if name == "-" else [Path(one).stat() for one in _expand(name)]
    return []


def _expand(name: str) -> list[str]:
    if glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110 -- raises nothing
        matching = [one for one in glob.glob(name, recursive=True) if Path(one).is_file()]  # noqa: PTH207 -- absolute patterns too
        if not matching:
            raise SourceError(f"{name}: no file matches this pattern")
        return sorted(matching, key=lambda one: (Path(one).stat().st_mtime_ns, one))
    return [name]


def _named(name: str, scratch: Path) -> Source:
    path = Path(name)
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise SourceError(f"{name}: is a directory: name its files, for example {name.rstrip('/')}/*.log*")
        if not stat.S_ISREG(kind):
            with path.open("rb") as pipe:
                return _piped(pipe, name, scratch)
        return _looked_at(name, path.absolute())
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def _piped(stream: IO[bytes], name: str, scratch: Path) -> Source:
    descriptor, path = tempfile.mkstemp(dir=scratch)
    try:
        with os.fdopen(descriptor, "wb") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
    except OSError as error:
        raise SourceError(f"{name}: cannot be copied to {scratch}: {error.strerror}") from error
    return _looked_at(name, Path(path))


def _looked_at(name: str, path: Path) -> Source:
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        compression = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "none")
        if compression != "none":
            # Damage of an archive is noticed later, when it is read.
            samples = [_head_of_archive(path)] if compression == "gzip" else []
            schemas = _schemas(samples) if samples else ALL_SCHEMAS
            return Source(name, path, compression, schemas)
        size = file.seek(0, os.SEEK_END)
        samples = [head]
        for start in (size // 2, size - _SAMPLE_BYTES):
            if start > _SAMPLE_BYTES:
                file.seek(start)
                samples.append(file.read(_SAMPLE_BYTES).partition(b"\n")[2])
    last = samples[-1].rpartition(b"\n")[2].lstrip()
    is_cut = last.startswith(b"{") and not last.rstrip().endswith(b"}")
    return Source(name, path, compression, _schemas(samples), is_cut)


def _head_of_archive(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(_SAMPLE_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def _schemas(samples: Iterable[bytes]) -> tuple[str, ...]:
    """Return the schemas in *samples*; none if most of the lines are not JSON of this package."""
    lines = [line for sample in samples for line in sample.split(b"\n") if line.strip()]
    plain = [line for line in lines if line.lstrip().startswith(b"{") and b'"stream"' not in line]
    if 2 * len(plain) <= len(lines):
        return ()
    text = b"\n".join(plain)
    return tuple(name for name, schema in SCHEMAS.items() if any(mark in text for mark in schema.marks)) or ALL_SCHEMAS


def without_long_lines(source: Source, scratch: Path, count: Callable[[int], None]) -> Source:
    """
    Return a copy of *source* without long lines, and of a damaged archive the part that could be read.

    Args:
        source: The source that could not be read unchanged.
        scratch: Folder for the copy.
        count: Called with the number of lines that were left out.

    Raises:
        SourceError: Nothing can be read.
    """
    left_out = 0
    descriptor, path = tempfile.mkstemp(dir=scratch)
    with os.fdopen(descriptor, "wb") as copy:
        try:
            with _opened(source) as file:
                inside = False  # a line that is too long
                while piece := file.readline(MOST_BYTES_OF_A_LINE):
                    ends = piece.endswith(b"\n")
                    if not inside and (ends or len(piece) < MOST_BYTES_OF_A_LINE):
                        copy.write(piece)
                    elif not inside:
                        left_out += 1
                    inside = not ends
        except (OSError, EOFError, zlib.error) as error:
            if not copy.tell():
                raise SourceError(f"{source.name}: {error}") from error
            left_out += 1  # the line at which the archive breaks off
    count(left_out)
    return Source(source.name, Path(path), "none", source.schemas)


def _opened(source: Source) -> IO[bytes]:
    if source.compression == "gzip":
        return cast("IO[bytes]", gzip.open(source.path))
    if source.compression == "zstd":
        raise SourceError(f"{source.name}: the archive is damaged")
    return source.path.open("rb")
