"""
The fork hook of the sinks: what belongs to the parent process is dropped in the child.

Write, a leaf. A child inherits queues, locks and watches whose threads and readers stay in its parent.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol

__all__ = ["Forked", "call_after_fork"]


class Forked(Protocol):
    """An object that has to be reset in a child process."""

    def after_fork(self) -> None:
        """Drop what belongs to the parent; called in the child while it has a single thread."""


_forked: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()


def call_after_fork(forked: Forked) -> None:
    """Call ``forked.after_fork()`` in every child process from now on, as long as *forked* exists."""
    _forked.add(forked)


def _call_all() -> None:
    for forked in tuple(_forked):
        forked.after_fork()


os.register_at_fork(after_in_child=_call_all)
