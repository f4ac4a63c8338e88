"""
How long Python's garbage collection stopped everything else.

Measure, a leaf. A collection holds the global lock: no thread and no event loop goes on until it is over.
"""

from __future__ import annotations

import gc
from time import perf_counter, thread_time
from typing import Any, Final

__all__ = ["PAUSES", "Pauses"]


class Pauses:
    """
    The pauses by garbage collection, while `watch` is in force. Each collection then costs two calls.

    Attributes:
        seconds: The length of all pauses together.
        longest: The processor time of the longest pause since it was last set to 0, in seconds. On a busy machine a
            short collection may have to wait for a processor.
    """

    def __init__(self) -> None:
        self.seconds = self.longest = 0.0
        self._began: tuple[float, float] | None = None

    def watch(self) -> None:
        """Measure collections from now on."""
        if self._note not in gc.callbacks:
            gc.callbacks.append(self._note)

    def leave(self) -> None:
        """Measure no more."""
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)
        self._began = None

    def _note(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._began = perf_counter(), thread_time()
        elif self._began is not None:
            began, worked = self._began
            self._began = None
            self.longest = max(self.longest, thread_time() - worked)
            self.seconds += perf_counter() - began


PAUSES: Final = Pauses()
