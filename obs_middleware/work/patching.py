"""
Replace functions of other packages, and put the originals back.

Work. Nothing is replaced unless a setting asks for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["Patches"]


class Patches:
    """Functions that were replaced, each with its original."""

    def __init__(self) -> None:
        self._made: dict[tuple[type, str], tuple[Any, Any]] = {}

    def replace(self, owner: type, name: str, wrapper: Callable[[Any], Callable[..., Any]]) -> None:
        """
        Replace the method *name* of *owner*, once.

        Args:
            owner: The class. It may inherit the method, and then gets one of its own.
            name: The name of the method.
            wrapper: Gets the original, and returns the function that calls it.
        """
        if (owner, name) in self._made:
            return
        original = getattr(owner, name)
        ours = functools.wraps(original)(wrapper(original))
        self._made[owner, name] = (owner.__dict__.get(name), ours)
        setattr(owner, name, ours)

    def undo(self) -> None:
        """Put the originals back. A function that another package has replaced in the meantime stays as it is."""
        for (owner, name), (own, ours) in tuple(self._made.items()):
            if owner.__dict__.get(name) is not ours:
                continue
            del self._made[owner, name]
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
