"""
Lines inside the records of other programs: `line_inside`.

Read. A record becomes the line that the program had read, so that the rest of the reader knows nothing of wrappers. If
that line has no time, it gets the time of the record. Only known places are searched: a client can choose the values of
many others.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeGuard

__all__ = ["is_docker", "line_inside", "parsed", "program_of", "records_in"]

Record = dict[str, Any]


class _Wrapper(NamedTuple):
    """
    The records of a program.

    Attributes:
        program: The name of the program.
        key: The key of the line.
        beside: The record has at least one of these keys too.
        time: The key of the time.
    """

    program: str
    key: str
    beside: frozenset[str]
    time: str = ""


def _row(program: str, key: str, beside: str, time: str = "") -> _Wrapper:
    return _Wrapper(program, key, frozenset(beside.split()), time)


_GOOGLE: Final = "logName insertId receiveTimestamp"
_BEATS: Final = "@metadata agent input beat"

_WRAPPERS: Final = (
    _row("journalctl", "MESSAGE", "__REALTIME_TIMESTAMP __CURSOR _BOOT_ID", "__REALTIME_TIMESTAMP"),
    _row("Google Cloud", "jsonPayload", _GOOGLE, "timestamp"),
    _row("Google Cloud", "textPayload", _GOOGLE, "timestamp"),
    _row("a search engine", "_source", "_index _id"),
    _row("Filebeat", "json", _BEATS, "@timestamp"),
    _row("Filebeat", "message", _BEATS, "@timestamp"),
    _row("Vector", "message", "source_type", "timestamp"),
    _row("CloudWatch", "message", "logStreamName ingestionTime eventId", "timestamp"),
    _row("CloudWatch Insights", "@message", "@timestamp @ptr @logStream @log", "@timestamp"),
    _row("Loki", "line", "labels", "timestamp"),
    _row("Docker", "log", "stream", "time"),
    _row("Fluent Bit", "log_processed", "log kubernetes"),
    _row("Fluent Bit", "log", "date @timestamp timestamp time kubernetes", "date"),
    _row("Datadog", "attributes", "tags date source host type", "date"),
)
"""To add a wrapper, add a row."""

# A record with one of these is a line itself, whatever the application bound to it.
_OF_A_LINE: Final = frozenset(
    {"duration_seconds", "outcome", "event_id", "level", "levelname", "severity_text", "log.level"}
)
_LISTS: Final = (("events",), ("hits", "hits"), ("data", "result"), ("data",), ("results",), ("entries",), ("logs",))
_TIMES: Final = ("timestamp", "@timestamp", "time", "date")
_DEPTH: Final = 5
_STAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}")
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)
_UNITS: Final = ((1e17, 1e-3), (1e14, 1.0), (1e11, 1e3), (0.0, 1e6))
"""Smallest number since 1970 in a unit, and the microseconds of the unit: ns, µs, ms, s."""


def parsed(text: str | bytes) -> Any:
    """Return the value of a text of JSON, None for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def records_in(value: Any) -> Iterator[Any]:
    """Yield the records of an answer or an export, or *value* itself if it is no list of records."""
    if _is_insights_row(value):
        yield {one["field"]: one["value"] for one in value}
    elif (inner := value if isinstance(value, list) else _list_in(value)) is not None:
        for one in inner:
            yield from records_in(one)
    elif isinstance(value, dict) and "stream" in value and isinstance(value.get("values"), list):
        for pair in (one for one in value["values"] if isinstance(one, list)):  # a stream of Loki
            yield {"labels": value["stream"], **dict(zip(("timestamp", "line"), pair, strict=False))}
    else:
        yield value


