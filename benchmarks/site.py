"""Configure Django in this process as a row says. This cannot be undone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import django
from django.conf import settings

from benchmarks import ordinary
from benchmarks.rows import HANDLERS, Row

__all__ = ["mode_of", "put_in_force", "settings_of"]


def mode_of(driver: str) -> str:
    """Return the kind of middleware chain that a driver of this name needs: ``async`` or ``sync``."""
    return "async" if driver.startswith(("async", "ASGI")) else "sync"


def settings_of(driver: str) -> Mapping[str, Any]:
    """Return the settings that a driver of this name needs in addition to those of a row."""
    return ordinary.SETTINGS if driver == ordinary.NAME else {}


def put_in_force(row: Row, mode: str, file: str, handler: str, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    """
    Configure Django in this process as *row* says.

    Args:
        row: The configuration.
        mode: ``async`` or ``sync``, the kind of middleware chain.
        file: The log file.
        handler: A key of `HANDLERS`.
        more: More settings. Middleware and apps are listed after those of the row.
    """
    if row.before is not None:
        row.before()
    settings.configure(
        **{
            "SECRET_KEY": "of a benchmark",
            "ALLOWED_HOSTS": ["*"],
            "ROOT_URLCONF": "benchmarks.drivers",
            "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            "LOGGING_CONFIG": "logging.config.dictConfig",
            "LOGGING": {"version": 1} if row.logging is None else row.logging(file, HANDLERS[handler]),
            **row.settings,
            **more,
            "MIDDLEWARE": [*([row.middleware[mode]] if row.middleware else []), *more.get("MIDDLEWARE", ())],
            "INSTALLED_APPS": [*row.settings.get("INSTALLED_APPS", ()), *more.get("INSTALLED_APPS", ())],
        }
    )
    django.setup()
    if row.after is not None:
        row.after()
