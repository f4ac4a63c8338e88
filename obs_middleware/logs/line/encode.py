"""
Encode clean values as JSON: with orjson if it is installed, otherwise with the standard library.

Write. Both encoders give lines that parse to the same values. All but `dumps` is for the shortcut, which skips the
cleaning and therefore has to notice when a value needed it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sized
from typing import Any, Final

from obs_middleware.display.escape import escape_json, has_hidden
from obs_middleware.logs.line.limits import MAX_TEXT, SHORT_TEXT

try:
    import orjson
except ModuleNotFoundError:
    _HAS_ORJSON = False
else:
    _HAS_ORJSON = True

__all__ = [
    "INT64",
    "as_whole",
    "dumps",
    "encode_float",
    "encode_integer",
    "encode_known",
    "encode_text",
    "encoded",
    "is_whole",
]

INT64: Final = 2**63
"""Integers from ``-INT64`` up to, but without, ``INT64`` are written as numbers, all others as text."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


encoded: Callable[[str], Sized] = orjson.dumps if _HAS_ORJSON else json.encoder.encode_basestring_ascii
"""
Return a text as JSON, as bytes or text. If it is two longer than the text, nothing but DEL had to be escaped.

Raises:
    TypeError: The text has a lone surrogate. Not every encoder raises it.
"""


def _encode_orjson(fields: Mapping[str, Any]) -> str:
    """
    Return scalars as JSON. Ask `is_whole` before you use the result.

    Raises:
        TypeError: A value has a lone surrogate, or is a large integer.
    """
    # OPT_STRICT_INTEGER refuses integers beyond 53 bits. Those beyond 64 bits must be refused; the others are rare.
    return orjson.dumps(fields, None, orjson.OPT_STRICT_INTEGER).decode()


encode_known = _encode_orjson if _HAS_ORJSON else None
"""Encodes a mapping of scalars, or of mappings of scalars; None if the encoder is no faster than a plan."""


def encode_text(text: str) -> str:
    """Return a text as JSON; raises the same exception as `encoded`."""
    return orjson.dumps(text).decode() if _HAS_ORJSON else json.encoder.encode_basestring(text)


def encode_float(number: float) -> str:
    """Return a finite number as JSON."""
    return orjson.dumps(number).decode() if _HAS_ORJSON else float.__repr__(number)


def encode_integer(number: int) -> str:
    """Return an integer as JSON; raises ValueError if it is written as a text."""
    if -INT64 <= number < INT64:
        return str(number)
    raise ValueError("an integer beyond 64 bits")


def is_whole(line: str, fields: Mapping[str, Any], most_bytes: int) -> bool:
    """
    Return whether *line*, of `encode_known`, is the same as if *fields* had been cleaned first.

    Args:
        line: The line, without its line feed.
        fields: The event.
        most_bytes: The limit of the line in bytes of UTF-8.
    """
    size = len(line) if line.isascii() else len(line.encode())
    if size > most_bytes or "\\u0000" in line or has_hidden(line):
        return False
    # A text is never longer than its line. `user_agent` is the only field with a limit below MAX_TEXT.
    return (size <= MAX_TEXT and "user_agent" not in fields) or not any(
        type(value) is str and len(value) > SHORT_TEXT for value in fields.values()
    )


def as_whole(line: str, most_bytes: int) -> str:
    """
    Return a line of texts by `encode_text` as `dumps` would write it.

    Return an empty text if it has more than *most_bytes* bytes, or has NUL, which is written as another character.

    Raises:
        UnicodeEncodeError: The line has a lone surrogate.
    """
    if "\\u0000" in line:
        return ""
    if has_hidden(line):
        line = escape_json(line)
    return line if len(line.encode()) <= most_bytes else ""


def dumps(event_dict: Any, **_: Any) -> str:
    """
    Return an event that a `Cleaner` has cleaned, or a part of one, as one line of strict JSON, without a line feed.

    This is a serializer for `structlog.processors.JSONRenderer`; the keyword arguments that it passes are ignored.
    """
    line = orjson.dumps(event_dict).decode() if _HAS_ORJSON else _encode(event_dict)
    return escape_json(line) if has_hidden(line) else line
