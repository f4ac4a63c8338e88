"""
The files to read and their formats: `find_sources`.

Read. An unreadable file gives one message. The format is detected from the content.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Final

import duckdb

from obs_middleware.read.errors import SourceError, UnreadableError
from obs_middleware.read.files.archives import FOR_DUCKDB, PACK, beginning, compression_of, head_of, opened, unpack
from obs_middleware.read.files.copies import PLAIN, Shape, copy_lines, shape_of
from obs_middleware.read.packs.layout import Layout
from obs_middleware.read.packs.objects import schemas_in
from obs_middleware.read.packs.rows import PARQUET, kept_lines, layout_of, lines_in
from obs_middleware.read.packs.text import ODD, bytes_of
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.schemas import ALL_SCHEMAS, SCHEMAS, opening_of

__all__ = ["STDIN", "Source", "copy_of", "expand", "find_sources", "scratch_folder", "stats_of"]

STDIN: Final = "standard input"
"""The name of a pipe."""

_SAMPLE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """
    A file that is read.

    Attributes:
        name: The name that the user gave, or ``standard input`` for a pipe.
        path: The absolute path of the file, or of a copy of the data from a pipe.
        compression: See `compression_of`; one of `FOR_DUCKDB` in the result of `find_sources`.
        schemas: The schemas in samples of the file; empty if most lines are not JSON, or JSON behind other text.
        is_cut: Whether the last line is JSON without an end, as in a file that is being written.
        shape: What keeps DuckDB from reading it; nothing in the result of `find_sources`.
        left_out: The number of lines that a copy does not have.
        layout: The columns of a pack; None for any other file.
    """

    name: str
    path: Path
    compression: str
    schemas: tuple[str, ...]
    is_cut: bool = False
    shape: Shape = PLAIN
    left_out: int = 0
    layout: Layout | None = None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for copies and for data that does not fit into memory, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="obs-middleware-") as name:
        yield Path(name)


def find_sources(
    names: Iterable[str], scratch: Path, stdin: IO[bytes] | None = None, remarks: Remarks | None = None
) -> list[Source]:
    """
    Return the sources of *names*: files, patterns of files, and ``-`` for standard input.

    Without a name, standard input is read if it is a pipe. The files of a pattern come in the order of their last
    change, which is the order of rotated logs. A file that has two of the names is read once.

    Args:
        names: The names that the user gave.
        scratch: Folder for a copy of the data from a pipe, which is read more than once.
        stdin: Standard input; None for that of the process.
        remarks: Gets the files that cannot be read, and those that are named twice.

    Raises:
        SourceError: No name matches anything that can be read.
    """
    search = _Search(scratch, stdin or sys.stdin, Remarks() if remarks is None else remarks)
    wanted = list(names)
    if not wanted:
        if stdin is None and sys.stdin is not None and sys.stdin.isatty():
            raise SourceError("no log file: name one, or pipe one in")
        wanted = ["-"]
    try:
        for name in wanted:
            search.add(name)
    finally:
        search.close()
    return search.found()


class _Search:
    def __init__(self, scratch: Path, stdin: Any, remarks: Remarks) -> None:
        self._scratch = scratch
        self._stdin = stdin
        self._remarks = remarks
        self._found: list[Source] = []
        self._faults: list[str] = []
        self._seen: dict[tuple[int, int], str] = {}

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The connection to look into packs. To open one takes ten times as long as to look into one of them."""
        return duckdb.connect()

    def close(self) -> None:
        if "_connection" in vars(self):
            self._connection.close()

    def found(self) -> list[Source]:
        if self._faults and not self._found:
            raise UnreadableError("; ".join(self._faults))
        self._remarks.faults.extend(self._faults)
        return self._found

    def add(self, name: str) -> None:
        """Add the files of *name*, or the reason why there are none."""
        try:
            if name == "-":
                self._add_pipe(getattr(self._stdin, "buffer", self._stdin), STDIN)
                return
            expanded = expand(name)
        except UnreadableError as error:
            self._faults.append(str(error))
            return
        for one in expanded:
            try:
                self._add_file(one)
            except UnreadableError as error:
                self._faults.append(str(error))
            except (OSError, ValueError) as error:
                self._faults.append(f"{one}: {getattr(error, 'strerror', None) or error}")

    def _add_file(self, name: str) -> None:
        path = Path(name)
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise UnreadableError(
                f"{name}: is a directory without packs: name its files, for example {name.rstrip('/')}/*.log*"
            )
        if not stat.S_ISREG(about.st_mode):
            with path.open("rb") as pipe:
                self._add_pipe(pipe, name)
            return
        first = self._seen.get((about.st_dev, about.st_ino))
        if first is not None:
            same = "named twice" if first == name else f"the same file as {first}"
            self._remarks.notes.append(f"{name}: {same}, so it is read once")
            return
        self._seen[about.st_dev, about.st_ino] = name
        self._add(name, path.absolute())

    def _add_pipe(self, stream: IO[bytes], name: str) -> None:
        descriptor, path = tempfile.mkstemp(dir=self._scratch)
        try:
            with os.fdopen(descriptor, "wb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)
        except OSError as error:
            raise SourceError(f"{name}: cannot be copied to {self._scratch}: {error.strerror}") from error
        self._add(name, Path(path))

    def _add(self, name: str, path: Path) -> None:
        """Add a file, or a copy that DuckDB can read."""
        source = self._packed(name, path) or _described(name, path)
        while source.shape or source.compression not in FOR_DUCKDB:
            before, source = source.path, copy_of(source, self._scratch, self._remarks)
            if before.parent == self._scratch:
                before.unlink()
        self._found.append(source)

    def _packed(self, name: str, path: Path) -> Source | None:
        """Return a pack, or a copy of its lines if DuckDB cannot read these as they are; None for no pack."""
        layout = layout_of(self._connection, path) if _is_parquet(path) else None
        if layout is None:
            return None
        if sample := kept_lines(self._connection, path):
            text = b"\n".join(map(bytes_of, sample))
            if any(line.startswith(ODD) for line in sample) or shape_of([text], len(text) + 1, None):
                descriptor, copy = tempfile.mkstemp(dir=self._scratch)
                with os.fdopen(descriptor, "wb") as target:
                    target.writelines(bytes_of(line) + b"\n" for line in lines_in(self._connection, path, layout))
                return _described(name, Path(copy))
        return Source(name, path, PACK, schemas_in(layout), layout=layout)


def stats_of(name: str) -> list[os.stat_result]:
    """Return the status of the files that *name* means, as in `find_sources`. A file that is missing is left out."""
    with suppress(OSError, ValueError, SourceError):
        return [os.fstat(sys.stdin.fileno())] if name == "-" else [Path(one).stat() for one in expand(name)]
    return []


def expand(name: str) -> list[str]:
    """
    Return the names of the files that *name* means: those of a pattern, and the packs in a folder.

    Raises:
        UnreadableError: No file matches the pattern.
    """
    if os.path.isdir(name):  # noqa: PTH112 -- raises nothing
        return sorted(map(str, Path(name).rglob("*.parquet"))) or [name]
    if glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110 -- raises nothing
        matching = [one for one in glob.glob(name, recursive=True) if Path(one).is_file()]  # noqa: PTH207 -- absolute patterns too
        if not matching:
            raise UnreadableError(f"{name}: no file matches this pattern")
        return sorted(matching, key=lambda one: (Path(one).stat().st_mtime_ns, one))
    return [name]


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def _described(name: str, path: Path) -> Source:
    with path.open("rb") as file:
        head = beginning(file, _SAMPLE_BYTES)
        compression = compression_of(head)
        if compression != "none":
            # Damage of an archive is noticed later, when it is read.
            head = head_of(path, compression, _SAMPLE_BYTES)
            schemas = _schemas([head]) if head else ALL_SCHEMAS
            return Source(name, path, compression, schemas, shape=_shape([head], path, compression))
        size = file.seek(0, os.SEEK_END)
        samples = [head]
        for start in (size // 2, max(size - _SAMPLE_BYTES, len(head))):
            if len(head) <= start < size:
                file.seek(start)
                samples.append(file.read(_SAMPLE_BYTES).partition(b"\n")[2])
    last = samples[-1].rpartition(b"\n")[2].lstrip()
    is_cut = last.startswith(b"{") and not last.rstrip().endswith(b"}")
    schemas = _schemas(samples)
    return Source(name, path, compression, schemas, is_cut, _shape(samples, path, compression))


def _shape(samples: list[bytes], path: Path, compression: str) -> Shape:
    if compression != "none" and compression_of(samples[0]) != "none":
        return Shape(packed=True)
    return shape_of(samples, _SAMPLE_BYTES, None if compression == "zstd" else partial(opened, path, compression))


def _schemas(samples: Sequence[bytes]) -> tuple[str, ...]:
    """Return the schemas in *samples*; none if most of the lines are not JSON of this package."""
    if (only := _only_schema(samples)) is not None:
        return (only,)
    lines = [line for sample in samples for line in sample.split(b"\n") if line.strip()]
    plain = [line for line in lines if line.lstrip().startswith(b"{") and b'"stream"' not in line]
    if 2 * len(plain) <= len(lines):
        return ()
    text = b"\n".join(plain)
    return tuple(name for name, schema in SCHEMAS.items() if any(mark in text for mark in schema.marks)) or ALL_SCHEMAS


_OPENINGS: Final = {
    name: (re.compile(pattern), re.compile(rb"\n(?!%s|\Z)" % pattern))
    for name in SCHEMAS
    for pattern in [opening_of(name)]
}
"""
Schema -> the beginning of a line, and the end of a line before one that begins otherwise. Most files have only lines of
this package. To search for such an end takes an eighth of the time of what comes next.
"""


def _only_schema(samples: Sequence[bytes]) -> str | None:
    """Return the schema in which this package has written all lines of *samples*; None if it has not."""
    for name, (opening, other) in _OPENINGS.items():
        if all(opening.match(sample) and not other.search(sample) for sample in samples):
            return name
    return None


def copy_of(source: Source, scratch: Path, remarks: Remarks) -> Source:
    """
    Return a copy of *source* that DuckDB can read, without its archive, its shape or its long lines.

    Of a damaged file the copy has the part that could be read.

    Args:
        source: The source.
        scratch: Folder for the copy.
        remarks: Gets the damage.

    Raises:
        UnreadableError: Nothing can be read.
    """
    if source.layout is not None:
        raise UnreadableError(f"{source.name}: the pack is damaged")
    descriptor, name = tempfile.mkstemp(dir=scratch)
    os.close(descriptor)
    copy = Path(name)
    unpacks = source.shape.packed or source.compression not in {"none", "gzip"}
    if unpacks:
        left_out, damage, anything = unpack(source.path, source.compression, copy)
    else:
        left_out, damage, anything = copy_lines(source.path, source.compression, source.shape, copy)
    if damage is not None:
        if not anything:
            raise UnreadableError(f"{source.name}: {damage}")
        remarks.faults.append(f"{source.name}: read only in part: {damage}")
    found = _described(source.name, copy)
    return replace(found, shape=found.shape if unpacks else PLAIN, left_out=source.left_out + left_out)
