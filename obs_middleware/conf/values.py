"""
Describe the values that a setting accepts: their form in words, and the test of it.

Nothing here reads a setting.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from django.utils.module_loading import import_string

__all__ = [
    "BOOLEAN",
    "HEADER_NAME",
    "PATTERNS",
    "SECONDS",
    "SHARE",
    "Expected",
    "accepts",
    "callable_with",
    "is_count",
    "is_header_name",
    "is_host",
    "is_texts",
    "or_none",
    "resolve",
    "some_of",
    "text",
    "texts",
]

Mistake = tuple[str, str] | None
"""The kind of a `Problem` and its text, or None."""


class Expected(NamedTuple):
    """
    The values that a key accepts.

    Attributes:
        holds: Whether a value is of the right form.
        form: The form in words, to follow "expected".
        content: Finds a mistake inside a value of the right form. Returns its kind and text, or None.
    """

    holds: Callable[[Any], bool]
    form: str
    content: Callable[[Any], Mistake] = lambda _: None


def resolve(path_or_callable: Any) -> Any:
    """
    Return the callable that a dotted path names, or the callable itself.

    Raises:
        ImportError: The path names nothing.
    """
    return import_string(path_or_callable) if isinstance(path_or_callable, str) else path_or_callable


def accepts(function: Callable[..., Any], *arguments: str) -> bool:
    """Return whether *function* can be called with these positional arguments. True for one without a signature."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def is_header_name(value: Any) -> bool:
    """Return whether *value* is the name of an HTTP header."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^`|~-]+", value) is not None


def is_host(value: str) -> bool:
    """Return whether *value* is a host name, an IP address, or the name of a domain with a dot in front."""
    name = r"\.?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?"
    return re.fullmatch(rf"{name}|\[[0-9A-Fa-f:.]+\]", value) is not None


def is_texts(value: Any) -> bool:
    """Return whether *value* is a list of texts, or another collection of them."""
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(one, str) for one in value)


def is_count(value: Any) -> bool:
    """Return whether *value* is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _compile(patterns: Iterable[str]) -> Mistake:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            return "regex", f"the regular expression {pattern!r} does not compile: {error}"
    return None


BOOLEAN: Final = Expected(lambda value: isinstance(value, bool), "True or False")
HEADER_NAME: Final = Expected(is_header_name, 'the name of an HTTP header, such as "X-Request-ID"')
SECONDS: Final = Expected(lambda value: _is_number(value) and value > 0, "a number of seconds above 0")
SHARE: Final = Expected(
    lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1 (0.2 keeps one request in five)"
)
PATTERNS: Final = Expected(is_texts, 'a list of regular expressions, such as [r"^/healthz$"]', _compile)


def text(form: str) -> Expected:
    """Accept a text."""
    return Expected(lambda value: isinstance(value, str), form)


def texts(form: str) -> Expected:
    """Accept a list of texts."""
    return Expected(is_texts, form)


def some_of(names: Iterable[str]) -> Expected:
    """Accept a list of some of *names*."""
    known = tuple(names)
    return Expected(lambda value: is_texts(value) and set(value) <= set(known), f"a list of some of {', '.join(known)}")


def or_none(expected: Expected) -> Expected:
    """Accept None, too."""
    holds, form, content = expected
    return Expected(
        lambda value: value is None or holds(value),
        f"{form}, or None",
        lambda value: None if value is None else content(value),
    )


def callable_with(*arguments: str, instead: tuple[Any, ...] = (None,), may_be_alone: bool = False) -> Expected:
    """
    Accept a callable, or the dotted path of one, that can be called with *arguments*.

    Args:
        arguments: The names of the positional arguments.
        instead: Values that are accepted instead of a callable.
        may_be_alone: Accept a callable without arguments, too.
    """

    def is_instead(value: Any) -> bool:
        # By type too: 0 is equal to False.
        return any(type(value) is type(one) and value == one for one in instead)

    def holds(value: Any) -> bool:
        return is_instead(value) or callable(value) or (isinstance(value, str) and "." in value)

    def content(value: Any) -> Mistake:
        if is_instead(value):
            return None
        try:
            found = resolve(value)
        except ImportError as error:
            return "callable", f"it cannot be imported: {error}"
        if inspect.iscoroutinefunction(found):
            return "callable", "it is a coroutine function, and a plain call of it does nothing"
        if not callable(found) or not (accepts(found, *arguments) or (may_be_alone and accepts(found))):
            return "callable", f"it cannot be called with ({', '.join(arguments)})"
        return None

    others = "".join(f'"{one}", ' if isinstance(one, str) else f"{one}, " for one in instead)
    return Expected(holds, f"{others}or a callable or its dotted path", content)
