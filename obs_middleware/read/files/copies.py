"""
Copies of files that DuckDB cannot read as they are: `copy_lines`, and `shape_of`, which tells whether a file needs it.

Read. A copy has one line for each record: without wrappers, long lines and holes of NULs, and with split lines joined.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from obs_middleware.read.files.archives import DAMAGE, MOST_BYTES_OF_A_LINE, opened
from obs_middleware.read.files.wrappers import is_docker, line_inside, parsed, program_of, records_in
from obs_middleware.read.schemas import opening_of

__all__ = ["PLAIN", "Shape", "copy_lines", "shape_of"]

_LOOKED_AT: Final = 50
_PIECE: Final = 1 << 20
_HOLE: Final = bytes(16)
_ARRAY: Final = re.compile(rb"\[\s*[\[{]")
_CRI: Final = re.compile(rb"(\S+ (?:stdout|stderr)) ([FP])(?::\S*)? (.*)", re.DOTALL)
_PARTS_OF_CRI: Final = (b" stdout P ", b" stderr P ")
_END_OF_DOCKER: Final = b'","stream":'
_END_OF_LINE: Final = b'\\n","stream":'


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What keeps DuckDB from reading a file as it is.

    Attributes:
        document: The file is one value of JSON, or several that are spread over lines.
        wrapped: There are records of other programs, with our lines inside.
        split: A container runtime has cut long lines in parts.
        hole: There are NULs in the place of lines.
        packed: It is an archive inside an archive, or UTF-16 inside one.
    """

    document: bool = False
    wrapped: bool = False
    split: bool = False
    hole: bool = False
    packed: bool = False

    def __bool__(self) -> bool:
        return self != PLAIN


PLAIN: Final = Shape()
"""Nothing."""


def shape_of(samples: Sequence[bytes], whole: int, contents: Callable[[], IO[bytes]] | None) -> Shape:
    """
    Return the shape of a file.

    Args:
        samples: Parts of the file. The first one is its beginning.
        whole: The length that the first sample has if the file is longer.
        contents: Opens the file. It is called if a container runtime may have split lines. If it is None, they count
            as split.
    """
    if _is_document(samples[0] if samples else b"", whole):
        return Shape(document=True)
    wrapped = from_container = False
    for line in _to_look_at(samples):
        if line.startswith(b"{"):
            value = parsed(line)
            from_container |= is_docker(value) or b'"stream"' in line
            wrapped |= any(not is_docker(one) and (one is not value or program_of(one)) for one in records_in(value))
        else:
            from_container |= _CRI.match(line) is not None
    hole = any(0 in sample and _HOLE in sample for sample in samples)
    split = from_container and (contents is None or _has_parts(contents))
    return Shape(wrapped=bool(wrapped), split=split, hole=hole)


_OPENING: Final = re.compile(b"|".join(map(opening_of, ("flat", "ecs", "otel"))))
"""The beginning of a line in one of the schemas whose second key no wrapper has."""

_OURS: Final = re.compile(rb"(?:(?:%s)[^\n]*(?:\n|\Z)){0,%d}" % (_OPENING.pattern, _LOOKED_AT))
"""The first lines of a sample, as long as they begin like ours."""


