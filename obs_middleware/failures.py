"""
Report once, on the logger ``obs_middleware``, that something in this package failed.

A leaf that every wing may use. A failure inside this package never reaches the application, and a cause that repeats
in every request must not fill the log.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["raise_interrupt", "report_once"]

_MOST_CAUSES: Final = 1000
_reported: set[tuple[str, str]] = set()


def raise_interrupt(error: BaseException) -> None:
    """
    Raise *error* again if it ends the process; otherwise do nothing.

    Call it first in an ``except BaseException`` block that reports nothing.

    Raises:
        KeyboardInterrupt, SystemExit: *error* is one.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error


def report_once(where: str, error: BaseException) -> None:
    """
    Log *error* with its traceback as a warning, the first time it happens at *where*.

    Call it first in an ``except BaseException`` block. It raises an interrupt of the process again, and nothing else. A
    cause is the place and the class of the exception. At most 1000 causes are remembered;
    after that, new ones are not reported.

    Raises:
        KeyboardInterrupt, SystemExit: *error* is one.
    """
    raise_interrupt(error)
    cause = (where, type(error).__qualname__)
    if cause in _reported or len(_reported) >= _MOST_CAUSES:
        return
    _reported.add(cause)
    try:
        logging.getLogger("obs_middleware").warning(
            "%s failed, the request was not affected; further failures of this kind are not reported",
            where,
            exc_info=error,
        )
    except BaseException as failure:  # noqa: BLE001 -- a foreign handler may raise anything
        raise_interrupt(failure)