def _is_insights_row(value: Any) -> bool:
    keys = [one.keys() for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    return bool(keys) and len(keys) == len(value) and all(one == {"field", "value"} for one in keys)


def _list_in(value: Any) -> list[Any] | None:
    if not isinstance(value, dict) or _OF_A_LINE & value.keys():
        return None
    for path in _LISTS:
        here: Any = value
        for key in path:
            here = here.get(key) if isinstance(here, dict) else None
        if isinstance(here, list) and all(isinstance(one, dict | list) for one in here):
            return here
    return None


def is_docker(record: Any) -> TypeGuard[Record]:
    """Return whether *record* is a line of Docker's json-file."""
    return isinstance(record, dict) and isinstance(record.get("log"), str) and "stream" in record


def program_of(record: Any) -> str | None:
    """Return the name of the program that has wrapped a line in *record*; None if it is no wrapper."""
    found = _wrapper_of(record)
    return None if found is None else found.program


def _wrapper_of(record: Any) -> _Wrapper | None:
    if not isinstance(record, dict) or _OF_A_LINE & record.keys():
        return None
    for row in _WRAPPERS:
        value = record.get(row.key)
        if value and isinstance(value, str | dict | list) and row.beside & record.keys():
            return row
    return None


def line_inside(record: Any, line: str | None = None) -> str:
    """
    Return the line inside *record*, which may be wrapped more than once.

    Args:
        record: A value of JSON.
        line: The text of *record*, which is returned if it is no wrapper.
    """
    if isinstance(record, str):
        return record
    when = None
    for _ in range(_DEPTH):
        wrapper = _wrapper_of(record)
        if wrapper is None:
            break
        when = _time_of(record, wrapper) or when
        inside = _inside(record, wrapper)
        if isinstance(inside, dict):
            record, line = inside, None
            continue
        line = inside.strip("\0\r\n")
        record = parsed(line) if line.lstrip().startswith("{") else None
        if not isinstance(record, dict):
            return line if when is None or _STAMP.search(line) else f"{when:%Y-%m-%dT%H:%M:%S.%f}+00:00 {line}"
    if when is not None and not any(record.get(key) for key in _TIMES):
        record, line = {_time_key(record): f"{when:%Y-%m-%dT%H:%M:%S.%f}Z", **record}, None
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) if line is None else line


def _inside(record: Record, wrapper: _Wrapper) -> str | Record:
    """Return what *wrapper* is around: a text or an object."""
    value = record[wrapper.key]
    if isinstance(value, list):  # journald writes a text that is not UTF-8 as a list of bytes
        return bytes(one for one in value if isinstance(one, int) and 0 <= one < 256).decode("utf-8", "replace")
    return _together(wrapper.program, record, value) if isinstance(value, dict) else str(value)


def _together(program: str, record: Record, inside: Record) -> Record:
    """Return the object inside with what the program has moved out of it."""
    if program == "Datadog":
        moved = _MOVED_BY_DATADOG
    elif program == "Google Cloud" and not _LEVELS & inside.keys():
        moved = _MOVED_BY_GOOGLE
    else:
        return inside
    return {**{ours: record[theirs] for theirs, ours in moved.items() if theirs in record}, **inside}


_LEVELS: Final = frozenset({"level", "log.level", "severity_text", "status"})
_MOVED_BY_DATADOG: Final = {key: key for key in ("status", "message", "service", "host")}
_MOVED_BY_GOOGLE: Final = {
    "timestamp": "time",
    "severity": "severity",
    "httpRequest": "httpRequest",
    "labels": "logging.googleapis.com/labels",
    "trace": "logging.googleapis.com/trace",
    "spanId": "logging.googleapis.com/spanId",
}


def _time_key(record: Record) -> str:
    """Return the key of the time in the schema of *record*."""
    return "@timestamp" if "log.level" in record else "time" if "severity" in record else "timestamp"


def _time_of(record: Record, wrapper: _Wrapper) -> dt.datetime | None:
    value = next((record[key] for key in (wrapper.time, *_TIMES) if record.get(key)), None)
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            moment = dt.datetime.fromisoformat(value)
            return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        if value is None or isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        number = float(value)
        scale = next(scale for least, scale in _UNITS if abs(number) >= least)
        return _EPOCH + dt.timedelta(microseconds=round(number * scale))
    except (ValueError, OverflowError):
        return None
