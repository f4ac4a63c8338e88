"""
How a value of JSON becomes a value of a column, and back: `CODECS`.

Read. A codec need not fit every value: a line whose text does not come back is kept as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["CODECS", "GUESSES", "PLAIN_JSON", "PLAIN_TEXT", "Codec"]


class Codec(NamedTuple):
    """
    The SQL of one way to store values, with ``{}`` for the value.

    Attributes:
        type: The type of the column.
        encode: From a text of JSON to the column; null if the value does not fit.
        decode: From the column to the text of JSON.
        text: From the column to the value as text, without the quotes of JSON.
    """

    type: str
    encode: str
    decode: str
    text: str


_BARE: Final = "json_extract_string({}, '$')"
_TIME: Final = "strftime({}, '%Y-%m-%dT%H:%M:%S.%fZ')"
_HEX: Final = "replace({}::VARCHAR, '-', '')"
_IS_TEXT: Final = "CASE WHEN starts_with({}, '\"') THEN {{}} END"


def _of_text(kind: str, encode: str, text: str) -> Codec:
    """Return the codec of texts that need no escapes."""
    return Codec(kind, encode, f"'\"' || {text} || '\"'", text)


CODECS: Final[Mapping[str, Codec]] = {
    "time": _of_text("TIMESTAMP", "try_cast({}[2:-2] AS TIMESTAMP)", _TIME),
    "hex": _of_text("UUID", "CASE WHEN strlen({0}) = 34 THEN try_cast({0}[2:-2] AS UUID) END", _HEX),
    "uuid": _of_text("UUID", "CASE WHEN strlen({0}) = 38 THEN try_cast({0}[2:-2] AS UUID) END", "{}::VARCHAR"),
    "whole": Codec("BIGINT", "try_cast({} AS BIGINT)", "{}::VARCHAR", "{}::VARCHAR"),
    "decimal": Codec("DECIMAL(18, 6)", "try_cast({} AS DECIMAL(18, 6))", "{}::DOUBLE::VARCHAR", "{}::DOUBLE::VARCHAR"),
    "text": Codec(
        "VARCHAR", f"CASE WHEN starts_with({{0}}, '\"') THEN {_BARE.format('{0}')} END", "to_json({})::VARCHAR", "{}"
    ),
    "json": Codec("VARCHAR", "{}", "{}", _BARE),
}
"""Name -> codec. The names are in packs, so a name never changes its meaning."""

PLAIN_TEXT, PLAIN_JSON = "text", "json"
"""The codecs of any text, and of any value."""

GUESSES: Final = tuple(name for name in CODECS if name not in {PLAIN_TEXT, PLAIN_JSON})
"""The codecs to try first."""
