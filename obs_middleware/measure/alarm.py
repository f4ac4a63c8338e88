"""
The warnings of the watching thread, on the logger ``obs_middleware``.

Measure. A warning has the fields of the unit of work that it is about, like a line that the unit logs itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.running import route_of

__all__ = ["warn"]

_LOGGER: Final = logging.getLogger("obs_middleware")


def warn(text: str, event: Event | None, stack: str | None, fields: Mapping[str, Any], name: str) -> None:
    """
    Write a warning.

    Args:
        text: The message.
        event: The unit of work that it is about, or None.
        stack: A stack as text, for the field ``stack_info``, or None.
        fields: Further fields of the warning. Those of None are left out.
        name: The name of the watch, as the function of the record.
    """
    if not _LOGGER.isEnabledFor(logging.WARNING):
        return
    info = None if stack is None else f"Stack (most recent call last):\n{stack}".rstrip("\n")
    record = _LOGGER.makeRecord(_LOGGER.name, logging.WARNING, __file__, 0, text, (), None, name, None, info)
    # An event of its own: the fields of `FIELDS` come from an event, and later lines of the unit must not have these.
    shown = Event(0.0, "")
    shown.context.clear()
    if event is not None:
        shown.said = event.said
        names = {name: value for name, value in event.names().items() if value is not None}
        shown.context.update({"request_id": event.request_id, **names, **(event.trace or {})})
        if event.kind is None:
            shown.context["route"] = route_of(event)
    shown.context.update({name: value for name, value in fields.items() if value is not None})
    current_event.set(shown)
    try:
        _LOGGER.handle(record)
    finally:
        current_event.set(None)
