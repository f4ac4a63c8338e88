"""
Flush handlers at the end of a child process of multiprocessing or Celery, which calls no exit handlers of Python.

Write.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from obs_middleware.logs.sinks.weak import WeakMethods

__all__ = ["call_at_end_of_child", "prepare_end"]

_LAST: Final = -1_000
"""The priority of what runs after all else at the end of a child: other finalizers may log."""

_flushes: Final = WeakMethods()
_prepared: Final[set[str]] = set()
_loaded_in = os.getpid()


def call_at_end_of_child(flush: Callable[[], None]) -> None:
    """Call *flush*, a bound method, at the end of every child process. Its object is not kept alive."""
    _flushes.add(flush)


def prepare_end() -> None:
    """
    Prepare the end of this process, if it is a child, and of its children.

    It finds only what was imported before, and imports nothing. Call it when a process logs its first line.
    """
    # billiard, the copy of multiprocessing that Celery uses, has its finalizers there too.
    _prepare("multiprocessing.util", _prepare_multiprocessing)
    # Celery ends its children with os._exit().
    _prepare("celery.signals", lambda signals: signals.worker_process_shutdown.connect(_flush_at_signal))


def _prepare(name: str, prepare: Callable[[Any], object]) -> None:
    module = sys.modules.get(name)
    if module is not None and name not in _prepared:
        _prepared.add(name)
        prepare(module)


def _prepare_multiprocessing(util: Any) -> None:
    def prepare_this(flushes: WeakMethods) -> None:
        util.Finalize(None, flushes, exitpriority=_LAST)

    util.register_after_fork(_flushes, prepare_this)
    if os.getpid() != _loaded_in or sys.modules["multiprocessing.process"].parent_process() is not None:
        prepare_this(_flushes)


def _flush_at_signal(**_: Any) -> None:
    _flushes()
