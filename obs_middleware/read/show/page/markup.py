"""
Make HTML from untrusted values: everything that is not `Markup` is escaped.

Clients choose many of the logged values. These may contain markup, terminal escapes, characters that reverse the
direction of writing, or halves of surrogate pairs. The page shows all of them, and none has an effect.
"""

from __future__ import annotations

import html
import re
from typing import Final

__all__ = ["Markup", "element", "join", "plain", "raw", "visible"]

_VOID: Final = {"input", "link", "meta"}
LIMIT: Final = 300
"""Longest logged value, in characters; the rest is cut."""


class Markup(str):
    """Complete, safe HTML. Only the functions of this module make it."""

    __slots__ = ()


def raw(text: str) -> Markup:
    """Mark *text* as safe HTML. Never call it with a logged value."""
    return Markup(text)


def join(*parts: str | None) -> Markup:
    """Concatenate *parts*. Text is escaped, `Markup` is not, None is skipped."""
    return Markup("".join(part if isinstance(part, Markup) else _escape(part) for part in parts if part is not None))


def element(tag: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """
    Return an HTML element.

    Args:
        tag: Name of the element.
        children: Content. Text is escaped, `Markup` is not, None is skipped.
        attributes: Attributes, escaped. ``class_`` becomes ``class``, other underscores become hyphens. True gives an
            attribute without a value; None and False give none. Floats have at most three decimals.
    """
    opening = "".join(
        f" {name.strip('_').replace('_', '-')}{_value(value)}"
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{opening}>")
    return Markup(f"<{tag}{opening}>{join(*children)}</{tag}>")


def visible(text: str) -> Markup:
    r"""
    Return a logged value in readable form.

    Characters that are not printable become escapes: ``\x1b``, ``\n``, ``\u202e``. Each is in an element, so that it
    differs from a logged backslash. A value of more than 300 characters is cut, with a note.
    """
    shown, left = text[:LIMIT], len(text) - LIMIT
    parts: list[str] = []
    for part in re.split(r"([^ ]+)", shown):
        parts.extend(_spell(part))
    if left > 0:
        parts.append(element("span", f"… and {left:,} more characters", class_="cut"))
    return element("bdi", *parts)


def plain(text: str) -> str:
    """Return the same as `visible` without elements, for a place that takes only text, such as a title."""
    return "".join(letter if letter.isprintable() else _name(letter) for letter in text[:LIMIT])


def _spell(part: str) -> list[str]:
    if part.isprintable():
        return [part]
    return [letter if letter.isprintable() else element("span", _name(letter), class_="esc") for letter in part]


def _name(letter: str) -> str:
    return repr(letter)[1:-1]


def _value(value: str | float | bool) -> str:
    if value is True:
        return ""
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f'="{_escape(text)}"'


def _escape(text: str) -> str:
    # UTF-8 cannot encode half a surrogate pair.
    return html.escape(text).encode("utf-8", "backslashreplace").decode()
