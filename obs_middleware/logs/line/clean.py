"""
Any value becomes strict JSON.

Write. Nothing is evaluated for it: no query set, no lazy user, no generator. Whatever a value does, the line comes out:
valid for a strict parser, without NaN, without duplicate keys, and no different with orjson than without it.
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

from obs_middleware.logs.line.encode import INT64
from obs_middleware.logs.line.fit import Cuts, byte_count, cut_text, cut_trace
from obs_middleware.logs.line.limits import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_KEY,
    MAX_KEYS,
    MAX_TEXT,
    MAX_TEXT_OF,
    MAX_TRACE_BYTES,
    MAX_VALUES,
    SHORT_TEXT,
    TRACES,
)
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import REDACTED, Secrets

__all__ = ["NO_SECRETS", "Cleaner", "clean_text", "unused_key"]

NO_SECRETS: Final = Secrets(())
"""Hides nothing."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_MOST_REMEMBERED: Final = 4_096
_MOST_OF_A_NAME: Final = 1_000
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
    """Return *text* with NUL, which cuts values in rsyslog, and lone surrogates, which UTF-8 has not, as U+FFFD."""
    # isascii reads a flag; NUL is ASCII, so it is asked for apart
    if text.isascii() and "\0" not in text:
        return text
    return _UNENCODABLE.sub("\ufffd", text)


def unused_key(key: str, used: Mapping[str, Any]) -> str:
    """Return *key*, or *key* with a number behind it if it is *used* already: no value is lost to another."""
    unused, number = key, 2
    while unused in used:
        unused, number = f"{key[: MAX_KEY - 8]}_{number}", number + 1
    return unused


class Cleaner:
    """
    Turns the values of an event into what JSON knows: str, int, float, bool, None, list and dict of these.

    Integers outside int64 become text, NaN and infinities null, NUL and lone surrogates U+FFFD; what stands under a
    name that *secrets* hide becomes ``[redacted]``. Never raises, never runs a query, never consumes an iterator. What
    a key of the application has beside letters, digits, ``_``, ``@`` and ``-`` becomes ``_``, dots included: a store
    would read ``a.b`` as ``b`` inside ``a``.

    Args:
        secrets: Which names are secret.
        trace_bytes: The limit of a stack trace.
        shortens: Cut texts to their limits; False for formats that only people read.
    """

    def __init__(
        self, secrets: Secrets = NO_SECRETS, *, trace_bytes: int = MAX_TRACE_BYTES, shortens: bool = True
    ) -> None:
        self.secrets = secrets
        self.trace_bytes = trace_bytes
        self.shortens = shortens
        # Inside the chain the message is called as structlog calls it.
        self._keys = {name: name for name in FIELDS if name != "message"} | {"event": "message"}
        self._known = set(FIELDS)

    def is_plain(self, event_dict: Mapping[Any, Any]) -> bool:
        """
        Return whether the keys of *event_dict* need no cleaning and its values are scalars.

        What is wrong inside a scalar is left to be seen when it is encoded (`encode_scalars`). A key is known as one
        that needs no cleaning when it has been cleaned once.
        """
        return (
            len(event_dict) <= MAX_KEYS
            and event_dict.keys() <= self._known
            and _SCALARS.issuperset(map(type, event_dict.values()))
        )

    def clean(self, value: Any) -> Any:
        """Return one *value* cleaned."""
        return _Walk(self).value(value, MAX_DEPTH)

    def clean_fields(self, event_dict: Mapping[Any, Any]) -> tuple[dict[str, Any], Cuts | None]:  # noqa: C901, PLR0912 -- done for each field of each line, so calls little
        """
        Return *event_dict* with keys and values cleaned, and what was cut; None if nothing was.

        The message, ``event`` in structlog's words, comes out as ``message``, and always as text.
        """
        keys = self._keys
        fields: dict[str, Any] = {}
        renamed: list[tuple[str, Any]] = []
        walk: _Walk | None = None
        for name, value in event_dict.items():
            key = keys.get(name)
            if key is None:
                key, secret, fits = self._learn(name, event_dict)
                if secret:
                    value = REDACTED  # noqa: PLW2901 -- the value itself is not looked at
                if not fits:
                    renamed.append((key, value))
                    continue
            kind = type(value)
            # The common kinds first, and without a call: this is done for every field of every line.
            if kind is str:
                if len(value) <= SHORT_TEXT and value.isascii() and "\0" not in value:
                    fields[key] = value
                    continue
            elif kind is int:
                if -INT64 <= value < INT64:
                    fields[key] = value
                    continue
            elif value is None or kind is bool:
                fields[key] = value
                continue
            if walk is None:
                walk = _Walk(self)
            fields[key] = walk.field(key, value)
        if renamed or len(fields) > MAX_KEYS:
            walk = walk or _Walk(self)
            for key, value in renamed:
                # Last, so that a name which needs no change keeps it.
                unused = unused_key(key, fields)
                fields[unused] = walk.field(unused, value)
            _drop_surplus(fields, walk.cuts)
        message = fields.get("message", "")
        if type(message) is not str:
            fields["message"] = json.dumps(message, ensure_ascii=False)
        if walk is None or not walk.cuts.fields:
            return fields, None
        walk.cuts.mark(fields)
        return fields, walk.cuts

    def _learn(self, name: Any, event_dict: Mapping[Any, Any]) -> tuple[str, bool, bool]:
        """Return the key for *name*, whether its value is secret, and whether the key is the name as it came."""
        text = name if type(name) is str else _as_key(name)
        text = text[:_MOST_OF_A_NAME]
        if text == "message" and "event" not in event_dict:  # a processor such as EventRenamer ran before
            return text, False, True
        key = own_name(_plain_key(text))
        secret = self.secrets.hides(text)
        fits = key == name
        if fits and not secret and len(self._keys) < _MOST_REMEMBERED:  # names may come from outside, without end
            self._keys[key] = key
            self._known.add(key)
        return key, secret, fits


