"""
Turn one value of any type into what JSON knows.

Write. Nothing is evaluated for it: no query set, no lazy user, no generator. Whatever a foreign object raises, the
value is replaced by the name of its type.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import json
import math
import os
import re
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from django.db.models import Model
from django.http import HttpRequest
from django.utils.functional import LazyObject, Promise, empty

from obs_middleware.failures import raise_interrupt
from obs_middleware.logs.line.encode import INT64
from obs_middleware.logs.line.fit import Cuts, cut_text
from obs_middleware.logs.line.limits import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_KEY,
    MAX_TEXT,
    MAX_TEXT_OF,
    MAX_TRACE_BYTES,
    MAX_VALUES,
    SHORT_TEXT,
    TRACES,
)
from obs_middleware.logs.line.trace import cut_trace
from obs_middleware.redaction import REDACTED, Secrets

__all__ = ["MOST_OF_A_NAME", "NO_SECRETS", "Walk", "as_key", "clean_text", "plain_key", "unused_key"]

NO_SECRETS: Final = Secrets(())
"""Redacts nothing."""

MOST_OF_A_NAME: Final = 1_000
"""Characters of a name that are looked at; a key is cut to `MAX_KEY` anyway."""

_MOST_OF_A_REPR: Final = 40_000
_UNENCODABLE: Final = re.compile("[\0\ud800-\udfff]")
_NOT_IN_KEYS: Final = re.compile("[^A-Za-z0-9_@-]")
_AS_TEXT: Final = (
    uuid.UUID,
    decimal.Decimal,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    Promise,
)


def clean_text(text: str) -> str:
    """Replace NUL, at which rsyslog ends a value, and lone surrogates, which UTF-8 cannot encode, by U+FFFD."""
    # isascii() reads a flag; NUL is ASCII too, so look for it separately
    if text.isascii() and "\0" not in text:
        return text
    return _UNENCODABLE.sub("\ufffd", text)


def unused_key(key: str, used: Mapping[str, Any]) -> str:
    """Return *key*, or *key* with a number appended if it is in *used*, so that no value is overwritten."""
    unused, number = key, 2
    while unused in used:
        unused, number = f"{key[: MAX_KEY - 8]}_{number}", number + 1
    return unused


def plain_key(text: str) -> str:
    """Return *text* as a valid key of an application's field."""
    return _NOT_IN_KEYS.sub("_", text[:MAX_KEY]) or "_"


