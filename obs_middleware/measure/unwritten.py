"""
Find out whether the logging module would write a request line, and say so once in development if it would not.

Measure. The system checks do the same, but only with the app in ``INSTALLED_APPS``, and not in every server.
"""

from __future__ import annotations

import logging
from typing import Literal

from obs_middleware.conf import Settings, django_setting

__all__ = ["mark_as_told", "obstacle", "warn_if_unwritten"]

_is_told = False


def obstacle(name: str | None) -> Literal["level", "handlers"] | None:
    """Return what keeps an ordinary request line from being written by the logger *name*; None if nothing does."""
    logger = logging.getLogger(name)
    if not logger.isEnabledFor(logging.INFO):
        return "level"
    return None if logger.hasHandlers() else "handlers"


def mark_as_told() -> None:
    """Do not warn in this process, because a system check has reported the same."""
    global _is_told  # noqa: PLW0603 -- once per process
    _is_told = True


def warn_if_unwritten(settings: Settings) -> None:
    """
    Warn once per process, with ``DEBUG``, that ``LOGGING`` is missing and no request line is written.

    Without any handler, Python's logging module writes the warning to stderr. Nothing is said if ``LOGGING_CONFIG`` is
    None, because such a project configures logging itself, perhaps later.
    """
    if _is_told or not settings.enabled or not django_setting("DEBUG", default=False):
        return
    if django_setting("LOGGING") or not django_setting("LOGGING_CONFIG") or obstacle(settings.logger) is None:
        return
    mark_as_told()
    logging.getLogger("obs_middleware").warning(
        "LOGGING is missing in your settings, so no request line is written. Add to your settings: "
        'from obs_middleware import logging_config; LOGGING = logging_config(format="auto")'
    )
