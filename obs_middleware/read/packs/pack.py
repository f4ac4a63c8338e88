"""
Pack a log: `pack_log`.

Read. Each day of a log is one file. It gets its name when it is on the disk and has been compared with the log, so that
a crash leaves either the old file or the new one. A log that has grown replaces its pack; other logs stand beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import duckdb

from obs_middleware.platforms import sync
from obs_middleware.read.errors import SourceError
from obs_middleware.read.files.archives import DAMAGE, compression_of, head_of, line_reader, opened, unpack
from obs_middleware.read.files.columns import TIME, literal
from obs_middleware.read.files.lines import STAMP
from obs_middleware.read.packs.layout import Layout
from obs_middleware.read.packs.plan import IS_OBJECT, layout_for
from obs_middleware.read.packs.rows import PARQUET, have_different_ids, layout_of, lines_in, save
from obs_middleware.read.packs.text import Text, bytes_of, copy_text, text_lines
from obs_middleware.read.schemas import SCHEMAS

__all__ = ["TEMPORARY", "Packed", "pack_log"]

TEMPORARY: Final = ".part"
"""The end of the name of a file that is being written."""

_LINES: Final = "pack_lines"
_HEAD: Final = 64
_OTHER_ARCHIVES: Final = (PARQUET, b"PK\3\4", b"7z\xbc\xaf\x27\x1c", b"\x04\x22\x4d\x18", b"\x1f\x9d")
"""The first bytes of Parquet, zip, 7z, lz4 and compress."""
_MOST: Final = 1 << 26
"""Bytes of a line. DuckDB needs several times as much memory."""
_USUAL: Final = 1 << 20
_TIMES: Final = ("$.timestamp", '$."@timestamp"', "$.time")
_BATCH: Final = 10_000
_START: Final = 64
"""The time of a line of text is among its first characters: later ones may be anything."""


@dataclass(frozen=True, slots=True)
class Packed:
    """
    What became of a log.

    Attributes:
        lines: The number of its lines.
        files: Its packs.
        written: How many of them are new or have changed.
    """

    lines: int
    files: tuple[Path, ...]
    written: int


def pack_log(connection: duckdb.DuckDBPyConnection, log: Path, folder: Path, scratch: Path) -> Packed:
    """
    Write the lines of *log* to packs in *folder*, and compare them with the log.

    Args:
        connection: The connection to DuckDB.
        log: A file of lines, which may be compressed.
        folder: The folder of the packs.
        scratch: Folder for copies.

    Raises:
        SourceError: The log cannot be read to its end, or a pack differs from it. Then no pack has changed.
    """
    connection.execute("SET preserve_insertion_order = true")
    size = log.stat().st_size
    plain, compression = _readable(log, scratch)
    copy = scratch / "pack-lines"
    try:
        with opened(plain, compression) as file:
            text = copy_text(file, copy)
    except DAMAGE as error:
        raise SourceError(f"{log}: cannot be read to its end, so it is not packed: {error}") from error
    if text.longest > _MOST:
        raise SourceError(f"{log}: has a line of {text.longest:,} bytes, so it is not packed")
    _load(connection, copy, text, dt.datetime.fromtimestamp(log.stat().st_mtime, dt.UTC).date())
    copy.unlink()
    packing = _Packing(connection, folder, layout_for(connection, _LINES))
    try:
        for day in _days(connection):
            packing.add(day, text.name)
        with opened(plain, compression) as file:
            packing.compare(text_lines(file), log, size, text.lines)
        packing.finish()
    finally:
        packing.remove_parts()
        connection.execute(f"DROP TABLE {_LINES}")
    return Packed(text.lines, tuple(packing.targets.values()), len(packing.parts))


def _readable(log: Path, scratch: Path) -> tuple[Path, str]:
    """Return the path and the compression of the log, or of a copy that the standard library can read."""
    with log.open("rb") as file:
        head = file.read(_HEAD)
    _refuse(log, head)
    compression = compression_of(head)
    if compression != "zstd":
        if compression != "none":
            _refuse(log, head_of(log, compression, _HEAD), inside=True)
        return log, compression
    copy = scratch / "pack-log"
    left_out, damage, _ = unpack(log, compression, copy)
    if damage or left_out:
        reason = damage or f"{left_out:,} of its lines are too long"
        raise SourceError(f"{log}: cannot be read to its end, so it is not packed: {reason}")
    with copy.open("rb") as file:
        _refuse(log, file.read(_HEAD), inside=True)
    return copy, "none"


def _refuse(log: Path, head: bytes, *, inside: bool = False) -> None:
    """Raise `SourceError` for an archive whose lines cannot be read: packs keep lines, not bytes."""
    if head.startswith(_OTHER_ARCHIVES) or (inside and compression_of(head) != "none"):
        raise SourceError(f"{log}: is a Parquet file or an archive without lines, so it is not packed")


def _load(connection: duckdb.DuckDBPyConnection, copy: Path, text: Text, default: dt.date) -> None:
    """Make the table of the lines with their days. A line without a time gets the day of the line before it."""
    sizes = f", max_line_size = {4 * _MOST}, buffer_size = {4 * _MOST}" if text.longest > _USUAL else ""
    connection.execute(
        f"CREATE OR REPLACE TABLE {_LINES} AS SELECT line, ({_TIME_OF_LINE})::DATE AS day"
        f" FROM (SELECT coalesce(line, '') AS line FROM {line_reader(literal(str(copy)), 'none', sizes)})"
    )
    found = connection.execute(f"SELECT count(*) = count(day) FROM {_LINES}").fetchone()
    if found is not None and not found[0]:
        known = connection.execute(f"SELECT day FROM {_LINES} WHERE day IS NOT NULL ORDER BY rowid LIMIT 1").fetchone()
        connection.execute(
            f"CREATE OR REPLACE TABLE {_LINES} AS SELECT line, coalesce("
            f"last_value(day IGNORE NULLS) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING), ?) AS day"
            f" FROM (SELECT line, day, rowid AS number FROM {_LINES}) ORDER BY number",
            [default if known is None else known[0]],
        )


def _time_of_line() -> str:
    """Return the SQL of the time of a line; null without one."""
    first = " ".join(
        f"WHEN starts_with(line, {literal(before)}) THEN line[{len(before) + 1}:{len(before) + 27}]"
        for before in dict.fromkeys(schema.opening[0] for schema in SCHEMAS.values())
    )
    fields = ", ".join(f"json_extract_string({IS_OBJECT}, {literal(path)})" for path in _TIMES)
    start = f"nullif(regexp_extract(line[:{_START}], {literal(STAMP)}), '')"
    found = f"(CASE {first} WHEN starts_with(line, '{{') THEN coalesce({fields}, {start}) ELSE {start} END)"
    return TIME.format(found)


_TIME_OF_LINE: Final = _time_of_line()


def _days(connection: duckdb.DuckDBPyConnection) -> list[dt.date]:
    return [day for (day,) in connection.execute(f"SELECT DISTINCT day FROM {_LINES} ORDER BY day").fetchall()]


class _Packing:
    """
    The packs of a log that are being written.

    Attributes:
        targets: Day -> the pack.
        parts: Day -> the file that is to replace it; missing if the pack is complete already.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, layout: Layout) -> None:
        self._connection = connection
        self._folder = folder
        self._layout = layout
        self.targets: dict[dt.date, Path] = {}
        self.parts: dict[dt.date, Path] = {}

    def add(self, day: dt.date, name: str) -> None:
        """Write the lines of a day, unless its pack has them already."""
        place = self._folder / f"day={day}"
        place.mkdir(exist_ok=True)
        number = 1
        while True:
            target = place / (f"{name}.parquet" if number == 1 else f"{name}-{number}.parquet")
            kept = self._kept(target, day) if target.exists() else 0
            if kept is not None:
                break
            number += 1  # another log with the same first line
        self.targets[day] = target
        if kept < self._count(day):
            self.parts[day] = target.with_name(f".{target.name}{TEMPORARY}")
            lines = self._lines(day)
            different = have_different_ids(self._connection, lines, self._layout, day)
            save(self._connection, lines, replace(self._layout, day=str(day) if different else ""), self.parts[day])

    def _kept(self, target: Path, day: dt.date) -> int | None:
        """Return how many lines of the day a pack has; None if its lines are of another log."""
        layout = layout_of(self._connection, target)
        if layout is None:
            raise SourceError(f"{target}: is not a pack: remove it, or use another folder")
        kept = 0
        new = _values(self._connection.cursor().execute(self._lines(day)))
        is_cut = False  # whether the line was not whole yet when it was packed
        for line in lines_in(self._connection, target, layout):
            other = next(new, None)
            if other is None and not is_cut:
                return kept  # the pack has more, so this is an older copy of the log
            if other is None or is_cut or not bytes_of(other).startswith(bytes_of(line)):
                return None
            is_cut = line != other
            kept += not is_cut
        return kept

    def compare(self, lines: Iterable[str], log: Path, size: int, last: int) -> None:
        """
        Compare the new packs with the lines of the log, which had *size* bytes and *last* lines, and may have grown.

        Raises:
            SourceError: A line is different.
        """
        files = {day: self.parts.get(day, target) for day, target in self.targets.items()}
        layouts = {day: layout_of(self._connection, path) for day, path in files.items()}
        rows = {
            day: lines_in(self._connection, files[day], layout) for day, layout in layouts.items() if layout is not None
        }
        expected = iter(lines)
        number = 0
        for day, count in self._runs():
            for line in islice(expected, count):
                number += 1
                packed = next(rows[day], None)
                is_begun = number == last and packed is not None and bytes_of(line).startswith(bytes_of(packed))
                if packed != line and not (is_begun and log.stat().st_size > size):
                    raise SourceError(f"{log}: line {number} is not the same in its pack, so nothing was packed")
        if number < last or (next(expected, None) is not None and log.stat().st_size <= size):
            raise SourceError(f"{log}: has changed while it was packed: pack it again")

    def _runs(self) -> Iterator[tuple[dt.date, int]]:
        """Yield the day of each run of lines of one day, and the number of its lines."""
        if len(self.targets) == 1:
            yield from ((day, self._count(day)) for day in self.targets)
            return
        yield from self._connection.execute(
            "SELECT day, count(*) FROM (SELECT day, sum(starts) OVER (ORDER BY number) AS run"
            " FROM (SELECT day, rowid AS number, (day IS DISTINCT FROM lag(day) OVER (ORDER BY rowid))::INT AS starts"
            f" FROM {_LINES})) GROUP BY run, day ORDER BY run"
        ).fetchall()

    def finish(self) -> None:
        """Give the new packs their names."""
        for day, part in self.parts.items():
            sync(part)
            part.replace(self.targets[day])
        # Also for a process that was killed before this.
        for folder in {target.parent for target in self.targets.values()}:
            sync(folder)
        sync(self._folder)

    def remove_parts(self) -> None:
        """Remove what has no name yet."""
        for part in self.parts.values():
            part.unlink(missing_ok=True)

    def _lines(self, day: dt.date) -> str:
        return f"SELECT line FROM {_LINES} WHERE day = DATE '{day}'"

    def _count(self, day: dt.date) -> int:
        (count,) = self._connection.execute(f"SELECT count(*) FROM ({self._lines(day)})").fetchone() or (0,)
        return int(count)


def _values(result: duckdb.DuckDBPyConnection) -> Iterator[str]:
    while batch := result.fetchmany(_BATCH):
        for (value,) in batch:
            yield value
