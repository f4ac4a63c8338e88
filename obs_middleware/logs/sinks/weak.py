"""
`WeakMethods`: methods of handlers to call at some moment, which keep no handler alive.

Write, a leaf.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["WeakMethods"]


class WeakMethods:
    """A set of bound methods without arguments. A call calls each whose object still exists."""

    def __init__(self) -> None:
        self._references: set[weakref.WeakMethod[Any]] = set()

    def add(self, method: Callable[[], None]) -> None:
        """Add *method*, a bound method."""
        self._references.add(weakref.WeakMethod(method, self._references.discard))

    def __call__(self) -> None:
        """Call all methods."""
        for reference in tuple(self._references):
            method = reference()
            if method is not None:
                method()
