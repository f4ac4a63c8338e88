"""
How HTML is made of values that nobody vouches for: whatever is not `Markup` is text, and text does nothing.

Read. Logged values are written by clients as much as by the site. They may hold markup, terminal escapes, characters
that turn the direction of writing, halves of surrogate pairs; all of them are shown, none of them works.
"""

from __future__ import annotations

import html
import re
from typing import Final

__all__ = ["Markup", "element", "join", "plain", "raw", "visible"]

_VOID: Final = {"input", "link", "meta"}
LIMIT: Final = 300
"""Characters of a logged value that are shown."""


class Markup(str):
    """HTML that is complete and safe; only the functions of this module make it."""

    __slots__ = ()


def raw(text: str) -> Markup:
    """Vouch for *text*: it is our own, not a logged value."""
    return Markup(text)


def join(*parts: str | None) -> Markup:
    """Return *parts* one after the other, escaped unless they are `Markup`; None is left out."""
    return Markup("".join(part if isinstance(part, Markup) else _escape(part) for part in parts if part is not None))


def element(tag: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """
    Return an element.

    Args:
        tag: Its name.
        children: What it contains, escaped unless it is `Markup`; None is left out.
        attributes: Their values, escaped. ``class_`` stands for ``class`` and other underscores for hyphens; True is
            an attribute without a value, None and False are left out. Numbers have at most three decimals.
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
    Return a logged value as it can be read.

    What has no look of its own is spelt out: ``\x1b``, ``\n``, ``\u202e``; an element of its own tells it from a
    backslash that was logged. Beyond 300 characters it is cut, and says so.
    """
    shown, left = text[:LIMIT], len(text) - LIMIT
    parts: list[str] = []
    for part in re.split(r"([^ ]+)", shown):
        parts.extend(_spell(part))
    if left > 0:
        parts.append(element("span", f"… and {left:,} more characters", class_="cut"))
    return element("bdi", *parts)


def plain(text: str) -> str:
    """Return the same without elements, for where only text may stand."""
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
    # Half a surrogate pair cannot be written as UTF-8.
    return html.escape(text).encode("utf-8", "backslashreplace").decode()
