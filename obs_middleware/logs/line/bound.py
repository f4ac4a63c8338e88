"""
Read what was bound with structlog's ``bind_contextvars``.

Write, a leaf. structlog's own functions scan every ContextVar of the context, for every line.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from structlog.contextvars import _CONTEXT_VARS, STRUCTLOG_KEY_PREFIX  # a test checks that structlog still has both

__all__ = ["VARIABLES", "bound_contextvars", "merge_contextvars"]

VARIABLES: Final = _CONTEXT_VARS
"""The variables that structlog has made so far. While there are none, do not call `bound_contextvars`."""

_START: Final = len(STRUCTLOG_KEY_PREFIX)


def bound_contextvars() -> dict[str, Any]:
    """Return the names and values that are bound in this context."""
    # A copy: another thread may bind a new name meanwhile. structlog unbinds a name by setting it to Ellipsis.
    return {
        name[_START:]: value for name, variable in tuple(VARIABLES.items()) if (value := variable.get(...)) is not ...
    }


def merge_contextvars(_: Any, __: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what is bound in this context to *event_dict*, as structlog's processor of this name does."""
    if VARIABLES:
        for name, value in bound_contextvars().items():
            event_dict.setdefault(name, value)
    return event_dict
