"""
`Cleaner`: turn the fields of an event into keys and values that every JSON parser and every store accepts.

Write. The line is valid whatever a value does: without NaN, without duplicate keys, the same with and without orjson.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from obs_middleware.logs.line.encode import INT64
from obs_middleware.logs.line.fit import NAMES_LISTED, Cuts
from obs_middleware.logs.line.limits import (
    MAX_DEPTH,
    MAX_KEYS,
    MAX_TRACE_BYTES,
    SHORT_TEXT,
)
from obs_middleware.logs.line.values import MOST_OF_A_NAME, NO_SECRETS, Walk, as_key, plain_key, unused_key
from obs_middleware.measure.remembered import Remembered
from obs_middleware.measure.vocabulary import FIELDS, own_name
from obs_middleware.redaction import REDACTED, Secrets

__all__ = ["Cleaner"]

_SCALARS: Final = frozenset({int, float, bool, type(None)})
_OURS: Final = FIELDS.keys() | {"event"}
_MOST_OWN: Final = MAX_KEYS + NAMES_LISTED
"""Fields of an application that are looked at: those that may stay, and those that are listed as dropped."""


class Cleaner:
    """
    Turn the values of an event into str, int, float, bool, None, and lists and dicts of these.

    Integers outside int64 become text, NaN and infinities become null, NUL and lone surrogates become U+FFFD, and the
    value of a secret name becomes ``[redacted]``. A cleaner never raises, runs no query and consumes no iterator. In a
    key of the application, every character except letters, digits, ``_``, ``@`` and ``-`` becomes ``_``. That includes
    the dot: a store would read ``a.b`` as ``b`` inside ``a``.

    Args:
        secrets: The names whose values are redacted.
        trace_bytes: The limit of a stack trace in bytes.
        room: For formats that only people read: a limit for all texts together, in place of the limit of each text.
    """

    def __init__(
        self, secrets: Secrets = NO_SECRETS, *, trace_bytes: int = MAX_TRACE_BYTES, room: int | None = None
    ) -> None:
        self.secrets = secrets
        self.trace_bytes = trace_bytes
        self.room = room
        self._keys: Remembered[str] = Remembered()
        self._keys.update((name, name) for name in FIELDS if name != "message")
        self._keys["event"] = "message"  # inside the chain, the message has structlog's name for it
        self._known = self._keys.keys()

    def is_plain(self, event_dict: Mapping[Any, Any], most: int = MAX_KEYS) -> bool:
        """
        Return whether the keys of *event_dict*, *most* of them, need no cleaning and its values are scalars.

        A text that may have to be cut needs cleaning too, so that it is cut before it is encoded. All else about the
        scalars is checked by a plan, or by `encode_known` and `is_whole`. A key is known to need no cleaning after it
        has been cleaned once.
        """
        if len(event_dict) > most or not event_dict.keys() <= self._known:
            return False
        for value in event_dict.values():
            kind = type(value)
            if kind is str:
                if len(value) > SHORT_TEXT:
                    return False
            elif kind not in _SCALARS:
                return False
        return True

    def clean(self, value: Any) -> Any:
        """Return *value*, cleaned."""
        return Walk(self.secrets, self.trace_bytes, self.room).value(value, MAX_DEPTH)

    def clean_fields(self, event_dict: Mapping[Any, Any]) -> tuple[dict[str, Any], Cuts | None]:  # noqa: C901, PLR0912 -- done for each field of each line, so calls little
        """
        Return the cleaned fields of *event_dict*, and what was cut; None if nothing was.

        structlog's ``event`` becomes ``message``, which is always text.
        """
        skipped = 0
        if len(event_dict) > MAX_KEYS:
            event_dict, skipped = _first_fields(event_dict)
        keys = self._keys
        fields: dict[str, Any] = {}
        renamed: list[tuple[str, Any]] = []
        walk: Walk | None = None
        for name, value in event_dict.items():
            key = keys.get(name)
            if key is None:
                key, secret, fits = self._learn(name, value, event_dict)
                if secret:
                    value = REDACTED  # noqa: PLW2901 -- the value itself is never read
                if not fits:
                    renamed.append((key, value))
                    continue
            kind = type(value)
            # The common types first, and without a call: this runs for every field of every line.
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
                walk = Walk(self.secrets, self.trace_bytes, self.room)
            fields[key] = walk.field(key, value)
        if renamed or len(fields) > MAX_KEYS:
            walk = walk or Walk(self.secrets, self.trace_bytes, self.room)
            for key, value in renamed:
                # Last, so that a name that needs no change keeps its key.
                unused = unused_key(key, fields)
                fields[unused] = walk.field(unused, value)
            _drop_surplus(fields, walk.cuts)
            walk.cuts.more = skipped
        message = fields.get("message", "")
        if type(message) is not str:
            fields["message"] = json.dumps(message, ensure_ascii=False)
        if walk is None or not walk.cuts.fields:
            return fields, None
        walk.cuts.mark(fields)
        return fields, walk.cuts

    def _learn(self, name: Any, value: Any, event_dict: Mapping[Any, Any]) -> tuple[str, bool, bool]:
        """Return the key for *name*, whether its *value* is secret, and whether the key equals the name."""
        text = name if type(name) is str else as_key(name, self.secrets)
        text = text[:MOST_OF_A_NAME]
        if text == "message" and "event" not in event_dict:  # a processor such as EventRenamer has run
            return text, False, True
        key = own_name(plain_key(text))
        secret = self.secrets.hides(text, value)
        fits = key == name
        if fits and not self.secrets.hides(text):  # not the name of a figure, whose next value may be a text
            self._keys.remember(key, key)
        return key, secret, fits


def _first_fields(event_dict: Mapping[Any, Any]) -> tuple[dict[Any, Any], int]:
    """Return the package's fields and the first `_MOST_OWN` others, and the number of those that are left out."""
    own = [name for name in event_dict if name not in _OURS]
    surplus = set(own[_MOST_OWN:])
    return {name: value for name, value in event_dict.items() if name not in surplus}, len(surplus)


def _drop_surplus(fields: dict[str, Any], cuts: Cuts) -> None:
    """Drop the application's last *fields* if there are more than `MAX_KEYS`."""
    surplus = len(fields) - MAX_KEYS
    if surplus > 0:
        for name in [name for name in fields if name not in FIELDS][-surplus:]:
            del fields[name]
            cuts.add(name)
