"""
Encode clean values as JSON: with orjson if it is installed, otherwise with the standard library.

Write. Both encoders give lines that parse to the same values. `encode_scalars` and `is_whole` are for the shortcut,
which skips the cleaning and therefore has to notice when a value needed it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from obs_middleware.display.escape import escape_json, has_hidden
from obs_middleware.logs.line.limits import MAX_TEXT, SHORT_TEXT

try:
    import orjson
except ModuleNotFoundError:
    _HAS_ORJSON = False
else:
    _HAS_ORJSON = True

__all__ = ["INT64", "dumps", "encode_scalars", "encode_text", "encode_whole", "is_whole"]

INT64: Final = 2**63
"""Integers from ``-INT64`` up to, but without, ``INT64`` are written as numbers, all others as text."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _encode_stdlib(fields: Mapping[str, Any]) -> str:
    """Return scalars as JSON, by the standard library."""
    _check_integers(fields)
    return _encode(fields)


def _check_integers(fields: Mapping[str, Any]) -> None:
    for value in fields.values():
        if type(value) is int and not -INT64 <= value < INT64:
            raise ValueError("an integer beyond 64 bits")
        if type(value) is dict:
            _check_integers(value)


def _encode_orjson(fields: Mapping[str, Any]) -> str:
    """Return scalars as JSON, by orjson."""
    # OPT_STRICT_INTEGER refuses integers beyond 53 bits. Those beyond 64 bits must be refused; the others are rare.
    return orjson.dumps(fields, None, orjson.OPT_STRICT_INTEGER).decode()


encode_scalars = _encode_orjson if _HAS_ORJSON else _encode_stdlib
"""
Return a mapping of scalars, or of mappings of scalars, as JSON. Ask `is_whole` before you use the result.

Raises:
    ValueError: A value is NaN, has a lone surrogate, or is a large integer.
    TypeError: The same, depending on the encoder.
"""


def encode_text(text: str) -> str:
    """Return a text as JSON; raises the same exceptions as `encode_scalars`."""
    return orjson.dumps(text).decode() if _HAS_ORJSON else json.encoder.encode_basestring(text)


def is_whole(line: str, fields: Mapping[str, Any], most_bytes: int) -> bool:
    """
    Return whether *line*, the result of `encode_scalars`, is the same as if *fields* had been cleaned first.

    Args:
        line: The line in any schema, without its line feed.
        fields: The event in the flat schema.
        most_bytes: The limit of the line in bytes of UTF-8.

    Raises:
        UnicodeEncodeError: *line* has a lone surrogate; treat this as False.
    """
    size = len(line) if line.isascii() else len(line.encode())
    if size > most_bytes or "\\u0000" in line or has_hidden(line):
        return False
    # A text is never longer than its line. `user_agent` is the only field with a limit below MAX_TEXT.
    return (size <= MAX_TEXT and "user_agent" not in fields) or not any(
        type(value) is str and len(value) > SHORT_TEXT for value in fields.values()
    )


def encode_whole(line: Mapping[str, Any], most_bytes: int) -> str | None:
    """
    Return a line in any schema as JSON, or None if the event should have been cleaned first.

    Args:
        line: The line. No text of the event has more than `SHORT_TEXT` characters.
        most_bytes: The limit of the line in bytes of UTF-8.

    Raises:
        Exception: Treat it as None. The causes are those of `encode_scalars`.
    """
    text = encode_scalars(line)
    # Decides most lines without calling is_whole(), which checks the same.
    if len(text) <= most_bytes and "\\" not in text and "\x7f" not in text and text.isascii():
        return text
    return text if is_whole(text, {}, most_bytes) else None


def dumps(event_dict: dict[str, Any], **_: Any) -> str:
    """
    Return an event that a `Cleaner` has cleaned as one line of strict JSON, without a line feed.

    This is a serializer for `structlog.processors.JSONRenderer`; the keyword arguments that it passes are ignored.
    """
    line = orjson.dumps(event_dict).decode() if _HAS_ORJSON else _encode(event_dict)
    return escape_json(line) if has_hidden(line) else line
