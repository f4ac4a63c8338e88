"""
`Shortcut`: write most records as JSON at a third of the cost of the chain of `JSONFormatter`.

Write. The shortcut gives the same line as the chain, or leaves the record to the chain. The tests compare the two with
hostile events.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from obs_middleware.logs.line.bound import VARIABLES, bound_contextvars
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.encode import encode_scalars, encode_text, is_whole
from obs_middleware.logs.line.limits import MAX_TEXT, SHORT_TEXT
from obs_middleware.logs.line.nested import THREAD
from obs_middleware.logs.line.record import LEVELS, RECORD_SIZE
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.line.values import clean_text
from obs_middleware.measure.event import current_event
from obs_middleware.measure.ids import is_event_id, new_event_id
from obs_middleware.measure.remembered import Remembered

__all__ = ["Shortcut"]

_NOTHING: Final[Mapping[str, Any]] = {}


class Shortcut:
    """
    A fast way to write a record, for a formatter without processors of the application.

    It takes records without an exception and without ``extra``, whose own fields have plain types and known names, if
    nothing on the line has to be cut.

    Args:
        constants: The fields that are the same on every line; short texts.
        translate: Translates an event into the schema; None for ``flat``.
        most_bytes: The limit of a line in bytes, without its line feed.
        timestamps: Formats the timestamps.
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
        self._names = Remembered(_encode_name)

    def line(self, record: logging.LogRecord, cleaner: Cleaner) -> str | None:  # noqa: C901, PLR0911, PLR0912 -- done for each line, so calls little
        """
        Return the line for *record*, or None if the chain must write it.

        Args:
            record: The log record. No other one is being formatted in this thread.
            cleaner: The cleaner of the chain, which knows the names of the fields.

        Raises:
            Exception: Treat it as None. Causes: a lone surrogate, NaN, arguments that do not fit the message.
        """
        attributes = record.__dict__
        message: Any = record.msg
        level = LEVELS.get(record.levelno, "")
        if (
            type(message) is not str
            or type(record) is not logging.LogRecord  # a subclass may have another text
            or not level
            or record.exc_info
            or record.exc_text
            or record.stack_info
            or (VARIABLES and bound_contextvars())
        ):
            return None
        if len(attributes) == RECORD_SIZE and "event_id" not in attributes:
            event_id = attributes["event_id"] = new_event_id()
        else:
            # Set by a handler before us, or given by the call, which may be anything. No other attribute is allowed.
            event_id = attributes.get("event_id", "")
            if len(attributes) > RECORD_SIZE + 1 or type(event_id) is not str or not is_event_id(event_id):
                return None
        event = current_event.get()
        if event is not None and message is event.message:
            if event.error is not None or event.refusal is not None:
                return None
            text = f'"{message}"'  # contains nothing to escape
            fields: Mapping[str, Any] = event.line()
            has_own = event.said is not None or "headers" in fields
        else:
            if record.args:
                THREAD.depth = 1  # an argument's own code may log; `Formatting` would cost six calls
                try:
                    message = record.getMessage()
                finally:
                    THREAD.depth = 0
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
                f'"logger":{self._names[name]},'
                f'"message":{text},"event_id":"{event_id}"{self._constant_text}'
                f"{f',{encode_scalars(fields)[1:]}' if fields else '}'}"
            )
        elif len(name) > SHORT_TEXT or (has_own and not all(map(_is_finite, fields.values()))):
            return None  # NaN becomes null, which may have another place than numbers
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
        # Decides most lines without calling is_whole(), which checks the same.
        if (
            len(line) <= self._short_bytes
            and "\\" not in line
            and "\x7f" not in line
            and line.isascii()
            and "user_agent" not in fields
        ) or is_whole(line, fields, self._most_bytes):
            return line
        return None


def _encode_name(name: str) -> str:
    if len(name) > SHORT_TEXT:
        raise ValueError("a name that may have to be cut")
    return encode_text(clean_text(name))


def _is_finite(value: Any) -> bool:
    return type(value) is not float or math.isfinite(value)
