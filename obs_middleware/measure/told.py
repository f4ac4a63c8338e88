"""
Which records of other packages say only what the line of a unit of work says.

Measure, a leaf. The integration with a package registers a function; `obs_middleware.logs.fold` asks it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from obs_middleware.measure.event import Event

__all__ = ["TELLERS", "Announced", "Told"]


class Told(NamedTuple):
    """
    A record that says only what the line of a running unit is going to say.

    Attributes:
        event: The event of the unit.
        outcomes: The line says the same only if it has one of these.
        fields: The fields of the line that say it, apart from the exception of the record.
    """

    event: Event
    outcomes: frozenset[str]
    fields: frozenset[str]


class Announced(NamedTuple):
    """
    A record that only announces a unit, whose line is written later and perhaps by another process.

    Attributes:
        logger: The logger of the line.
        fields: The fields of the line that say the same.
    """

    logger: logging.Logger
    fields: frozenset[str]


TELLERS: Final[dict[str, Callable[[logging.LogRecord], Told | Announced | None]]] = {}
"""Name of a logger -> function that returns what tells a record of this logger, or None: the record goes out."""
