"""
`Shortcut`: write most records as JSON at a third of the cost of the chain of `JSONFormatter`.

Write. The shortcut gives the same line as the chain, or leaves the record to the chain. The tests compare the two with
hostile events.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from obs_middleware.logs.line import encode
from obs_middleware.logs.line.clean import Cleaner
from obs_middleware.logs.line.encode import encode_text, is_whole
from obs_middleware.logs.line.limits import MAX_TEXT, SHORT_TEXT
from obs_middleware.logs.line.record import LEVELS
from obs_middleware.logs.line.shapes import Make, Shapes
from obs_middleware.logs.line.source import Frame
from obs_middleware.logs.line.timestamps import Timestamps
from obs_middleware.logs.line.usual import usual_fields
from obs_middleware.logs.line.values import clean_text
from obs_middleware.measure.remembered import Remembered

__all__ = ["Shortcut"]

_HEAD: Final = ("timestamp", "level", "logger", "message", "event_id")
"""The fields that every line has before its constants."""

_OURS: Final = frozenset({"timestamp", "level", "event_id", "request_id", "outcome"})
"""Fields with a text of this package: checked before, or one of a few words."""


class Shortcut:
    """
    A fast way to write a record, for a formatter without processors of the application.

    It takes the records that `usual_fields` takes, if the application's fields have plain types and known names, and
    nothing on the line has to be cut. A flat line without fields of the application needs no plan if orjson is
    installed, which encodes a dict in less time than a plan takes.

    Args:
        constants: The fields that are the same on every line; short texts.
        make: Makes the plans of the schema. See `Shapes`.
        is_flat: The schema is ``flat``.
        cleaner: The cleaner of the chain, which knows the names of the fields.
        most_bytes: The limit of a line in bytes, without its line feed.
        timestamps: Formats the timestamps.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only
        self,
        *,
        constants: Mapping[str, str],
        make: Make,
        is_flat: bool,
        cleaner: Cleaner,
        most_bytes: int,
        timestamps: Timestamps,
    ) -> None:
        constants = {name: clean_text(text) for name, text in constants.items()}
        self._planned = Shapes(make, cleaner, Frame(most_bytes, _HEAD, constants, _OURS)).line
        self._encode = encode.encode_known if is_flat else None
        self._constants = "".join(f',"{name}":{encode_text(text)}' for name, text in constants.items())
        self._most_bytes = most_bytes
        self._short_bytes = min(most_bytes, MAX_TEXT)
        self._timestamp = timestamps.text
        self._names = Remembered(_encode_name)

    def line(self, record: logging.LogRecord) -> str | None:
        """
        Return the line for *record*, or None if the chain must write it.

        Args:
            record: The log record. No other one is being formatted in this thread.

        Raises:
            Exception: Treat it as None. Causes: a lone surrogate, NaN, arguments that do not fit the message.
        """
        usual = usual_fields(record)
        if usual is None:
            return None
        message, is_line, fields, has_own = usual
        timestamp = self._timestamp(record.created)
        level = LEVELS[record.levelno]
        event_id: str = record.event_id  # type: ignore[attr-defined]  # usual_fields() has set it
        encode_known = self._encode
        if encode_known is None or has_own:
            return self._planned(fields, (timestamp, level, record.name, message, event_id))
        text = f'"{message}"' if is_line else encode_text(message)  # the line of a unit has nothing to escape
        line = (
            f'{{"timestamp":"{timestamp}","level":"{level}","logger":{self._names[record.name]},'
            f'"message":{text},"event_id":"{event_id}"{self._constants}'
            f"{f',{encode_known(fields)[1:]}' if fields else '}'}"
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
