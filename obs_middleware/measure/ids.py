"""
Make ids: for log lines, and for requests that came without one.

Measure, a leaf. Ids are unique across threads and forked processes. Most of them cost no system call.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Final

from obs_middleware.processes import call_after_fork

__all__ = ["is_event_id", "is_request_id", "new_event_id", "new_request_id"]

is_event_id: Final = re.compile("[0-9a-f]{16}-[0-9a-f]{1,16}").fullmatch
"""Match an id that `new_event_id` may have made."""

is_request_id: Final = re.compile(r"[A-Za-z0-9_.:=+/@-]{1,128}").fullmatch
"""Match a usable request id: at most 128 characters, none of which can break a header, a line or a shell command."""

_STOCKED: Final = 64
"""How many request ids are made at once. The system call costs more than all other work for an id."""

_counter = itertools.count(1)
_token = os.urandom(8).hex()
_stock: list[str] = []


def new_event_id() -> str:
    """Return an id that no other line has: a random token of the process and a counter."""
    return f"{_token}-{next(_counter)}"


def new_request_id() -> str:
    """Return a new random id: 128 bits as 32 lower-case hex digits."""
    try:
        return _stock.pop()  # atomic: no two threads get the same id
    except IndexError:
        _stock.extend(os.urandom(16 * _STOCKED).hex(":", 16).split(":"))
        return os.urandom(16).hex()


def _after_fork() -> None:
    """Make the child's ids differ from its parent's."""
    global _counter, _token  # noqa: PLW0603 -- the identity of a process is process-wide
    _counter = itertools.count(1)
    _token = os.urandom(8).hex()
    _stock.clear()


call_after_fork(_after_fork)
