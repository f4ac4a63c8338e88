"""
What files without a request line are: `hint_of`.

Read. The hint names the program to use, or the place of the lines in a wrapper that the reader does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from obs_middleware.read.files.archives import head_of
from obs_middleware.read.files.sources import STDIN, Source
from obs_middleware.read.files.wrappers import parsed
from obs_middleware.read.kinds import WORDS

__all__ = ["hint_of"]

_SAMPLE_BYTES: Final = 1 << 16
_FORMATS: Final = {
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"7z\xbc\xaf'\x1c": "a 7z archive: unpack it first",
    b"\x04\x22\x4d\x18": "compressed by lz4: unpack it first",
    b"LPKSHHRH": "a journal of systemd: journalctl -o json --file FILE prints its lines",
    b"PAR1": "a Parquet file: export the lines as JSON",
    b"SQLite format 3": "an SQLite database",
    b"<!DOCTYPE": "an HTML page",
    b"<html": "an HTML page",
}
_TAR_MARK: Final = (b"ustar", 257)
_TOOK: Final = re.compile(rf"(?:{'|'.join(WORDS)}) took [0-9]+\.[0-9]+ seconds")
_ACCESS: Final = re.compile(rb'^\S+ \S+ \S+ \[[^\]]+\] "[A-Z]+ [^"]*" [0-9]{3} ', re.MULTILINE)
_DEPTH: Final = 8


def hint_of(sources: Sequence[Source]) -> str:
    """Return a hint on the first of *sources* that looks like something, with punctuation before it; else nothing."""
    for source in sources:
        if source.name == STDIN and not source.path.stat().st_size:
            return ", because nothing came in: name a log file, or pipe one in (obs-middleware --help)"
        head = head_of(source.path, source.compression, _SAMPLE_BYTES)
        found = _format_of(head) or _wrapping_of(head)
        if found is not None:
            return f": {found}"
    return ""


def _format_of(head: bytes) -> str | None:
    looks = next((name for mark, name in _FORMATS.items() if head.startswith(mark)), None)
    mark, place = _TAR_MARK
    if head[place : place + len(mark)] == mark:
        looks = "a tar archive: tar -xOf FILE prints the content of its files"
    if _ACCESS.search(head):
        looks = "the access log of a server, which has no lines of this package"
    return None if looks is None else f"it looks like {looks}"


def _wrapping_of(head: bytes) -> str | None:
    for line in head.split(b"\n"):
        value = parsed(line) if line.startswith(b"{") else None
        path, option = next(_places(value, ()), ((), ""))
        if path:
            field = ".".join(path)
            query = (
                f".{field}" if re.fullmatch(r"[A-Za-z0-9_.]+", field) else "." + "".join(f'["{key}"]' for key in path)
            )
            return f"the lines are in the field {field}: jq {option} '{query}' FILE takes them out of their wrapper"
    return None


def _places(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the paths to texts and objects that look like lines of ours, with the option of jq that prints them."""
    if isinstance(value, str) and _TOOK.search(value):
        is_object = path[-1:] in {("message",), ("body",)} and len(path) > 1
        yield (path[:-1], "-c") if is_object else (path, "-r")
    elif isinstance(value, dict) and len(path) < _DEPTH:
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
