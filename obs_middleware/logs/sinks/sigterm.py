"""
Flush handlers on SIGTERM, before the process or its server reacts to the signal.

Write.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from obs_middleware.logs.sinks.weak import WeakMethods

__all__ = ["call_on_sigterm"]

_flushes: Final = WeakMethods()


class _FlushAndGoOn:
    """
    A signal handler that flushes, and then does what *before* would have done.

    It is installed once, however many handlers want to be flushed, unless somebody else has installed another since.
    """

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        installed: object = signal.getsignal(number)
        _flushes()
        if callable(self._before):
            self._before(number, frame)
        elif installed is self:
            # A handler of the site that was installed later would have found none to call, so it decides.
            # Not sys.exit(): the parent process must see that this signal ended the process.
            signal.signal(number, self._before)
            signal.raise_signal(number)


def call_on_sigterm(flush: Callable[[], None]) -> None:
    """
    Call *flush*, a bound method, on SIGTERM, and then do what would have happened without us.

    Does nothing where the signal is ignored, outside the main thread, and in a sub-interpreter, which gets no signals.
    The object of the method is not kept alive.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not (callable(before) or before is signal.SIG_DFL) or threading.current_thread() is not threading.main_thread():
        return
    if not isinstance(before, _FlushAndGoOn):
        try:
            signal.signal(signal.SIGTERM, _FlushAndGoOn(before))
        except ValueError:  # not in the main interpreter
            return
    _flushes.add(flush)
