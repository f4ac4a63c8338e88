"""
Shorten texts and whole lines to their limits.

Write. A line that is too large is never split and never invalid: it is shortened in a fixed order until it fits.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from typing import Any, Final

from obs_middleware.logs.line.limits import CORE, LEAST_BYTES, MAX_BYTES, MAX_BYTES_PIPE, TRACES
from obs_middleware.logs.line.trace import byte_count, cut_trace
from obs_middleware.measure.vocabulary import FIELDS

__all__ = ["NAMES_LISTED", "Cuts", "Fit", "cut_text", "default_max_bytes", "is_pipe"]

_IDS: Final = frozenset({"timestamp", "level", "event_id", "request_id", "trace_id", "kind", "task_id"})
NAMES_LISTED: Final = 10
"""Names on a line of fields that were cut."""

_MARKS: Final = ("truncated", "truncated_fields", "original_bytes")


def is_pipe(stream: str) -> bool:
    """Return whether *stream*, ``stdout`` or ``stderr``, is a pipe or FIFO."""
    try:
        return stat.S_ISFIFO(os.fstat(getattr(sys, stream).fileno()).st_mode)
    except Exception:  # noqa: BLE001 -- closed, missing, or replaced by an object that may raise anything
        return False


def default_max_bytes(stream: str | None) -> int:
    """Return the limit of a line in bytes; *stream* is None for a file or an unknown output."""
    return MAX_BYTES_PIPE if stream is not None and is_pipe(stream) else MAX_BYTES


def cut_text(text: str, limit: int) -> str:
    """Return the beginning of *text*, at most *limit* characters, with three dots where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class Cuts:
    """
    A record of what was cut from one event.

    Attributes:
        fields: The names of the fields that were cut, in order.
        characters: The number of characters cut before the line was rendered.
        more: The number of fields that were dropped unseen.
        most_names: The limit of the names listed on the line.
    """

    __slots__ = ("characters", "fields", "more", "most_names")

    def __init__(self) -> None:
        self.fields: dict[str, None] = {}
        self.characters = 0
        self.more = 0
        self.most_names = NAMES_LISTED

    def add(self, name: str, characters: int = 0) -> None:
        """Note that the field *name* was cut."""
        self.fields[name] = None
        self.characters += characters

    def mark(self, event: dict[str, Any]) -> None:
        """Add ``truncated`` and ``truncated_fields`` to *event*."""
        names = list(self.fields)
        unnamed = max(0, len(names) - self.most_names) + self.more
        if unnamed:
            names = [*names[: self.most_names], f"... {unnamed} more"]
        event["truncated"] = True
        event["truncated_fields"] = names


class Fit:
    """
    Render an event as a line of at most *max_bytes* bytes.

    Args:
        render: Returns the line, without its line feed, of an event with clean values in the flat schema.
        max_bytes: The limit in bytes, including the line feed.

    Raises:
        ValueError: *max_bytes* is too small for the fields that are always kept.
    """

    def __init__(self, render: Callable[[dict[str, Any]], str], max_bytes: int) -> None:
        if max_bytes < LEAST_BYTES:
            raise ValueError(f"max_bytes is {max_bytes}; expected at least {LEAST_BYTES}.")
        self._render = render
        self._most = max_bytes - 1
        # A character has at most four bytes, so a text of this length always fits.
        self._surely = self._most // 4

    def __call__(self, event: dict[str, Any], cuts: Cuts | None) -> str:
        """
        Return the line of *event*, shortened if necessary.

        Args:
            event: The event; it is changed if the line is too large.
            cuts: What was cut from its values so far; None if nothing was.
        """
        text = self._render(event)
        if cuts is None and (len(text) <= self._surely or byte_count(text) <= self._most):
            return text
        cuts = cuts or Cuts()
        event["original_bytes"] = byte_count(text) + 1 + cuts.characters
        cuts.mark(event)
        text = self._render(event)
        for shrink in _SHRINKS:
            excess = byte_count(text) - self._most
            if excess <= 0:
                break
            shrink(event, cuts, excess)
            cuts.mark(event)
            text = self._render(event)
        return text


def _shrink_traces(event: dict[str, Any], cuts: Cuts, excess: int) -> None:
    for name in TRACES.intersection(event):
        trace = event[name]
        if type(trace) is str:
            # Twice the excess: a line feed has two bytes in JSON, and a marker is added.
            event[name] = cut_trace(trace, max(600, byte_count(trace) - 2 * excess))
            cuts.add(name)


def _drop_headers(event: dict[str, Any], cuts: Cuts, _: int) -> None:
    for name in ("headers", "query"):
        if event.pop(name, None) is not None:
            cuts.add(name)


def _drop_own(event: dict[str, Any], cuts: Cuts, excess: int) -> None:
    """Drop fields of the application, the largest first, until the line fits."""
    sizes = {name: len(name) + len(str(value)) for name, value in event.items() if name not in FIELDS}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        excess -= sizes[name]
        del event[name]
        cuts.add(name)


def _shrink_texts(limit: int) -> Callable[[dict[str, Any], Cuts, int], None]:
    """Return a function that cuts every text to *limit* characters and a trace to twice as many bytes."""

    def shrink(event: dict[str, Any], cuts: Cuts, _: int) -> None:
        for name, value in event.items():
            if name not in _IDS and type(value) is str and len(value) > limit:
                event[name] = cut_trace(value, 2 * limit) if name in TRACES else cut_text(value, limit)
                cuts.add(name)

    return shrink


def _keep_core(text: int, identity: int) -> Callable[[dict[str, Any], Cuts, int], None]:
    """Return a function that keeps only `CORE`, its texts cut to *text* characters and its ids to *identity*."""

    def shrink(event: dict[str, Any], cuts: Cuts, _: int) -> None:
        for name in [name for name in event if name not in CORE and name not in _MARKS]:
            del event[name]
            cuts.add(name)
        for name in CORE:
            value: Any = event.get(name)
            if type(value) in {list, dict}:  # set by a processor of the application
                value = str(value)
            most = identity if name in _IDS else text
            if type(value) is str and (len(value) > most or value is not event[name]):
                event[name] = cut_text(value, most)
                cuts.add(name)
        if text < 256:
            cuts.most_names = 1

    return shrink


_SHRINKS: Final = (
    _shrink_traces,
    _drop_headers,
    _drop_own,
    *(_shrink_texts(limit) for limit in (2_048, 1_024, 512, 256)),
    # Our ids have at most 128 characters. Only a processor of the application can make longer ones.
    *(_keep_core(text, identity) for text, identity in ((256, 128), (64, 128), (16, 128), (16, 16))),
)
