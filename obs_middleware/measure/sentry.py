"""
Keep Sentry's view of a site: one event per failure, with the exception.

Measure. Sentry's SDK makes an event of each record at ERROR, and its Django integration makes one of each exception.
The line of a failed request would be a second event for the same failure, so it is no event, whatever its logger is.
"""

from __future__ import annotations

import sys
from typing import Any

from obs_middleware.measure.event import current_event

__all__ = ["show_once_in_sentry"]


def show_once_in_sentry() -> None:
    """Tell Sentry's SDK that request lines are no events, if the site has imported it. They remain breadcrumbs."""
    processors = getattr(sys.modules.get("sentry_sdk.scope"), "global_event_processors", None)
    if isinstance(processors, list) and _without_lines not in processors:
        # First: the SDK's own processor against duplicates would remember the exception of a line that is left out
        # here, and drop the event that the SDK makes of this exception later.
        processors.insert(0, _without_lines)


def _without_lines(event: Any, hint: Any) -> Any:
    record = hint.get("log_record") if hint else None
    running = current_event.get()
    return None if record is not None and running is not None and running.is_line(record.msg) else event
