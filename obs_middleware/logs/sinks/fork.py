"""
The fork hook of the sinks: a child process drops the resources of its parent.

Write, a leaf. A child inherits queues, locks and watches whose threads and readers stay in its parent.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Final

__all__ = ["call_after_fork"]

_resets: Final[set[weakref.WeakMethod[Any]]] = set()


def call_after_fork(reset: Callable[[], None]) -> None:
    """Call *reset*, a bound method, in every child process from now on. Its object is not kept alive."""
    _resets.add(weakref.WeakMethod(reset, _resets.discard))


def _call_all() -> None:
    for reference in tuple(_resets):
        reset = reference()
        if reset is not None:
            reset()


os.register_at_fork(after_in_child=_call_all)
