r"""
Spell out the characters that JSON and terminals do not show: control characters and marks of the writing direction.

Write, a leaf. Such a character can end a line for some readers, move the cursor, or make text read backwards. There is
one list of these characters and two spellings: ``\x1b`` in text for people, ``\u2028`` in JSON.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from typing import Final

__all__ = ["escape_controls", "escape_json", "has_hidden", "takes_unicode", "to_ascii"]

_HIDDEN: Final = "\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""A range for a regular expression: the characters that a JSON encoder leaves as they are."""

_HIDDEN_IN_JSON: Final = re.compile(f"[{_HIDDEN}]")
_HIDDEN_IN_TEXT: Final = re.compile(f"[\0-\x1f{_HIDDEN}\ud800-\udfff]")
_NOT_ASCII: Final = re.compile("[^\0-\x7f]+")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str) -> str:
    r"""
    Return *text* with its hidden characters spelled out, for the formats that people read.

    ``ESC [2J`` becomes the visible characters ``\x1b[2J``. JSON needs `escape_json` instead.
    """
    return _HIDDEN_IN_TEXT.sub(_spell_for_people, text)


def has_hidden(line: str) -> bool:
    """Return whether a line of JSON contains a character that `escape_json` would spell out."""
    # Most lines are ASCII, and DEL is the only such character in ASCII.
    return "\x7f" in line or not (line.isascii() or _HIDDEN_IN_JSON.search(line) is None)


def escape_json(line: str) -> str:
    r"""Return a line of JSON with its hidden characters as ``\u`` escapes; a parser reads the same values."""
    return _HIDDEN_IN_JSON.sub(_spell_for_json, line)


def to_ascii(text: str) -> str:
    r"""Return *text* with everything but ASCII as ``\u`` escapes, such as ``\u20ac``."""
    return text if text.isascii() else _NOT_ASCII.sub(_spell_for_json, text)


def takes_unicode(stream: str) -> bool:
    """Return whether ``sys.stdout`` or ``sys.stderr`` is UTF-8 or has no encoding; otherwise `to_ascii` is needed."""
    encoding = getattr(getattr(sys, stream, None), "encoding", None)
    try:
        return not encoding or codecs.lookup(encoding).name == "utf-8"
    except (LookupError, TypeError):  # a replaced stream whose `encoding` is not the name of an encoding
        return True


def _spell_for_people(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _spell_for_json(match: re.Match[str]) -> str:
    text = match.group()
    return "\\u007f" if text == "\x7f" else json.dumps(text)[1:-1]
