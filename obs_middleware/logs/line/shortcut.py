"""
What the chain of `JSONFormatter` makes of most records, for a third of its price: `Shortcut`.

Write. Nothing is decided here about how a line looks: what is not sure to come out as the chain would have it is left
to the chain. Hostile events hold the two to the same line in the tests.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from structlog.contextvars import _CONTEXT_VARS  # held by a canary test

from obs_middleware.logs.line.clean import Cleaner, clean_text
from obs_middleware.logs.line.encode import encode_scalars, encode_text, is_whole
from obs_middleware.logs.line.limits import MAX_TEXT, SHORT_TEXT
from obs_middleware.logs.line.record import LEVELS, RECORD_SIZE
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.processors import has_bound_contextvars
from obs_middleware.measure.event import current_event
from obs_middleware.measure.ids import is_event_id, new_event_id

__all__ = ["Shortcut"]

_MOST_NAMES: Final = 1_000
_NOTHING: Final[Mapping[str, Any]] = {}


class Shortcut:
    """
    The way past the chain, for a formatter without processors of the project's.

    It is open to a record without exception and ``extra``, with own fields of plain types under names that were cleaned
    before, in a line in which nothing has to be cut.

    Args:
        constants: The fields that are the same on every line, short texts.
        translate: Translates an event into the schema; None for the flat one.
        most_bytes: The most that a line may have, encoded and without its line feed.
        timestamps: Makes the timestamps.
    """

    def __init__(
        self,
        constants: Mapping[str, str],
        translate: Callable[[Any, str, Any], Mapping[str, Any]] | None,
        most_bytes: int,
        timestamps: Timestamps,
    ) -> None:
        self._constants = constants
        self._constant_text = "".join(f',"{name}":{encode_text(clean_text(text))}' for name, text in constants.items())
        self._translate = translate
        self._most_bytes = most_bytes
        self._short_bytes = min(most_bytes, MAX_TEXT)
        self._timestamp = timestamps.text
        self._names: dict[str, str] = {}

    def line(self, record: logging.LogRecord, cleaner: Cleaner) -> str | None:  # noqa: C901, PLR0911, PLR0912 -- done for each line, so calls little
        """
        Return the line for *record*, or None where the chain must see to it.

        Args:
            record: The record.
            cleaner: The cleaner of the chain, which knows the names.

        Raises:
            Exception: As None: a lone surrogate, NaN, arguments that do not fit the message.
        """
        attributes = record.__dict__
        message: Any = record.msg
        level = LEVELS.get(record.levelno, "")
        if (
            type(message) is not str
            or type(record) is not logging.LogRecord  # whose text may be another
            or not level
            or record.exc_info
            or record.exc_text
            or record.stack_info
            or (_CONTEXT_VARS and has_bound_contextvars())
        ):
            return None
        if len(attributes) == RECORD_SIZE and "event_id" not in attributes:
            event_id = attributes["event_id"] = new_event_id()
        else:
            # A second handler's, or the call's own, in which anything may be; and nothing else.
            event_id = attributes.get("event_id", "")
            if len(attributes) > RECORD_SIZE + 1 or type(event_id) is not str or not is_event_id(event_id):
                return None
        event = current_event.get()
        if event is not None and message is event.message:
            if event.error is not None or event.refusal is not None:
                return None
            text = f'"{message}"'  # in which nothing needs escaping
            fields: Mapping[str, Any] = event.line()
            has_own = event.said is not None or "headers" in fields
        else:
            if record.args:
                message = record.getMessage()
            if len(message) > SHORT_TEXT:
                return None
            text = encode_text(message)
            has_own = False
            fields = _NOTHING
            if event is not None:
                fields = event.context
                if event.said is not None:
                    fields = {**fields, **event.said.bound}
                    has_own = True
        if has_own and not cleaner.is_plain(fields):
            return None
        name = record.name
        if self._translate is None:
            line = (
                f'{{"timestamp":"{self._timestamp(record.created)}","level":"{level}",'
                f'"logger":{self._names[name] if name in self._names else self._learn_name(name)},'
                f'"message":{text},"event_id":"{event_id}"{self._constant_text}'
                f"{f',{encode_scalars(fields)[1:]}' if fields else '}'}"
            )
        elif len(name) > SHORT_TEXT or (has_own and not all(map(_is_finite, fields.values()))):
            return None  # a schema may have another place for numbers than for null, which NaN becomes
        else:
            line = encode_scalars(
                self._translate(
                    None,
                    "",
                    {
                        "timestamp": self._timestamp(record.created),
                        "level": level,
                        "logger": name,
                        "message": message,
                        "event_id": event_id,
                        **self._constants,
                        **fields,
                    },
                )
            )
        # Most lines are decided here; what is_whole() looks at it says itself.
        if (
            len(line) <= self._short_bytes
            and "\\" not in line
            and "\x7f" not in line
            and line.isascii()
            and "user_agent" not in fields
        ) or is_whole(line, fields, self._most_bytes):
            return line
        return None

    def _learn_name(self, name: str) -> str:
        if len(name) > SHORT_TEXT:
            raise ValueError("a name that may have to be cut")
        text = encode_text(clean_text(name))
        if len(self._names) < _MOST_NAMES:
            self._names[name] = text
        return text


def _is_finite(value: Any) -> bool:
    return type(value) is not float or math.isfinite(value)
