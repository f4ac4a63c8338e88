"""
Recognise the names of secrets, and hide their values.

A leaf for two wings: `measure` hides secrets in query strings and headers, `logs` in the application's own fields.
"""

from __future__ import annotations

import decimal
import enum
import functools
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

from obs_middleware.measure.remembered import Remembered

__all__ = ["DEFAULT_NAMES", "REDACTED", "Secrets"]

REDACTED: Final = "[redacted]"

DEFAULT_NAMES: Final = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pass",
    "pwd",
    "secret",
    "token",
    "jwt",
    "bearer",
    "authorization",
    "auth",
    "credential",
    "assertion",
    "samlresponse",
    "cookie",
    "session",
    "sessionid",
    "sid",
    "csrf",
    "xsrf",
    "api_key",
    "access_key",
    "private_key",
    "encryption_key",
    "signing_key",
    "psk",
    "signature",
    "sig",
    "hmac",
    "dsn",
    "connection_string",
    "database_url",
    "redis_url",
    "broker_url",
    "otp",
    "totp",
    "pin",
    "security_code",
    "verification_code",
    "recovery_code",
    "card_number",
    "credit_card",
    "cvv",
    "cvc",
    "ssn",
    "iban",
)
"""The default of ``OBS_MIDDLEWARE["REDACT"]``. To add a name: ``[*DEFAULT_NAMES, "nickname"]``."""

_SHORTEST_PART: Final = 5
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_FIGURE_ENDINGS: Final = ("_seconds", "_count")
_NUMBERS: Final = (int, float, decimal.Decimal, type(None))
_NUMBER_IN_REPR: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|True|False|None")

_ATTRIBUTE: Final = re.compile(r"""(?<![\w-])([\w-]++)\\*+['"]?[ ]?[=:][ ]?""")
_ITS_VALUE: Final = re.compile(
    r"""[bru]?'(?:[^'\\]|\\.)*+'?|[bru]?"(?:[^"\\]|\\.)*+"?|[\w.<]*+[\[({<].*"""
    r"""|(?:(?![,\s][ ]?\\*+['"]?[\w-]++\\*+['"]?[=:]|[)\]}>](?:[,\s)\]}>]|$)).)*+""",
    re.DOTALL,
)
"""
A quoted string, anything with a bracket, or text. The end of a bracket is unknown, so it takes the whole rest. A text
may have several words, so it goes on until the next attribute or the last closing bracket.
"""

# Searched only where a name can begin, so that the cost grows linearly with the length of a value.
_INNER_NAME: Final = re.compile(
    r"""(?<![^\s?&;=#:"'{}(),/])([^\s?&;=#:"'{}(),/]++)["']?\s*+[=:]\s*+(?:["']?([0-9]++)["']?(?=[\s&,}]|$))?"""
)
"""A name, and its value if that is a number."""

_USER_INFO: Final = re.compile("//[^/]*@")
_BAD_PORT: Final = re.compile(r"""//[^/\[?#&,"'\s]*:[^/?#&,"'\s]*[^/?#&,"'\s0-9]""")
"""A host with a port that is not a number: the beginning of a password with a bare ``/``, ``?`` or ``#`` in it."""


