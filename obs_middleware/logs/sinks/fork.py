"""
The fork hook of the sinks: a child process drops the resources of its parent.

Write. A child inherits queues, locks and watches whose threads and readers stay in its parent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from obs_middleware import processes
from obs_middleware.logs.sinks.weak import WeakMethods

__all__ = ["call_after_fork"]

_resets: Final = WeakMethods()


def call_after_fork(reset: Callable[[], None]) -> None:
    """Call *reset*, a bound method, in every child process from now on. Its object is not kept alive."""
    _resets.add(reset)


processes.call_after_fork(_resets)
