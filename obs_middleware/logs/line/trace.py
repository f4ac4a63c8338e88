"""
Shorten a stack trace: frames go first, and every exception of a chain stays.

Write, a leaf. It works on the text, because a trace may have been formatted in another process.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["byte_count", "cut_bytes", "cut_trace"]

_BETWEEN: Final = re.compile(
    r"(?:The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\n[ |]*\n"
    r"|\+-{16} (?:\d+|\.\.\.) -{16}\n"
)
"""The line between two exceptions of a chain or of a group, as Python writes it."""

_FRAME: Final = re.compile(
    r'^([ |]*)  File "([^"\n]*).*\n?(?:\1    .*\n?|\1  \[Previous line .*\n?)*|^  \.\.\. (\d+) lines cut \.\.\.\n?',
    re.MULTILINE,
)
"""A frame with its source and its marks, or the line that a first cut has left in place of frames."""

_LIBRARIES: Final = (sysconfig.get_path("stdlib") + os.sep, str(Path(__file__).parents[2]) + os.sep, "<frozen ")
_IN_LIBRARY: Final = re.compile(r"[\\/](?:(?:site|dist)-packages|python3\.\d+)[\\/]")
"""The paths of Python, of this package and of installed packages, also on the machine of another process."""

_MARK_BYTES: Final = 32
"""More than the line with the number of lines cut has."""

_HEAD_BYTES: Final = 200
"""The usual head of a part has at most 150 bytes."""

_LEAST_BYTES: Final = 310
"""About what one exception of a chain needs. If there is less for each, those in the middle are cut."""


class _Frame(NamedTuple):
    """
    A frame of a trace.

    Attributes:
        text: Its lines.
        lines: Their number, or the number of lines that a first cut has removed here.
        rank: 0 for a frame of the application, 1 for one of a library, None for a cut.
    """

    text: str
    lines: int
    rank: int | None


class _Part(NamedTuple):
    """
    One exception of a chain or group.

    Attributes:
        head: The lines before the first frame.
        frames: The frames, the nearest to the failure last.
        reason: The lines behind the last frame: the type and the message of the exception, and its notes.
    """

    head: str
    frames: list[_Frame]
    reason: str


def byte_count(text: str) -> int:
    """Return the size of *text* in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def cut_bytes(text: str, limit: int) -> str:
    """Return the beginning of *text*, at most *limit* bytes in UTF-8, with three dots where it was cut."""
    if _fits(text, limit):
        return text
    return text[:limit].encode("utf-8", "replace")[: limit - 3].decode("utf-8", "ignore") + "..."


def _fits(text: str, limit: int) -> bool:
    # In this order: a text with more characters than bytes are allowed is not encoded.
    return len(text) <= limit and byte_count(text) <= limit


