"""For tests of handlers that write to a file: a disk that is full for a while."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

Write = Callable[..., bool]
"""Logs a text with a handler that writes to a file; returns whether the handler took it."""


def short_of_room(*sizes: int, meanwhile: Callable[[], object] = lambda: None) -> Callable[[int, Any], int]:
    """
    Return a replacement for ``os.write`` on a disk that fills up and is cleared.

    Args:
        sizes: The number of bytes that each write in turn has room for, or 0. Later writes have enough room.
        meanwhile: Called before the error for a full disk is raised.
    """
    write = os.write
    left = list(sizes)

    def writing(descriptor: int, data: Any) -> int:
        size = left.pop(0) if left else len(data)
        if not size:
            meanwhile()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:size])

    return writing
