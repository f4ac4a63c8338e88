r"""
Spell out the characters that JSON and terminals do not show: control characters and other invisible ones.

Such a character can end a line for some readers, move the cursor, make text read backwards, or make different texts
look the same. There is one list of these characters and two spellings: ``\x1b`` in text for people, ``\u2028`` in JSON.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from typing import Final

__all__ = ["escape_controls", "escape_json", "has_hidden", "takes_unicode", "to_ascii"]

_HIDDEN: Final = (
    "\x7f-\x9f\u2028\u2029"  # controls and line ends
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""
A range for a regular expression: the characters without a glyph that a JSON encoder leaves as they are. The list is
Unicode's ``Default_Ignorable_Code_Point``, without U+FE00 to U+FE0F, which choose the look of an emoji.
"""

_HIDDEN_IN_JSON: Final = re.compile(f"[{_HIDDEN}]")
_HIDDEN_IN_TEXT: Final = re.compile(f"[\0-\x1f{_HIDDEN}\ud800-\udfff]")
_NOT_ASCII: Final = re.compile("[^\0-\x7f]+")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str) -> str:
    r"""
    Return *text* with its hidden characters spelled out, for the formats that people read.

    ``ESC [2J`` becomes the visible characters ``\x1b[2J``. JSON needs `escape_json` instead.
    """
    if text.isascii() and text.isprintable():  # as most texts are
        return text
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
    if code < 0x100:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _spell_for_json(match: re.Match[str]) -> str:
    text = match.group()
    return "\\u007f" if text == "\x7f" else json.dumps(text)[1:-1]