def cut_trace(text: str, limit: int) -> str:
    """
    Return a stack trace of at most *limit* bytes in UTF-8.

    Every exception of the chain keeps its type, its message, and its nearest frame of the application, or its last
    frame if it has none. Then come further frames of the application, then those of libraries, as many as fit: three of
    four from the end of the trace, one from its head. The number of lines cut is noted in their place. Long texts are
    cut at their end. If the chain is too long even so, exceptions in the middle of it are cut.
    """
    if _fits(text, limit):
        return text
    parts = _outer_parts(list(_parts(text)), max(2, limit // _LEAST_BYTES))
    parts = _with_short_texts(parts, limit)
    room = limit - sum(byte_count(part.head) + byte_count(part.reason) for part in parts)
    return cut_bytes("".join(map(_joined, parts, _chosen([part.frames for part in parts], room))), limit)


def _parts(text: str) -> Iterator[_Part]:
    between = list(_BETWEEN.finditer(text))
    starts = [0, *(match.start() for match in between), len(text)]
    heads = [0, *(match.end() for match in between)]
    for (start, end), head in zip(pairwise(starts), heads, strict=True):
        frames = list(_FRAME.finditer(text, start, end))
        if not frames:
            yield _Part(text[start:head], [], text[head:end])
            continue
        ends = [*(frame.start() for frame in frames[1:]), frames[-1].end()]
        yield _Part(
            text[start : frames[0].start()],
            [_frame(frame, text[frame.start() : its_end]) for frame, its_end in zip(frames, ends, strict=True)],
            text[frames[-1].end() : end],
        )


def _frame(match: re.Match[str], text: str) -> _Frame:
    if match[3]:
        return _Frame(text, int(match[3]), None)
    path = match[2]
    is_library = path.startswith(_LIBRARIES) or _IN_LIBRARY.search(path) is not None
    return _Frame(text, text.count("\n"), 1 if is_library else 0)


def _outer_parts(parts: list[_Part], most: int) -> list[_Part]:
    """Return at most *most* of *parts*: the last ones and the first."""
    surplus = len(parts) - most
    if surplus <= 0:
        return parts
    last = parts[1 + surplus :]
    return [parts[0], last[0]._replace(head=f"\n... {surplus} exceptions cut ...\n{last[0].head}"), *last[1:]]


def _with_short_texts(parts: Sequence[_Part], limit: int) -> list[_Part]:
    """Cut the longest messages, so that all texts but the frames have at most two thirds of *limit*."""
    heads = [_shortened(part.head, _HEAD_BYTES) for part in parts]
    most = _share([byte_count(part.reason) for part in parts], 2 * limit // 3 - sum(map(byte_count, heads)))
    return [_Part(head, part.frames, _shortened(part.reason, most)) for head, part in zip(heads, parts, strict=True)]


def _share(sizes: Sequence[int], budget: int) -> int:
    """Return the limit of each size with which all of them together stay within *budget*; small ones leave more."""
    left, number = budget, len(sizes)
    for size in sorted(sizes):
        if size * number > left:
            return left // number
        left, number = left - size, number - 1
    return budget


def _shortened(text: str, most: int) -> str:
    if _fits(text, most):
        return text
    return cut_bytes(text, most - 1) + "\n" if text.endswith("\n") else cut_bytes(text, most)


_Kept = dict[int, str]
"""The frames to keep of a part: number -> text, which may be shortened."""


def _chosen(traces: Sequence[Sequence[_Frame]], room: int) -> list[_Kept]:
    """Return the frames to keep of each trace within *room* bytes."""
    nearest = [_nearest(frames) for frames in traces]
    sizes = [byte_count(frames[number].text) for frames, number in zip(traces, nearest, strict=True) if frames]
    most = min(room // 2, _share(sizes, room - 2 * _MARK_BYTES * len(sizes)))
    chosen: list[_Kept] = [
        {number: _shortened(frames[number].text, most)} if frames else {}
        for frames, number in zip(traces, nearest, strict=True)
    ]
    room -= sum(byte_count(text) + 2 * _MARK_BYTES for kept in chosen for text in kept.values())
    for frames, kept, number in _further(traces, chosen):
        ends_left = number == 0 or number - 1 in kept
        ends_right = number == len(frames) - 1 or number + 1 in kept
        text = _shortened(frames[number].text, _LEAST_BYTES)
        room -= byte_count(text) + _MARK_BYTES * (1 - ends_left - ends_right)
        if room < 0:
            break
        kept[number] = text
    return chosen


def _further(
    traces: Sequence[Sequence[_Frame]], chosen: Sequence[_Kept]
) -> Iterator[tuple[Sequence[_Frame], _Kept, int]]:
    """
    Yield the other frames, the most useful first, each with its trace and what is kept of it.

    The first choice of each trace comes before the second of any, so that a long trace does not push out a short one.
    """
    for rank in (0, 1):
        choices = [
            [(frames, kept, number) for number in _by_worth(frames, rank) if number not in kept]
            for frames, kept in zip(reversed(traces), reversed(chosen), strict=True)
        ]
        yield from filter(None, chain.from_iterable(zip_longest(*choices)))


def _nearest(frames: Sequence[_Frame]) -> int:
    """Return the number of the last frame of the application, or else of the last frame."""
    numbers = [number for rank in (1, 0) for number, frame in enumerate(frames) if frame.rank == rank]
    return numbers[-1] if numbers else len(frames) - 1


def _by_worth(frames: Sequence[_Frame], rank: int) -> list[int]:
    """Return the numbers of the frames of this *rank*: three from the end, one from the beginning, and so on."""
    numbers = deque(number for number, frame in enumerate(frames) if frame.rank == rank)
    return [numbers.popleft() if place % 4 == 3 else numbers.pop() for place in range(len(numbers))]


def _joined(part: _Part, kept: Mapping[int, str]) -> str:
    texts, gone = [part.head], 0
    for number, frame in enumerate(part.frames):
        if number in kept:
            texts += (_mark(gone), kept[number])
            gone = 0
        else:
            gone += frame.lines
    return "".join((*texts, _mark(gone), part.reason))


def _mark(lines: int) -> str:
    return f"  ... {lines} lines cut ...\n" if lines else ""
