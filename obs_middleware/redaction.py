"""
Recognise the names of secrets, and hide their values.

A leaf for two wings: `measure` hides secrets in query strings and headers, `logs` in the application's own fields.
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
"""The default of ``OBS_MIDDLEWARE["REDACT"]``. To add a name: ``[*DEFAULT_NAMES, "nickname"]``."""

_SHORTEST_PART: Final = 5
_MOST_REMEMBERED: Final = 4096
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_FIGURES: Final = ("_seconds", "_count")
_ATTRIBUTE: Final = re.compile(r"""(?<![\w-])([\w-]++)['"]?(?:=|:[ ])""")
_ITS_VALUE: Final = re.compile(
    r"""[bru]?'(?:[^'\\]|\\.)*+'?|[bru]?"(?:[^"\\]|\\.)*+"?|[\w.<]*+[\[({<].*|[^\s,)\]}>]*+""", re.DOTALL
)
"""A quoted string, a word, or anything with a bracket. The end of the last is unknown, so it takes the whole rest."""

# Searched only where a name can begin, so that the cost grows linearly with the length of a value.
_INNER_NAME: Final = re.compile(r"""(?<![^\s?&;=#:"'{}(),/])([^\s?&;=#:"'{}(),/]++)["']?\s*[=:]""")


class Secrets:
    """
    The names whose values are hidden.

    Case and punctuation do not matter: ``api_key`` also hides ``X-Api-Key`` and ``apiKey``. A name of five letters or
    more hides every name that contains it (``password``: ``user[new_password]``). A shorter one hides only whole words
    (``pin``: ``card_pin``, not ``shipping``). A name that was seen before costs one dict look-up.

    Args:
        names: The names, as in ``OBS_MIDDLEWARE["REDACT"]``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        plain = {_plain(name) for name in names} - {""}
        self._parts = tuple(name for name in plain if len(name) >= _SHORTEST_PART)
        self._words = frozenset(name for name in plain if len(name) < _SHORTEST_PART)
        self._known: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """Return whether the value of *name* must be hidden."""
        known = self._known.get(name)
        if known is None:
            known = self._matches(name)
            if len(self._known) < _MOST_REMEMBERED:  # clients can send any number of names
                self._known[name] = known
        return known

    def _matches(self, name: str) -> bool:
        name = name[:1000]
        # ``timed("auth")`` adds two numbers, which are not secret.
        if name.endswith(_FIGURES):
            return False
        plain = _plain(name)
        # The number of tokens that a language model used is not secret, and the most common name with "token" in it.
        if plain.endswith("tokens"):
            plain = plain.removesuffix("tokens")
        if any(part in plain for part in self._parts):
            return True
        return not self._words.isdisjoint(word.lower() for word in _WORDS.findall(name))

    def hide_in_query(self, query: str) -> str:
        """
        Return *query*, the part of a URL after ``?``, with the values of secret names hidden.

        Names are decoded twice to compare them, but written as they came. The order and everything else stay. A value
        that contains a secret name with a value, as a URL or JSON may, is hidden as a whole.
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
        """Return *text*, the ``repr()`` of an object, with the values of secret attributes and keys hidden."""
        parts: list[str] = []
        end = 0
        for match in _ATTRIBUTE.finditer(text):
            if match.start() >= end and self.hides(match[1]):
                value = _ITS_VALUE.match(text, match.end())
                parts += (text[end : match.end()], REDACTED)
                end = match.end() if value is None else value.end()
        return "".join((*parts, text[end:])) if parts else text

    def hide_in_url(self, url: str) -> str:
        """Return *url* without fragment, user and password, and with the secrets in its query hidden."""
        address, mark, query = url.partition("#")[0].partition("?")
        address = re.sub(r"//[^/@]*@", "//", address)
        return f"{address}{mark}{self.hide_in_query(query)}"


def _decoded(text: str) -> str:
    return unquote_plus(unquote_plus(text))


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