def _to_look_at(samples: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the first lines of each sample, except those that are surely no wrapper: to parse them takes long."""
    for sample in samples:
        ours = _OURS.match(sample)
        begin = 0 if ours is None or b'"stream"' in ours[0] else ours.end()
        number = _LOOKED_AT - sample.count(b"\n", 0, begin)
        for line in sample[begin:].split(b"\n", number)[:number]:
            if b'"stream"' in line or not _OPENING.match(line):
                yield line.lstrip(b"\0\xef\xbb\xbf ")


def _is_document(head: bytes, whole: int) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text.startswith(b"{"):
        return _ARRAY.match(text) is not None
    first, newline, _ = text.partition(b"\n")
    if not newline:
        return len(head) >= whole
    return first.rstrip()[-1:] in {b"{", b"[", b","} and parsed(first) is None


def _has_parts(contents: Callable[[], IO[bytes]]) -> bool:
    """Return whether a file has a part of a line. Parts are rare, so samples miss them."""
    try:
        with contents() as file:
            while piece := file.read(_PIECE):
                piece += file.readline(MOST_BYTES_OF_A_LINE)
                if any(part in piece for part in _PARTS_OF_CRI):
                    return True
                if piece.count(_END_OF_DOCKER) != piece.count(_END_OF_LINE):
                    return True
    except DAMAGE:
        pass
    return False


class _Copy:
    """
    The lines of a copy.

    Attributes:
        left_out: Lines that were left out.
    """

    def __init__(self) -> None:
        self.left_out = 0

    def lines(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yield the lines, except those that are too long."""
        inside = False  # a line that is too long
        while piece := file.readline(MOST_BYTES_OF_A_LINE):
            if not inside and piece.startswith(b"\0"):
                piece = piece.lstrip(b"\0")
                if piece and not piece.endswith(b"\n"):
                    piece += file.readline(MOST_BYTES_OF_A_LINE)
                elif not piece:
                    continue
            ends = piece.endswith(b"\n")
            if not inside and (ends or len(piece) < MOST_BYTES_OF_A_LINE):
                yield piece.rstrip(b"\r\n")
            elif not inside:
                self.left_out += 1
            inside = not ends

    def joined(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Join the parts of lines that a container runtime has split, each stream for itself."""
        parts: dict[str, list[str]] = {}
        for line in lines:
            part = _part_of(line)
            if part is None:
                yield line
                continue
            stream, text, ends = part
            before = parts.setdefault(stream, [])
            if sum(map(len, before)) < MOST_BYTES_OF_A_LINE:
                before.append(text)
            if ends:
                yield from self._whole(line, parts.pop(stream))
        self.left_out += len(parts)

    def _whole(self, last: bytes, texts: list[str]) -> Iterator[bytes]:
        text = "".join(texts)
        if len(texts) == 1:
            yield last
        elif len(text) >= MOST_BYTES_OF_A_LINE:
            self.left_out += 1
        elif (cri := _CRI.match(last)) is not None:
            yield cri[1] + b" F " + text.encode("utf-8", "surrogateescape")
        else:
            record = {**parsed(last), "log": text}
            yield json.dumps(record, separators=(",", ":")).encode()

    def values(self, file: IO[bytes]) -> Iterator[Any]:
        """
        Yield the values of JSON in a file.

        Raises:
            EOFError: The rest is no JSON.
        """
        text = codecs.getreader("utf-8-sig")(file, "replace")
        decode = json.JSONDecoder().raw_decode
        rest = ""
        while piece := text.read(max(_PIECE, len(rest))):  # twice as much each time, for a value that is very long
            rest += piece
            start = 0
            while (start := _after_separators(rest, start)) < len(rest):
                try:
                    value, start = decode(rest, start)
                except (ValueError, RecursionError):
                    break
                yield value
            rest = rest[start:]
        if rest.strip():
            self.left_out += 1
            raise EOFError(f"the JSON is damaged at {rest[:20]!r}")


_SEPARATORS: Final = re.compile(r"[\s,\[\]]*")


def _after_separators(text: str, start: int) -> int:
    found = _SEPARATORS.match(text, start)
    return start if found is None else found.end()


def _part_of(line: bytes) -> tuple[str, str, bool] | None:
    """Return the stream of a line of a container runtime, its text, and whether the text ends there."""
    if (cri := _CRI.match(line)) is not None:
        return cri[1].rpartition(b" ")[2].decode(), cri[3].decode("utf-8", "surrogateescape"), cri[2] == b"F"
    record = parsed(line) if b'"stream"' in line else None
    if is_docker(record):
        return str(record["stream"]), record["log"], record["log"].endswith("\n")
    return None


def copy_lines(path: Path, compression: str, shape: Shape, copy: Path) -> tuple[int, str | None, bool]:
    """
    Write the lines of *path* to *copy*.

    Returns:
        The number of lines that were left out; the damage, None if the whole file was read; and whether anything was
        written.
    """
    made = _Copy()
    damage = None
    with copy.open("wb") as target:
        try:
            with opened(path, compression) as file:
                for line in _lines_of(made, file, shape):
                    target.write(line + b"\n")
        except DAMAGE as error:
            damage = str(error) or type(error).__name__
            made.left_out += not shape.document  # the line at which it breaks off
        return made.left_out, damage, target.tell() > 0


def _lines_of(made: _Copy, file: IO[bytes], shape: Shape) -> Iterator[bytes]:
    if shape.document:
        for value in made.values(file):
            for record in records_in(value):
                yield line_inside(record).encode("utf-8", "replace")
        return
    lines = made.lines(file)
    for line in made.joined(lines) if shape.split else lines:
        value = parsed(line) if shape.wrapped and line.startswith(b"{") else None
        if isinstance(value, dict):
            text = line.decode("utf-8", "replace")
            for record in records_in(value):
                yield line_inside(record, text if record is value else None).encode("utf-8", "replace")
        else:
            yield line
