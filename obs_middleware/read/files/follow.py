"""
New lines of a file, across rotation: `Follower`.

Read. It follows the name: a renamed file is read to its end, and then the file that has the name now. Nothing here
blocks; the caller waits.
"""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import IO, Final

from obs_middleware.read.files.archives import MOST_BYTES_OF_A_LINE

__all__ = ["PIECE_BYTES", "Follower", "Lines", "PipeFollower"]

_TAIL_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 1 << 20
"""The most bytes to read at a time."""
_MOST_PIECES: Final = 64
"""Pieces that wait for the caller. When there are more, the writer of the pipe waits."""
_ALL: Final = -1


class Lines:
    """Whole lines from pieces of a file. A line longer than `MOST_BYTES_OF_A_LINE` is skipped."""

    def __init__(self) -> None:
        self._half = b""
        self._skipping = False

    def feed(self, piece: bytes) -> list[str]:
        """Add *piece* and return the lines that are complete."""
        *whole, self._half = (self._half + piece).split(b"\n")
        if self._skipping and whole:
            del whole[0]
            self._skipping = False
        if len(self._half) > MOST_BYTES_OF_A_LINE:
            self._half, self._skipping = b"", True
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def end(self) -> list[str]:
        """Return the last line, if it has no end."""
        half, self._half = self._half, b""
        return [half.decode("utf-8", "replace")] if half and not self._skipping else []


class Follower:
    """
    The lines that are appended to the file with a name.

    Args:
        path: The name. The file may appear later.
        lines: The number of last lines of the existing file that come first.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._lines = Lines()
        self._wanted = lines

    @property
    def ended(self) -> bool:
        """Whether no more lines can come. This is never true for a file."""
        return False

    def read(self) -> list[str]:
        """
        Return the lines that were written since the last call.

        Raises:
            OSError: The file exists and cannot be read.
        """
        if self._file is None:
            return self._open()
        found = self._rest()
        if self._is_another():
            found += self._rest()  # written between the reading and the renaming
            found += self._lines.end()
            self.close()
            found += self._open()
        return found

    def _open(self) -> list[str]:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._wanted = _ALL  # a file that appears later is all new
            return []
        wanted, self._wanted = self._wanted, _ALL
        if wanted == _ALL:
            return self._rest()
        size = self._file.seek(0, os.SEEK_END)
        start = max(size - _TAIL_BYTES, 0)
        self._file.seek(start)
        found = self._lines.feed(self._file.read(size - start))
        if start and found:
            del found[0]  # half of it
        return found[-wanted:] if wanted else []

    def _rest(self) -> list[str]:
        assert self._file is not None  # noqa: S101 -- called only while the file is open
        found: list[str] = []
        while piece := self._file.read(PIECE_BYTES):
            found += self._lines.feed(piece)
        return found

    def _is_another(self) -> bool:
        assert self._file is not None  # noqa: S101 -- as above
        now = os.fstat(self._file.fileno())
        if now.st_size < self._file.tell():  # emptied in place, as copytruncate does
            return True
        try:
            return not os.path.samestat(self._path.stat(), now)
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class PipeFollower:
    """
    The lines from a pipe. A thread waits for them, because Windows cannot say whether a pipe has something to read.

    Attributes:
        ended: Whether the other end was closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._lines = Lines()
        self.ended = False
        self._pieces: queue.Queue[bytes | OSError] = queue.Queue(_MOST_PIECES)
        threading.Thread(target=self._wait, args=[descriptor], daemon=True).start()

    def _wait(self, descriptor: int) -> None:
        piece = b"."
        while piece:
            try:
                piece = os.read(descriptor, PIECE_BYTES)
            except OSError as error:
                self._pieces.put(error)
                return
            self._pieces.put(piece)

    def read(self) -> list[str]:
        """
        Return the lines that were written since the last call.

        Raises:
            OSError: The pipe cannot be read.
        """
        found: list[str] = []
        for _ in range(0 if self.ended else _MOST_PIECES):
            try:
                piece = self._pieces.get_nowait()
            except queue.Empty:
                break
            if isinstance(piece, OSError):
                raise piece
            if not piece:
                self.ended = True
                return found + self._lines.end()
            found += self._lines.feed(piece)
        return found

    def close(self) -> None:
        """Do nothing: the pipe belongs to the process."""
