"""
Carry the id of the work from the process that causes a task to the process that does it.

Work. A dict that survives JSON goes along with the message. It is small, and nothing of it can make the sender fail.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.failures import report_once
from obs_middleware.measure.event import current_event
from obs_middleware.measure.tracing import traceparent_of
from obs_middleware.measure.vocabulary import own_name
from obs_middleware.redaction import Secrets

__all__ = ["CARRIER", "Carried", "prepare", "received", "sent"]

CARRIER: Final = "obs_middleware"
"""The name under which the dict goes along, where the queue has a place for names."""

MOST_BOUND: Final = 20
MOST_CHARACTERS: Final = 200
MOST_BYTES: Final = 1_000
"""Limits of the bound fields: their number, the characters of a text, the bytes of all as JSON."""

_LARGEST_INTEGER: Final = 2**63


class Carried(NamedTuple):
    """
    The part of a message that this package has sent along. All of it may be missing.

    Attributes:
        request_id: The id of the request that caused the work.
        traceparent: The place of the sender in its trace, as the header of that name.
        parent_task_id: The id of the task that has sent the message.
        queue_seconds: Seconds since the message was sent, at least 0.
        bound: The fields that were bound where the message was sent.
    """

    request_id: object = None
    traceparent: object = None
    parent_task_id: str | None = None
    queue_seconds: float | None = None
    bound: Mapping[str, Any] = {}


class _Sender:
    def __init__(self) -> None:
        self.secrets = Secrets(())

    def configure(self, settings: Settings) -> None:
        self.secrets = Secrets(settings.redact)


_sender: Final = _Sender()


def prepare() -> None:
    """Take the names of secrets from the settings, now and when they change."""
    keep_configured(_sender, lenient=True)


def sent() -> dict[str, Any]:
    """
    Return what to send along with a message, for `received`. Never raises.

    The id and the trace of the current work, the time, and the bound fields that are short texts, numbers or booleans.
    Fields with the name of a secret are left out. The bound fields take at most 1 kB. Costs a few microseconds.
    """
    carried: dict[str, Any] = {"enqueued": time.time()}
    try:
        event = current_event.get()
        if event is None or event.done:
            return carried
        carried["request_id"] = event.request_id
        traceparent = traceparent_of(event)
        if traceparent is not None:
            carried["traceparent"] = traceparent
        task_id = event.names().get("task_id")
        if task_id is not None:
            carried["parent_task_id"] = task_id
        if event.said is not None and event.said.bound:
            bound = _small(event.said.bound.copy())
            if bound:
                carried["bound"] = bound
    except BaseException as error:  # noqa: BLE001 -- the message goes out, whatever failed
        report_once("work.sent", error)
    return carried


def received(carried: object) -> Carried:
    """Return the parts of *carried*, the result of `sent` in another process. It may be any object. Never raises."""
    if not isinstance(carried, dict):
        return Carried()
    enqueued: Any = carried.get("enqueued")
    parent = carried.get("parent_task_id")
    bound = carried.get("bound")
    return Carried(
        carried.get("request_id"),
        carried.get("traceparent"),
        parent[:MOST_CHARACTERS] if isinstance(parent, str) else None,
        max(0.0, round(time.time() - enqueued, 6)) if _is_number(enqueued) else None,
        {own_name(name): value for name, value in _small(bound).items()} if isinstance(bound, dict) else {},
    )


def _small(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Return those of *fields* that are small scalars, until the limits are reached."""
    small: dict[str, Any] = {}
    room: float = MOST_BYTES
    for name, value in fields.items():
        if len(small) == MOST_BOUND:
            break
        size = _size(name, value)
        if size <= room and not _sender.secrets.hides(name, value):
            small[name] = value
            room -= size
    return small


def _size(name: Any, value: Any) -> float:
    """Return the bytes of a field as JSON, or infinity if it does not go along."""
    if type(name) is not str or len(name) > MOST_CHARACTERS or not _is_unicode(name):
        return math.inf
    if type(value) is str:
        if len(value) > MOST_CHARACTERS or not _is_unicode(value):
            return math.inf
        size = len(encode_basestring_ascii(value))
    elif type(value) is bool or _is_number(value):
        size = len(repr(value))
    else:
        return math.inf
    return len(encode_basestring_ascii(name)) + size + 4  # a colon, a comma and two spaces


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return -_LARGEST_INTEGER <= value < _LARGEST_INTEGER
    return type(value) is float and math.isfinite(value)


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which some serializers refuse
        return False
    return True
