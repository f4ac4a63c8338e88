"""
Texts that a line must contain to match a condition: `texts_in`.

Read. To look for a text in a line costs a hundredth of reading its fields, so most lines are excluded cheaply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Final

from obs_middleware.read.schemas import type_of
from obs_middleware.read.where.conditions import Compared, Condition, Every, Has, Some

__all__ = ["MOST_TEXTS", "Texts", "texts_in"]

Texts = Sequence[Sequence[str]]
"""Groups of texts: a line contains at least one text of each group. Without groups nothing is known."""

MOST_TEXTS: Final = 20
"""To look for more texts than this in each line costs more than to read its fields."""

_COMPUTED: Final = frozenset({"level", "kind"})
"""Fields whose value may differ from the text of the line: a level in upper case, a kind that follows from the
message."""

# Other characters may be escaped in JSON, for example a slash, a quote, or `<`.
_PIECE: Final = re.compile(r"[A-Za-z0-9_]+(?:[.:-][A-Za-z0-9_]+)*")
_SHORTEST: Final = 3
_PIECES: Final = 3


def texts_in(condition: Condition) -> Texts:
    """Return texts that every line contains which matches *condition*: letters, digits and `_.:-`."""
    match condition:
        case Compared(field=field, operator="=", value=str(value)) if type_of(field) == "VARCHAR":
            return [] if field in _COMPUTED else _pieces_of(value)
        case Has(value=value):
            return _pieces_of(value)
        case Every(of=parts):
            return [*chain.from_iterable(map(texts_in, parts))]
        case Some(of=parts):
            return _either([*map(texts_in, parts)])
        case _:
            return []


def _pieces_of(value: str) -> Texts:
    """Return the longest parts of *value* that are in the line as they are."""
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        pieces = sorted(_PIECE.findall(value), key=len, reverse=True)
        return [[piece] for piece in pieces[:_PIECES] if len(piece) >= _SHORTEST]
    return []  # DuckDB may write it in another way than the line: `1e2` as `100.0`


def _either(parts: Sequence[Texts]) -> Texts:
    """Return one group for several conditions, if each has a group: the one whose shortest text is the longest."""
    if not all(parts):
        return []
    chosen = (max(groups, key=lambda group: min(map(len, group))) for groups in parts)
    together = [*dict.fromkeys(chain.from_iterable(chosen))]
    return [together] if 0 < len(together) <= MOST_TEXTS else []
