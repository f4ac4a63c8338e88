"""
Flush a handler on SIGTERM, before the process or its server reacts to the signal.

Write, a leaf.
"""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType

__all__ = ["call_on_sigterm"]


def call_on_sigterm(flush: Callable[[], None]) -> None:
    """
    Call *flush*, a bound method, on SIGTERM, and then do what would have happened without us.

    Does nothing where the signal is ignored and outside the main thread. The object of the method is not kept alive.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not (callable(before) or before is signal.SIG_DFL) or threading.current_thread() is not threading.main_thread():
        return
    reference = weakref.WeakMethod(flush)

    def flush_and_go_on(number: int, frame: FrameType | None) -> None:
        method = reference()
        if method is not None:
            method()
        if callable(before):
            before(number, frame)
        else:
            # Not sys.exit(): the parent process must see that this signal ended the process.
            signal.signal(number, before)
            signal.raise_signal(number)

    signal.signal(signal.SIGTERM, flush_and_go_on)
