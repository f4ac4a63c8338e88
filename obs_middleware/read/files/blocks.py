"""The names of timed blocks in files: `block_fields`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import duckdb

from obs_middleware.read.bands import MOST_BLOCKS
from obs_middleware.read.errors import UnreadableError
from obs_middleware.read.files.columns import literal
from obs_middleware.read.files.lines import lines_of, raise_if_out_of_memory
from obs_middleware.read.files.sources import Source, copy_of
from obs_middleware.read.files.together import together
from obs_middleware.read.remarks import Remarks
from obs_middleware.read.schemas import TYPES

__all__ = ["block_fields"]

_END: Final = "_seconds"
_NAME: Final = re.compile(r"(?:app\.)?([A-Za-z_]\w*)", re.ASCII)
_LONGEST: Final = 64
"""Characters of a name before its end."""

_OWN: Final = {*TYPES, "age_seconds"}


def block_fields(connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], scratch: Path) -> list[str]:
    """
    Return the fields of the application that may be timed blocks, the most frequent first, at most `MOST_BLOCKS`.

    Their names are found in the text of the lines, so this is a second look at the files. A text like such a name in
    the middle of a message gives a field that no line has. Costs about as much as reading the requests: lines are cut
    into pieces, because a regular expression for each line takes three times as long.
    """
    counts: Counter[str] = Counter()
    with together(sources, scratch) as files:
        for source in files:
            for word, n in _words(connection, source, scratch):
                if match := _NAME.fullmatch(word):
                    counts[match[1] + _END] += n
    return _most_frequent(counts)


def _most_frequent(counts: Counter[str]) -> list[str]:
    """Return the fields of the application among *counts*; of two that differ only in the case of letters, one."""
    names: dict[str, str] = {}
    for name, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        if name not in _OWN:
            names.setdefault(name.lower(), name)
    return [*names.values()][:MOST_BLOCKS]


def _words(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> Iterable[tuple[str, int]]:
    """Return the words before `_END`, without the quote or the space before them, and how often they are there."""
    end = literal(_END)
    sql = (
        f"SELECT string_split(string_split(right(piece, {_LONGEST}), '\"')[-1], ' ')[-1] AS word, count(*)"
        f" FROM (SELECT unnest(string_split(line, {end})[:-2]) AS piece FROM ({lines_of([source])})) GROUP BY 1"
    )
    try:
        return connection.execute(sql).fetchall()
    except duckdb.Error as error:
        raise_if_out_of_memory(error)
        if source.path.parent == scratch and source.compression == "none":
            return ()  # reading the requests reports it
    try:
        return _words(connection, copy_of(source, scratch, Remarks()), scratch)
    except UnreadableError:
        return ()
