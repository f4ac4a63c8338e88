"""
Join lines and Sentry's events by their ids, and keep one event per failure.

Measure. Nothing here imports the SDK. Until the site has done so, a request pays for one look at the empty `SENTRY`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from obs_middleware.failures import report_once
from obs_middleware.measure.event import Event, current_event
from obs_middleware.measure.tracing import Trace, parse_traceparent
from obs_middleware.when_imported import call_when_imported

__all__ = ["SENTRY", "follow_sentry", "parse_sentry_trace"]

SENTRY: Final[list[Callable[[Event, Mapping[str, Any]], None]]] = []
"""
The function to call with each event that begins and with the META of its request, after its own trace is known.

Empty until the site has imported the SDK, and then one function, which never raises. It gives Sentry the ids of the
event, and the event the trace of Sentry if it has no other.
"""

_SENTRY_TRACE: Final = re.compile(r"[ \t]*([0-9a-f]{32}-[0-9a-f]{16})(?:-([01]))?[ \t]*", re.ASCII).fullmatch


def follow_sentry() -> None:
    """Join lines and events from now on, or from when the site imports Sentry's SDK."""
    call_when_imported("sentry_sdk", _connect)


def _connect() -> None:
    sdk: Any = sys.modules.get("sentry_sdk.scope")
    processors = getattr(sdk, "global_event_processors", None)
    if isinstance(processors, list) and _process not in processors:
        # First: the SDK's own processor against duplicates would remember the exception of a line that is left out
        # here, and drop the event that the SDK makes of this exception later.
        processors.insert(0, _process)
    if hasattr(sdk, "_isolation_scope") and hasattr(sdk, "_current_scope"):
        SENTRY[:] = [partial(_join, sdk)]


def _process(event: Any, hint: Any) -> Any:
    """
    Return an event of Sentry with the ids of the current work as tags, or None for the line of this work.

    The SDK makes an event of each record at ERROR, and its Django integration makes one of each exception. So the line
    of a failed request would be a second event for the same failure, whatever its logger is.
    """
    running = current_event.get()
    if running is None:
        return event
    record = hint.get("log_record") if hint else None
    if record is not None and running.is_line(record.msg):
        return None
    if event.get("type") != "check_in":
        tags = event.setdefault("tags", {})
        for name, value in _tags(running).items():
            tags.setdefault(name, value)  # a tag of the site wins
    return event


def _tags(event: Event) -> dict[str, Any]:
    tags = {"request_id": event.request_id}
    task_id = event.names().get("task_id")
    if task_id is not None:
        tags["task_id"] = task_id
    return tags


def _join(sdk: Any, event: Event, meta: Mapping[str, Any]) -> None:
    try:
        # Not get_isolation_scope() and get_current_scope(), which make a scope if there is none.
        isolation, current = sdk._isolation_scope.get(), sdk._current_scope.get()  # noqa: SLF001 -- a canary test checks them
        span = getattr(current, "span", None)
        # Only an integration names a scope: it has opened it for this request or task. Another one may be that of the
        # whole process, whose tags and trace would be those of all requests.
        is_own = getattr(isolation, "_name", None) is not None
        if event.previous is None:
            if is_own:
                _tag_scope(isolation, event)
            elif span is not None:
                _tag_transaction(span, event)
        if event.trace is None:
            here = current.get_traceparent() if span is not None or (is_own and current is not None) else None
            trace = _trace(here, meta.get("HTTP_SENTRY_TRACE"))
            if trace is not None:
                event.set_trace(*trace)
    except Exception as error:  # noqa: BLE001 -- the request goes on, whatever failed
        report_once("joining a line with Sentry", error)


def _tag_scope(scope: Any, event: Event) -> None:
    # Attributes are the tags of logs and of streamed spans. Older versions of the SDK have none.
    set_attribute = getattr(scope, "set_attribute", None)
    for name, value in _tags(event).items():
        scope.set_tag(name, value)
        if set_attribute is not None:
            set_attribute(name, value)


def _tag_transaction(span: Any, event: Event) -> None:
    transaction = getattr(span, "containing_transaction", None)
    if transaction is not None:
        for name, value in _tags(event).items():
            transaction.set_tag(name, value)


def _trace(here: object, header: object) -> Trace | None:
    """
    Return the trace of a request, or None.

    Args:
        here: Trace and span in this process, in the form of the header ``sentry-trace``, or None.
        header: The header ``sentry-trace`` of the request, or None.
    """
    own, caller = parse_sentry_trace(here), parse_sentry_trace(header)
    if own is None:
        # An SDK without its Django integration does not read the header.
        return None if caller is None else Trace(caller[0], os.urandom(8).hex(), caller[1], caller[2])
    if caller is None or caller[0] != own[0]:
        return Trace(own[0], own[1], None, own[2])
    return Trace(own[0], own[1], caller[1], own[2] | caller[2])


def parse_sentry_trace(header: object) -> tuple[str, str, int] | None:
    """Return trace id, span id and flags of a header ``sentry-trace``, or None if it is malformed."""
    match = _SENTRY_TRACE(header) if isinstance(header, str) and len(header) <= 128 else None
    return None if match is None else parse_traceparent(f"00-{match[1]}-0{match[2] or 0}")