def _drop_surplus(fields: dict[str, Any], cuts: Cuts) -> None:
    """Drop the last of the application's *fields* if there are too many."""
    surplus = len(fields) - MAX_KEYS
    if surplus > 0:
        for name in [name for name in fields if name not in FIELDS][-surplus:]:
            del fields[name]
            cuts.add(name)


def _plain_key(text: str) -> str:
    """Return *text* as the key of an application's field may be."""
    return _NOT_IN_KEYS.sub("_", text[:MAX_KEY]) or "_"


class _Walk:
    """
    One pass over the values of an event.

    Attributes:
        cuts: What was cut so far.
    """

    __slots__ = ("_cleaner", "_left", "_name", "cuts")

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner
        self._left = MAX_VALUES
        self._name = ""
        self.cuts = Cuts()

    def field(self, name: str, value: Any) -> Any:
        """Return the *value* of the field *name*, cleaned."""
        self._name = name
        if name in TRACES and type(value) is str:
            return self._trace(value)
        return self.value(value, MAX_DEPTH)

    def value(self, value: Any, depth: int) -> Any:
        """Return *value* cleaned, with at most *depth* levels of containers."""
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
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 -- any method of a foreign object may raise anything
            return _type_name(kind)

    def _text(self, text: str) -> str:
        if len(text) > SHORT_TEXT and self._cleaner.shortens:
            limit = MAX_TEXT_OF.get(self._name, MAX_TEXT)
            if len(text) > limit:
                self.cuts.add(self._name, len(text) - limit)
                text = cut_text(text, limit)
        return clean_text(text)

    def _trace(self, text: str) -> str:
        limit = self._cleaner.trace_bytes
        if self._cleaner.shortens and len(text) > limit // 4 and byte_count(text) > limit:
            before, text = len(text), cut_trace(text, limit)
            self.cuts.add(self._name, before - len(text))
        return clean_text(text)

    # issubclass, not isinstance: the latter asks a foreign object for its __class__, and a proxy evaluates itself then
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
            return self._text(f"{kind.__name__}: {value}")
        if issubclass(kind, Mapping):
            return self._mapping(value.items(), len(value), depth, kind)
        if dataclasses.is_dataclass(kind):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping(((name, getattr(value, name, None)) for name in names), len(names), depth, kind)
        if issubclass(kind, (list, tuple, set, frozenset, deque)):
            return self._list(value, depth, kind)
        if issubclass(kind, HttpRequest) or kind.__repr__ is object.__repr__ or _has_items_to_fetch(kind):
            # The repr of a request has the query string in it, that of a query set runs it, object's is an address.
            return _type_name(kind)
        text = str.__str__(repr(value))
        if self._cleaner.shortens:
            text = text[:_MOST_OF_A_REPR]  # to look through more than can stay would take its time
        return self._text(self._cleaner.secrets.hide_in_repr(text))

    def _bytes(self, value: Any) -> str:
        size = len(value) if type(value) is not memoryview else value.nbytes
        # Four bytes are a character at most, so no more of a large value is read than can stay.
        most = 4 * max(MAX_TEXT, MAX_TEXT_OF.get(self._name, 0)) if self._cleaner.shortens else size
        head = bytes(value[:most]) if type(value) is not memoryview else value.tobytes()[:most]
        text = head.decode("utf-8", "replace")
        if size > most:
            self.cuts.add(self._name, size - most)
        return self._text(text)

    def _list(self, value: Any, depth: int, kind: type) -> Any:
        if not self._may_open(depth):
            return _type_name(kind)
        items: list[Any] = []
        hides = self._cleaner.secrets.hides
        names = getattr(kind, "_fields", ()) if issubclass(kind, tuple) else ()  # of a named tuple
        for item in islice(iter(value), MAX_ITEMS + 1):
            if len(items) == MAX_ITEMS or not self._may_add():
                self.cuts.add(self._name)
                items.append(f"... {len(value) - len(items)} more")
                break
            name = names[len(items)] if len(items) < len(names) else ""
            items.append(REDACTED if name and hides(name) else self.value(item, depth - 1))
        return items

    def _mapping(self, pairs: Iterable[tuple[Any, Any]], count: int, depth: int, kind: type) -> Any:
        if not self._may_open(depth):
            return _type_name(kind)
        result: dict[str, Any] = {}
        renamed: list[tuple[str, Any]] = []
        hides = self._cleaner.secrets.hides
        for key, item in islice(pairs, MAX_ITEMS + 1):
            if len(result) + len(renamed) == MAX_ITEMS or not self._may_add():
                self.cuts.add(self._name)
                renamed.append(("_more", f"{count - len(result) - len(renamed)} more"))
                break
            name = key if type(key) is str else _as_key(key)
            plain = _plain_key(name)
            clean = REDACTED if hides(name[:_MOST_OF_A_NAME]) else self.value(item, depth - 1)
            if plain == name and plain not in result:
                result[plain] = clean
            else:  # 1 and "1" are two keys in Python, and would be one in JSON
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