class _Rule(enum.Enum):
    """Which values of a name are hidden."""

    NONE = enum.auto()
    ALL = enum.auto()
    TEXTS = enum.auto()
    """All but numbers, booleans and None."""


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
        self._parts, self._words = _parts_and_words(tuple(names))
        self._known = Remembered(self._rule_of)

    def hides(self, name: str, value: object = "") -> bool:
        """
        Return whether *value* must be hidden under *name*.

        ``timed("auth")`` adds two numbers, and ``prompt_tokens`` is the most common name with "token" in it. So the
        name of a figure, ``auth_seconds``, ``auth_count`` or ``prompt_tokens``, does not hide a number, a boolean or
        None. It does hide any other value.
        """
        known = self._known[name]
        if known is _Rule.TEXTS:
            return not issubclass(type(value), _NUMBERS)  # isinstance() would evaluate a lazy object
        return known is _Rule.ALL

    def hides_text(self, name: str, text: str) -> bool:
        """Return whether *text*, which came as text, must be hidden under *name*. Digits count as a number."""
        return self.hides(name, 0 if text.isdigit() and text.isascii() else text)

    def _rule_of(self, name: str) -> _Rule:
        name = name[:1000]
        plain = _plain(name)
        if not any(part in plain for part in self._parts) and self._words.isdisjoint(
            word.lower() for word in _WORDS.findall(name)
        ):
            return _Rule.NONE
        return _Rule.TEXTS if plain.endswith("tokens") or name.endswith(_FIGURE_ENDINGS) else _Rule.ALL

    def hide_in_query(self, query: str) -> str:
        """
        Return *query*, the part of a URL after ``?``, with the values of secret names hidden.

        Names are decoded twice to compare them, but written as they came. The order and everything else stay. A name
        may begin after ``&`` or ``;``, because servers differ. A value ends at ``&`` only, so that nothing of it is
        left. A value is hidden as a whole if it contains a secret name with a value, as a URL or JSON may, or a URL
        with a user.
        """
        if not query:
            return query
        return "&".join(map(self._hide_in_pair, query.split("&")))

    def _hide_in_pair(self, pair: str) -> str:
        """Return *pair*, the text between two ``&``, with everything from its first secret value on hidden."""
        start = 0
        for part in pair.split(";"):
            name, equals, value = part.partition("=")
            if self._has_secret(name):
                return f"{pair[:start]}{REDACTED}"
            end = start + len(name) + len(equals)
            if self._is_secret(name, rest := pair[end:]) or self._has_secret(value):
                return f"{pair[:end]}{REDACTED}" if equals and rest else pair
            start += len(part) + 1
        return pair

    def _is_secret(self, name: str, value: str) -> bool:
        return self.hides_text(unquote_plus(unquote_plus(name)), value)

    def _has_secret(self, text: str) -> bool:
        """Return whether *text*, as it came or decoded once or twice, contains a secret."""
        for _ in range(3):
            if _USER_INFO.search(text) or _BAD_PORT.search(text):
                return True
            if any(self.hides_text(*found) for found in _INNER_NAME.findall(text)):
                return True
            decoded = unquote_plus(text)
            if decoded == text:
                return False
            text = decoded
        return False

    def hide_in_repr(self, text: str) -> str:
        """Return *text*, the ``repr()`` of an object, with the values of secret attributes and keys hidden."""
        parts: list[str] = []
        end = 0
        for match in _ATTRIBUTE.finditer(text):
            if match.start() < end or not self.hides(match[1]):
                continue
            found = _ITS_VALUE.match(text, match.end())
            value_end = match.end() if found is None else found.end()
            if self.hides(match[1], 0) or not _NUMBER_IN_REPR.fullmatch(text, match.end(), value_end):
                parts += (text[end : match.end()], REDACTED)
                end = value_end
        return "".join((*parts, text[end:])) if parts else text

    def hide_in_url(self, url: str) -> str:
        """Return *url* without fragment, user and password, and with the secrets in its query hidden."""
        address, mark, query = url.partition("#")[0].partition("?")
        address = _USER_INFO.sub("//", address, count=1)
        if _BAD_PORT.match(address, address.find("//") if "//" in address else 0):
            return REDACTED
        return f"{address}{mark}{self.hide_in_query(query)}"


@functools.lru_cache(maxsize=8)
def _parts_and_words(names: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names to look for inside a name, and among its words. All parts of a site have the same names."""
    plain = {_plain(name) for name in names} - {""}
    words = frozenset(name for name in plain if len(name) < _SHORTEST_PART)
    return tuple(plain - words), words


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
