"""
`hand_over`: the one processor of `structlog_config`, which does what must happen at the call.

Write. Five processors of structlog do the same, at the cost of five calls and a look at each parent of the logger.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from structlog.exceptions import DropEvent
from structlog.processors import StackInfoRenderer
from structlog.stdlib import PositionalArgumentsFormatter

from obs_middleware.logs.line.bound import VARIABLES, merge_contextvars

__all__ = ["hand_over"]

_LEVELS: Final = {
    "debug": 10,
    "info": 20,
    "warn": 30,
    "warning": 30,
    "error": 40,
    "exception": 40,
    "critical": 50,
    "fatal": 50,
}
_with_stack: Final = StackInfoRenderer(additional_ignores=[__name__])
_with_arguments: Final = PositionalArgumentsFormatter()


def hand_over(
    logger: logging.Logger, name: str, event_dict: MutableMapping[str, Any]
) -> tuple[tuple[MutableMapping[str, Any]], dict[str, Any]]:
    """
    Return the arguments of the call of *logger*, whose record has *event_dict* as its message.

    Adds what is bound with ``bind_contextvars``, puts positional arguments into the text, and renders the stack.

    Raises:
        DropEvent: The level is below that of the logger.
    """
    if not logger.isEnabledFor(_LEVELS[name]):
        raise DropEvent
    if VARIABLES:
        merge_contextvars(logger, name, event_dict)
    if "positional_args" in event_dict:
        _with_arguments(logger, name, event_dict)
    if "stack_info" in event_dict:
        _with_stack(logger, name, event_dict)
    return (event_dict,), {"extra": {"_logger": logger, "_name": name}}