_KEYS: Final = Cleaner()


def _as_key(key: Any) -> str:
    """Return a key of any type as text, as JSON writes it: ``null``, ``true``, ``1``; that of a tuple is a list."""
    text = _Walk(_KEYS).value(key, 1)
    return text if type(text) is str else json.dumps(text)


def _big_integer(value: int) -> str:
    # str() of an integer refuses above 4300 digits (CVE-2020-10735); hex does not, and costs linear time
    return str(value) if value.bit_length() < 4096 else f"{hex(value)[:64]}... ({value.bit_length()} bits)"


def _model_name(value: Model) -> str:
    meta: Any = value._meta  # noqa: SLF001 -- Django's own public name
    # From __dict__: a deferred primary key would be fetched. A composite one has several fields.
    parts = [str(_Walk(_KEYS).value(value.__dict__.get(field.attname), 0)) for field in meta.pk_fields]
    key = ", ".join(parts)
    return f"<{meta.label}: {key}>" if len(parts) == 1 else f"<{meta.label}: ({key})>"


def _has_items_to_fetch(kind: type) -> bool:
    # Duck-typed, so that query sets, managers, raw query sets and other ORMs' queries are all left unevaluated.
    return hasattr(kind, "__iter__") or hasattr(kind, "__aiter__")


def _type_name(kind: type) -> str:
    try:
        name = f"<{kind.__module__}.{kind.__qualname__}>"
    except Exception:  # noqa: BLE001 -- a metaclass may do anything with these
        return "<object>"
    return clean_text(name.replace("<builtins.", "<", 1))[:MAX_TEXT]
