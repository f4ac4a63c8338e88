"""
Histograms in files, which processes share and which outlive them.

Measure, a leaf. Each process counts in a file of its own, mapped into memory: a count is a write to memory, is visible
to readers of the file at once, and survives a process that is killed. The process holds a lock on its file as long as
it lives. A new process takes over a file without a lock and counts on, so nothing is lost when workers are replaced,
and there are never more files than processes at one time.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, final

from obs_middleware import platforms

__all__ = ["MOST", "PLACES", "Exemplar", "HistogramFile", "Key", "Page", "Reading", "is_key_short", "read_histograms"]

Key = tuple[str | int | None, ...]
"""The name of a histogram, and the values of its attributes."""

PLACES: Final = 15
"""The number of buckets of a histogram, the last without an upper bound."""

MOST: Final = 2000
"""How many histograms a process keeps. More attribute values than this are a mistake, and share one histogram."""

_SUM: Final = PLACES
_PAGE: Final = 4096
_GROWTH: Final = 64 * _PAGE
"""By how much a file grows. A multiple of the unit in which every system maps files."""

# A page: this mark, the length of the key, a number for each bucket and their sum, an exemplar for each bucket, and the
# key.
_MARK: Final = struct.unpack("=Q", b"obshist1")[0]
"""Written last, so that a page with it is complete. The digit is the version of this layout."""
_HEAD: Final = struct.Struct("=QQ")
_NUMBERS: Final = slice(_HEAD.size, _HEAD.size + 8 * (PLACES + 1))
_EXEMPLAR: Final = struct.Struct("=dd120s")
_CHECKED: Final = struct.Struct(f"=Q{_EXEMPLAR.size}s")
_EXEMPLARS: Final = slice(_NUMBERS.stop, _NUMBERS.stop + PLACES * _CHECKED.size)
_KEY_BYTES: Final = _PAGE - _EXEMPLARS.stop

_SUFFIX: Final = ".histograms"
_ATTEMPTS: Final = 100
"""How often a process creates a file that another one takes. More than once is rare."""
_MOST_TEXT: Final = 110
"""Characters of the ids of an exemplar. OpenMetrics allows 128, with the names of their labels."""


class Exemplar(NamedTuple):
    """
    One request or task of a bucket.

    Attributes:
        seconds: How long it took.
        time: When it ended, in seconds since 1970.
        request_id: Its request id.
        trace_id: Its trace id, or an empty text.
    """

    seconds: float
    time: float
    request_id: str
    trace_id: str


class Reading(NamedTuple):
    """
    One histogram of one process.

    Attributes:
        key: Its name and the values of its attributes.
        counts: How many durations were in each bucket, without those of lower buckets.
        seconds: The sum of all durations.
        exemplars: An exemplar of each bucket, or None.
    """

    key: Key
    counts: list[int]
    seconds: float
    exemplars: list[Exemplar | None]


@final
class Page:
    """
    One histogram in memory.

    Attributes:
        numbers: A float for each bucket, and behind them the sum of the durations. Write them under a lock.
        counted: The same numbers, which are faster to read from a list.
        due: From when on each bucket takes another exemplar, for the caller's use.
    """

    __slots__ = ("_exemplars", "counted", "due", "numbers")

    def __init__(self, page: memoryview) -> None:
        self.numbers = page[_NUMBERS].cast("d")
        self.counted: list[float] = [*self.numbers.tolist()]
        self._exemplars = page[_EXEMPLARS]
        self.due = [0.0] * PLACES

    def show(self, place: int, seconds: float, request_id: str, trace_id: str | None) -> None:
        """Replace the exemplar of a bucket. Ids that are too long for the format are left out."""
        text = request_id if trace_id is None else f"{request_id} {trace_id}"
        if len(text) > _MOST_TEXT:
            text = request_id
        encoded = text.encode()
        if len(encoded) > _MOST_TEXT:
            return
        packed = _EXEMPLAR.pack(seconds, time.time(), encoded)
        # A reader in another process may read while this is written; the checksum tells it.
        _CHECKED.pack_into(self._exemplars, place * _CHECKED.size, zlib.crc32(packed) + 1, packed)

    def release(self) -> None:
        """Let go of the memory, which can then be unmapped."""
        self.numbers.release()
        self._exemplars.release()


@final
class HistogramFile:
    """
    The histograms of this process.

    Args:
        folder: Where the processes share their files. None: keep the histograms in the memory of this process alone.

    Raises:
        OSError: The folder is missing, or files in it cannot be written or locked.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else _taken_over(folder)
        if folder is not None and self._file is None:
            self._file = _created(folder)
        self._maps: list[tuple[mmap.mmap, memoryview]] = []
        self._used = 0
        try:
            grown = 0 if self._file is None else os.fstat(self._file).st_size // _GROWTH
            for number in range(grown):
                self._map(number)
            self.found = [(reading.key, self._take()) for reading in self.read()]
        except BaseException:
            self.close()
            raise

    def read(self) -> Iterator[Reading]:
        """Yield the histograms of this process."""
        for _, view in self._maps:
            yield from _readings(view)

    def add(self, key: Key) -> Page:
        """
        Return a new histogram.

        Raises:
            OSError: The disk is full.
        """
        if self._used == len(self._maps) * (_GROWTH // _PAGE):
            self._grow()
        encoded = _encoded(key)
        place = self._used * _PAGE
        view = self._maps[place // _GROWTH][1]
        start = place % _GROWTH
        view[start + _EXEMPLARS.stop : start + _EXEMPLARS.stop + len(encoded)] = encoded
        _HEAD.pack_into(view, start, 0, len(encoded))
        view[start : start + 8] = struct.pack("=Q", _MARK)
        return self._take()

    def _take(self) -> Page:
        place = self._used * _PAGE
        self._used += 1
        start = place % _GROWTH
        return Page(self._maps[place // _GROWTH][1][start : start + _PAGE])

    def _grow(self) -> None:
        number = len(self._maps)
        if self._file is not None:
            # Write the zeros: the system kills a process that uses mapped memory for which the disk has no room.
            os.lseek(self._file, number * _GROWTH, os.SEEK_SET)
            if os.write(self._file, bytes(_GROWTH)) != _GROWTH:
                raise OSError("no room for the histograms of METRICS")
        self._map(number)

    def _map(self, number: int) -> None:
        mapped = (
            mmap.mmap(-1, _GROWTH) if self._file is None else mmap.mmap(self._file, _GROWTH, offset=number * _GROWTH)
        )
        self._maps.append((mapped, memoryview(mapped)))

    def close(self) -> None:
        """Let go of the file, which another process may then take over. Pages must have been released."""
        for mapped, view in self._maps:
            try:
                view.release()
                mapped.close()
            except BufferError:
                pass  # a page is still in use, and is unmapped with it
        self._maps.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_key_short(key: Key) -> bool:
    """Return whether *key* has room in a page."""
    return len(_encoded(key)) <= _KEY_BYTES


def read_histograms(folder: Path) -> Iterator[Reading]:
    """
    Yield the histograms of all processes that have counted in *folder*, living or dead.

    Raises:
        OSError: The folder is missing, or a file cannot be read.
    """
    for path in _files(folder):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # deleted since
        yield from _readings(memoryview(data))


def _encoded(key: Key) -> bytes:
    return json.dumps(key, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _readings(view: memoryview) -> Iterator[Reading]:
    for start in range(0, len(view) - _PAGE + 1, _PAGE):
        page = view[start : start + _PAGE]
        mark, length = _HEAD.unpack_from(page)
        if mark != _MARK:
            return  # no more pages, or those of another version
        numbers: Sequence[float] = page[_NUMBERS].cast("d").tolist()
        try:
            key = json.loads(bytes(page[_EXEMPLARS.stop : _EXEMPLARS.stop + length]))
        except ValueError:
            return  # a power failure has cut the page; the process that takes over the file writes it anew
        exemplars = [_exemplar(packed) for packed in _CHECKED.iter_unpack(bytes(page[_EXEMPLARS]))]
        yield Reading(tuple(key), [int(one) for one in numbers[:PLACES]], numbers[_SUM], exemplars)


def _exemplar(checked: tuple[int, bytes]) -> Exemplar | None:
    checksum, packed = checked
    if checksum != zlib.crc32(packed) + 1:
        return None  # there is none, or it is being written
    seconds, at, text = _EXEMPLAR.unpack(packed)
    request_id, _, trace_id = text.rstrip(b"\0").decode().partition(" ")
    return Exemplar(seconds, at, request_id, trace_id)


def _files(folder: Path) -> list[Path]:
    return sorted(folder / name for name in os.listdir(folder) if name.endswith(_SUFFIX))  # noqa: PTH208 -- raises OSError, which iterdir() does only later


def _taken_over(folder: Path) -> int | None:
    """Return the open file of a process that is no more, locked; None if there is none."""
    for path in _files(folder):
        file = _held(path)
        if file is None:
            continue
        if not _has_this_layout(file):
            path.unlink(missing_ok=True)
        elif not _is_nearly_full(file) or not _all_deleted(folder, path):
            return file
        os.close(file)
    return None


def _held(path: Path) -> int | None:
    """Return a file, open and locked; None if it belongs to another process or user, or was deleted."""
    try:
        file = os.open(path, platforms.UPDATE)
    except OSError:
        return None
    found = os.fstat(file)
    # The process that had the lock may have deleted the file before it released the lock.
    if found.st_uid == platforms.user_id() and platforms.hold(file) and os.fstat(file).st_nlink > 0:
        return file
    os.close(file)
    return None


def _has_this_layout(file: int) -> bool:
    mark = os.read(file, 8)
    return not mark.strip(b"\0") or mark == struct.pack("=Q", _MARK)


def _is_nearly_full(file: int) -> bool:
    return os.fstat(file).st_size > MOST // 2 * _PAGE


def _all_deleted(folder: Path, own: Path) -> bool:
    """
    Delete all files if no other process counts, because the server starts. Return whether they are deleted.

    Otherwise the routes of all releases of a site would add up until there is room for none. Counters may start from
    zero when a server starts.
    """
    others = [path for path in _files(folder) if path != own]
    held = [_held(path) for path in others]
    is_alone = None not in held
    if is_alone:
        for path in (own, *others):
            path.unlink(missing_ok=True)
    for file in held:
        if file is not None:
            os.close(file)
    return is_alone


def _created(folder: Path) -> int:
    for _ in range(_ATTEMPTS):
        file = os.open(folder / f"{secrets.token_hex(8)}{_SUFFIX}", platforms.UPDATE | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if platforms.hold(file):
                return file
        except BaseException:
            os.close(file)
            raise
        # Another process that starts now has found the new file first, and counts in it.
        os.close(file)
    raise OSError(f"other processes have locked each new file in {folder}")
