"""
The names of secrets, and how their values are hidden.

A leaf that both wings use: for query strings and headers when a request is measured, for an application's own fields
when a line is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

__all__ = ["DEFAULT_NAMES", "REDACTED", "Secrets"]

REDACTED: Final = "[redacted]"

DEFAULT_NAMES: Final = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "jwt",
    "authorization",
    "auth",
    "credential",
    "cookie",
    "session",
    "sessionid",
    "csrf",
    "api_key",
    "access_key",
    "private_key",
    "signature",
    "sig",
    "otp",
    "pin",
    "card_number",
    "credit_card",
    "cvv",
    "cvc",
    "ssn",
    "iban",
)
"""The default of ``OBS_MIDDLEWARE["REDACT"]``. To add to it: ``[*DEFAULT_NAMES, "nickname"]``."""

_SHORTEST_PART: Final = 5
_MOST_REMEMBERED: Final = 4096
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_FIGURES: Final = ("_seconds", "_count")
_ATTRIBUTE: Final = re.compile(r"""(?<![\w-])([\w-]++)['"]?(?:=|:[ ])""")
_ITS_VALUE: Final = re.compile(
    r"""[bru]?'(?:[^'\\]|\\.)*+'?|[bru]?"(?:[^"\\]|\\.)*+"?|[\w.<]*+[\[({<].*|[^\s,)\]}>]*+""", re.DOTALL
)
"""A text, a word, or what has brackets: where that ends nobody knows, so it goes to the end."""

# Looked for only where a name begins, so that a long value costs no more than its length.
_INNER_NAME: Final = re.compile(r"""(?<![^\s?&;=#:"'{}(),/])([^\s?&;=#:"'{}(),/]++)["']?\s*[=:]""")


class Secrets:
    """
    The names whose values are hidden.

    Case and punctuation do not matter: ``api_key`` also hides ``X-Api-Key`` and ``apiKey``. A name of five letters or
    more hides every name that it is part of (``password``: ``user[new_password]``); a shorter one only a whole word
    (``pin``: ``card_pin``, not ``shipping``). Costs one dict look-up for a name that was met before.

    Args:
        names: The names, as in ``OBS_MIDDLEWARE["REDACT"]``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        plain = {_plain(name) for name in names} - {""}
        self._parts = tuple(name for name in plain if len(name) >= _SHORTEST_PART)
        self._words = frozenset(name for name in plain if len(name) < _SHORTEST_PART)
        self._known: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """Return whether the value under *name* must be hidden."""
        known = self._known.get(name)
        if known is None:
            known = self._matches(name)
            if len(self._known) < _MOST_REMEMBERED:  # names may come from outside, without end
                self._known[name] = known
        return known

    def _matches(self, name: str) -> bool:
        name = name[:1000]
        # What a block took, and how often it ran, are figures: ``timed("auth")`` tells no secret.
        if name.endswith(_FIGURES):
            return False
        plain = _plain(name)
        # How many tokens a language model took is a figure, and of those that have "token" in them the likeliest.
        if plain.endswith("tokens"):
            plain = plain.removesuffix("tokens")
        if any(part in plain for part in self._parts):
            return True
        return not self._words.isdisjoint(word.lower() for word in _WORDS.findall(name))

    def hide_in_query(self, query: str) -> str:
        """
        Return *query*, the part of a URL behind ``?``, with the values of secret names hidden.

        Names are compared decoded, twice over, but written as they came; order and everything else stay. A value that
        has the name of a secret with something behind it in it, as a URL or JSON has, is hidden as a whole.
        """
        if not query:
            return query
        return "".join(self._hide_in_pair(pair) for pair in re.split("([&;])", query))

    def _hide_in_pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if value and (self.hides(_decoded(name)) or self._has_secret(_decoded(value))):
            return f"{name}{equals}{REDACTED}"
        return pair

    def _has_secret(self, value: str) -> bool:
        return any(self.hides(name) for name in _INNER_NAME.findall(value))

    def hide_in_repr(self, text: str) -> str:
        """Return *text*, the ``repr()`` of an object, without the values of attributes and keys with secret names."""
        parts: list[str] = []
        end = 0
        for match in _ATTRIBUTE.finditer(text):
            if match.start() >= end and self.hides(match[1]):
                value = _ITS_VALUE.match(text, match.end())
                parts += (text[end : match.end()], REDACTED)
                end = match.end() if value is None else value.end()
        return "".join((*parts, text[end:])) if parts else text

    def hide_in_url(self, url: str) -> str:
        """Return *url* with the secrets of its query hidden, its fragment cut off, and no user and password in it."""
        address, mark, query = url.partition("#")[0].partition("?")
        address = re.sub(r"//[^/@]*@", "//", address)
        return f"{address}{mark}{self.hide_in_query(query)}"


def _decoded(text: str) -> str:
    return unquote_plus(unquote_plus(text))


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
