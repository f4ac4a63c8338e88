"""
Say once, on the logger ``obs_middleware``, that something of ours failed.

A service of the house, used by both wings: what fails inside this package never reaches the application, and a cause
that repeats in every request must not fill the log either.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["report_once"]

_MOST_CAUSES: Final = 1000

_reported: set[tuple[str, str]] = set()


def report_once(where: str, error: BaseException) -> None:
    """
    Log *error* with its traceback as a warning, the first time it is met at *where*; never raise.

    A cause is the place and the class of the exception. At most 1000 causes are remembered; beyond that all are silent.
    """
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
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001, S110 -- the log itself is broken: there is nowhere left to say it
        pass
