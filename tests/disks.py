"""Disks that are full for a while."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any


def short_of_room(*sizes: int, meanwhile: Callable[[], object] = lambda: None) -> Callable[[int, Any], int]:
    """
    Return an ``os.write`` for a disk that fills up and is cleared.

    Args:
        sizes: How many bytes each write in turn finds room for; 0 for none. Later ones find enough.
        meanwhile: Called when there is no room, before that is raised.
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
