"""
The small language of ``--where``: ``status >= 500 and duration_seconds > 300ms``.

Read. A text becomes a tree of `obs_middleware.read.where.conditions`.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from obs_middleware.read.errors import ExpressionError
from obs_middleware.read.schemas import LISTS, field_of, type_of
from obs_middleware.read.where.conditions import Compared, Condition, Every, Has, Missing, Not, Some
from obs_middleware.read.where.times import UNITS

__all__ = ["parse"]


_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?P<unit>us|µs|ms|s|m|h|d|w)?(?![\w.])
    |(?P<operator><=|>=|!=|<>|==|!~|=|<|>|~)
    |(?P<mark>[(),])
    |(?P<name>(?:[^\W\d]|@)[\w.@-]*)
    )""",
    re.VERBOSE,
)
_OPERATORS: Final = {"==": "=", "!=": "<>", "<>": "<>"}
_WORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
_ESCAPED: Final = re.compile(r"""\\([\\'"])""")  # no other backslash is special: regular expressions need theirs
_DEEPEST: Final = 50


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    value: str | float | bool = ""


def parse(text: str) -> Condition:
    """
    Return the condition in *text*.

    Comparisons (``= != < <= > >=``, ``~`` for a regular expression, ``!~``), ``in (...)``, ``is null``, ``is not
    null``, joined by ``and``, ``or``, ``not`` and parentheses. A name is a field of a line, of the package or of the
    application. A number with a unit of time is converted to seconds.

    Raises:
        ExpressionError: *text* is not an expression.
    """
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._at = 0
        self._depth = 0

    def _split(self) -> list[_Token]:
        tokens, at, end = [], 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise self._error(at + len(self._text[at:]) - len(self._text[at:].lstrip()), "unexpected character")
            kind = match.lastgroup if match.lastgroup != "unit" else "number"
            assert kind is not None  # noqa: S101 -- every branch of the pattern has a name
            tokens.append(_token(kind, match))
            at = match.end()
        tokens.append(_Token("end", "", len(self._text)))
        return tokens

    def _error(self, start: int, problem: str) -> ExpressionError:
        where = "at the end" if start >= len(self._text) else f"at character {start + 1}"
        return ExpressionError(f"{self._text!r}: {problem} ({where})")

    def whole(self) -> Condition:
        condition = self._either()
        if self._next.kind != "end":
            raise self._error(self._next.start, f"did not expect {self._next.text!r}")
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> bool:
        """Step over the next token if it is one of *texts*."""
        found = self._next.kind in {"word", "mark"} and self._next.text in texts
        self._at += found
        return found

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(self._next.start, "this is nested too deeply")
        try:
            if self._take("not"):
                return Not(self._one())
            if self._take("("):
                condition = self._either()
                if not self._take(")"):
                    raise self._error(self._next.start, "expected a closing parenthesis")
                return condition
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        token = self._next
        if token.kind != "name":
            raise self._error(token.start, "expected the name of a field")
        self._at += 1
        field = field_of(token.text)
        if self._take("is"):
            negated = self._take("not")
            if not self._take("null"):
                raise self._error(self._next.start, "expected null")
            return Not(Missing(field)) if negated else Missing(field)
        negated = self._take("not")
        if self._take("in"):
            return Not(self._among(field)) if negated else self._among(field)
        if negated or self._next.kind != "operator":
            raise self._error(self._next.start, f"expected a comparison behind {token.text}")
        operator = self._next.text
        self._at += 1
        return self._compared(field, operator, self._value())

    def _among(self, field: str) -> Condition:
        if not self._take("("):
            raise self._error(self._next.start, "expected a list in parentheses")
        parts = [self._compared(field, "=", self._value())]
        while self._take(","):
            parts.append(self._compared(field, "=", self._value()))
        if not self._take(")"):
            raise self._error(self._next.start, "expected a closing parenthesis")
        return Some(tuple(parts))

    def _value(self) -> str | float | bool:
        token = self._next
        if token.kind == "word" and token.text in {"true", "false"}:
            self._at += 1
            return token.text == "true"
        if token.kind not in {"text", "number"}:
            hint = "; put text in quotes" if token.kind == "name" else ""
            raise self._error(token.start, f"expected a value{hint}")
        self._at += 1
        return token.value

    def _compared(self, field: str, operator: str, value: str | float | bool) -> Condition:
        if field in LISTS and operator not in {"~", "!~"}:
            if operator not in {"=", "==", "!=", "<>"} or not isinstance(value, str):
                raise self._error(len(self._text), f"{field} is a list: ask whether it has a text, {field} = 'text'")
            return Has(field, value) if operator in {"=", "=="} else Not(Has(field, value))
        if operator in {"~", "!~"}:
            if not isinstance(value, str):
                raise self._error(len(self._text), f"{operator} takes a regular expression in quotes")
        elif isinstance(value, str) and type_of(field) not in {"VARCHAR", "TIMESTAMP"}:
            raise self._error(len(self._text), f"{field} is a number: compare it with a number, not with {value!r}")
        if type_of(field) == "TIMESTAMP" and not _is_time(value):
            raise self._error(len(self._text), f"{field} is a time: use for example '2026-11-02T10:00:00Z'")
        return Compared(field, _OPERATORS.get(operator, operator), value)


def _is_time(value: str | float | bool) -> bool:
    try:
        return isinstance(value, str) and bool(dt.datetime.fromisoformat(value))
    except ValueError:
        return False


def _token(kind: str, match: re.Match[str]) -> _Token:
    text, start = match[kind], match.start(kind)
    if kind == "number":
        return _Token(kind, text, start, float(text) * UNITS[match["unit"] or "s"])
    if kind == "text":
        return _Token(kind, text, start, _ESCAPED.sub(r"\1", text[1:-1]))
    if kind == "name" and text.lower() in _WORDS:
        return _Token("word", text.lower(), start)
    return _Token(kind, text, start)
