"""
`WeakMethods`: methods of handlers to call at some moment, which keep no handler alive.

Write, a leaf.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import MethodType

__all__ = ["WeakMethods"]


class WeakMethods:
    """Bound methods without arguments, one for each object. A call calls those whose object still exists."""

    def __init__(self) -> None:
        # Not WeakMethod: at the end of the interpreter its callback fails with an AttributeError on stderr.
        self._functions: weakref.WeakKeyDictionary[object, Callable[[object], None]] = weakref.WeakKeyDictionary()

    def add(self, method: Callable[[], None]) -> None:
        """Add *method*, a bound method."""
        assert isinstance(method, MethodType)  # noqa: S101 -- for the type checker
        self._functions[method.__self__] = method.__func__

    def __call__(self) -> None:
        """Call all methods."""
        for owner, function in list(self._functions.items()):
            function(owner)