class Walk:
    """
    One pass over the values of an event; it returns each as str, int, float, bool, None, list or dict.

    Attributes:
        cuts: What was cut so far.

    Args:
        secrets: The names whose values are redacted.
        trace_bytes: The limit of a stack trace in bytes.
        room: A limit for all texts together, in characters, in place of the limit of each text.
    """

    __slots__ = ("_left", "_name", "_room", "_secrets", "_trace_bytes", "cuts")

    def __init__(self, secrets: Secrets, trace_bytes: int = MAX_TRACE_BYTES, room: int | None = None) -> None:
        self._secrets = secrets
        self._trace_bytes = trace_bytes
        self._room = room
        self._left = MAX_VALUES
        self._name = ""
        self.cuts = Cuts()

    def field(self, name: str, value: Any) -> Any:
        """Return the cleaned *value* of the field *name*."""
        self._name = name
        if name in TRACES and type(value) is str:
            return self._trace(value)
        return self.value(value, MAX_DEPTH)

    def value(self, value: Any, depth: int) -> Any:
        """Return the cleaned *value* with at most *depth* levels of containers."""
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is bool or value is None:
            return value
        if kind is int:
            return value if -INT64 <= value < INT64 else self._text(_big_integer(value))
        if kind is float:
            return value if math.isfinite(value) else None
        try:
            return self._object(value, kind, depth)
        except BaseException as error:  # noqa: BLE001 -- any method of a foreign object may raise anything
            raise_interrupt(error)
            return _type_name(kind)

    def _text(self, text: str) -> str:
        if len(text) > SHORT_TEXT:
            limit = self._most_characters()
            if len(text) > limit:
                self.cuts.add(self._name, len(text) - limit)
                text = cut_text(text, limit)
            self._use_room(text)
        return clean_text(text)

    def _trace(self, text: str) -> str:
        limit = self._trace_bytes if self._room is None else max(self._trace_bytes, self._room)
        whole, text = text, cut_trace(text, limit)
        if text is not whole:
            self.cuts.add(self._name, len(whole) - len(text))
        self._use_room(text)
        return clean_text(text)

    def _most_characters(self) -> int:
        return MAX_TEXT_OF.get(self._name, MAX_TEXT) if self._room is None else max(SHORT_TEXT, self._room)

    def _use_room(self, text: str) -> None:
        if self._room is not None:
            self._room -= len(text)

    # issubclass, not isinstance: isinstance asks an object for its __class__, which makes a proxy evaluate itself
    def _object(self, value: Any, kind: type, depth: int) -> Any:  # noqa: C901, PLR0911, PLR0912 -- one branch for each kind, read in order
        if kind is dict:
            return self._mapping(value.items(), len(value), depth, kind)
        if kind is list or kind is tuple:
            return self._list(value, depth, kind)
        if issubclass(kind, LazyObject):
            wrapped = value.__dict__.get("_wrapped", empty)
            return _type_name(kind) if wrapped is empty else self.value(wrapped, depth)
        if issubclass(kind, Model):
            return self._text(_model_name(value))
        if issubclass(kind, enum.Enum):
            return self.value(value.value, depth)
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if issubclass(kind, int):
            return self.value(int.__add__(value, 0), depth)
        if issubclass(kind, float):
            return self.value(float.__add__(value, 0.0), depth)
        if issubclass(kind, _AS_TEXT):
            return self._text(str.__str__(str(value)))
        if issubclass(kind, (dt.datetime, dt.date, dt.time)):
            return self._text(str.__str__(value.isoformat()))
        if issubclass(kind, dt.timedelta):
            return value.total_seconds()
        if issubclass(kind, (bytes, bytearray, memoryview)):
            return self._bytes(value)
        if issubclass(kind, os.PathLike):
            return self._text(os.fsdecode(value))
        if issubclass(kind, BaseException):
            return self._repr(f"{kind.__name__}: {value}")
        if issubclass(kind, Mapping):
            return self._mapping(value.items(), len(value), depth, kind)
        if dataclasses.is_dataclass(kind):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping(((name, getattr(value, name, None)) for name in names), len(names), depth, kind)
        if issubclass(kind, (list, tuple, set, frozenset, deque)):
            return self._list(value, depth, kind)
        if issubclass(kind, HttpRequest) or kind.__repr__ is object.__repr__ or _has_items_to_fetch(kind):
            # repr() of a request has the query string, of a query set runs the query, of a bare object is an address.
            return _type_name(kind)
        return self._repr(str.__str__(repr(value)))

    def _repr(self, text: str) -> str:
        # A longer text is cut anyway, and redacting it takes time.
        return self._text(self._secrets.hide_in_repr(text[:_MOST_OF_A_REPR]))

    def _bytes(self, value: Any) -> str:
        size = len(value) if type(value) is not memoryview else value.nbytes
        # A character has at most four bytes: do not decode more of a large value than can be kept.
        most = 4 * self._most_characters()
        part = value[:most] if type(value) is not memoryview or value.ndim == 1 else value
        head = bytes(part) if type(part) is not memoryview else part.tobytes()[:most]
        text = head.decode("utf-8", "replace")
        if size > most:
            self.cuts.add(self._name, size - most)
        return self._text(text)

    def _list(self, value: Any, depth: int, kind: type) -> Any:
        if not self._may_open(depth):
            return _type_name(kind)
        items: list[Any] = []
        hides = self._secrets.hides
        names = getattr(kind, "_fields", ()) if issubclass(kind, tuple) else ()  # the names of a named tuple
        # ("Authorization", "Bearer ..."), as in a list of headers; a list of two words alone is no pair.
        is_pair = (kind is tuple or (kind is list and depth < MAX_DEPTH)) and len(value) == 2
        for item in islice(iter(value), MAX_ITEMS + 1):
            if len(items) == MAX_ITEMS or not self._may_add():
                self.cuts.add(self._name)
                items.append(f"... {len(value) - len(items)} more")
                break
            name = names[len(items)] if len(items) < len(names) else ""
            if is_pair and items and type(items[0]) is str:
                name = items[0]
            items.append(REDACTED if name and hides(name, item) else self.value(item, depth - 1))
        return items

    def _mapping(self, pairs: Iterable[tuple[Any, Any]], count: int, depth: int, kind: type) -> Any:
        if not self._may_open(depth):
            return _type_name(kind)
        result: dict[str, Any] = {}
        renamed: list[tuple[str, Any]] = []
        hides = self._secrets.hides
        for key, item in islice(pairs, MAX_ITEMS + 1):
            if len(result) + len(renamed) == MAX_ITEMS or not self._may_add():
                self.cuts.add(self._name)
                renamed.append(("_more", f"{count - len(result) - len(renamed)} more"))
                break
            name = key if type(key) is str else as_key(key, self._secrets)
            plain = plain_key(name)
            clean = REDACTED if hides(name[:MOST_OF_A_NAME], item) else self.value(item, depth - 1)
            if plain == name and plain not in result:
                result[plain] = clean
            else:  # 1 and "1" are two keys in Python and one in JSON
                renamed.append((plain, clean))
        for plain, clean in renamed:
            result[unused_key(plain, result)] = clean
        return result

    def _may_open(self, depth: int) -> bool:
        if depth <= 0:
            self.cuts.add(self._name)
        return depth > 0

    def _may_add(self) -> bool:
        self._left -= 1
        return self._left >= 0


def as_key(key: Any, secrets: Secrets) -> str:
    """Return a key of any type as JSON text: ``null``, ``true``, ``1``; a tuple as a list. Secrets in it are hidden."""
    text = Walk(secrets).value(key, 1)
    return text if type(text) is str else json.dumps(text)


def _big_integer(value: int) -> str:
    # str() of an integer raises above 4300 digits (CVE-2020-10735); hex() does not, and takes linear time
    return str(value) if value.bit_length() < 4096 else f"{hex(value)[:64]}... ({value.bit_length()} bits)"


def _model_name(value: Model) -> str:
    meta: Any = value._meta  # noqa: SLF001 -- Django's own public name
    # From __dict__, because reading a deferred primary key runs a query. A composite key has several fields.
    parts = [str(Walk(NO_SECRETS).value(value.__dict__.get(field.attname), 0)) for field in meta.pk_fields]
    key = ", ".join(parts)
    return f"<{meta.label}: {key}>" if len(parts) == 1 else f"<{meta.label}: ({key})>"


def _has_items_to_fetch(kind: type) -> bool:
    # By method, not by class: query sets, managers, raw query sets and queries of other ORMs stay unevaluated.
    return hasattr(kind, "__iter__") or hasattr(kind, "__aiter__")


def _type_name(kind: type) -> str:
    try:
        name = f"<{kind.__module__}.{kind.__qualname__}>"
    except Exception:  # noqa: BLE001 -- a metaclass may do anything with these
        return "<object>"
    return clean_text(name.replace("<builtins.", "<", 1))[:MAX_TEXT]
