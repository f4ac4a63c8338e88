"""Configure Django in this process as a row says. This cannot be undone."""

from __future__ import annotations

from collections.abc import Sequence

import django
from django.conf import settings

from benchmarks.rows import HANDLERS, Row

__all__ = ["put_in_force"]


def put_in_force(row: Row, mode: str, file: str, handler: str, below: Sequence[str] = ()) -> None:
    """
    Configure Django in this process as *row* says.

    Args:
        row: The configuration.
        mode: ``async`` or ``sync``, the kind of middleware chain.
        file: The log file.
        handler: A key of `HANDLERS`.
        below: More middleware, listed after that of the row.
    """
    if row.before is not None:
        row.before()
    settings.configure(
        **{
            "SECRET_KEY": "of a benchmark",
            "ALLOWED_HOSTS": ["*"],
            "ROOT_URLCONF": "benchmarks.drivers",
            "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            "MIDDLEWARE": [*([row.middleware[mode]] if row.middleware else []), *below],
            "LOGGING_CONFIG": "logging.config.dictConfig",
            "LOGGING": {"version": 1} if row.logging is None else row.logging(file, HANDLERS[handler]),
            **row.settings,
        }
    )
    django.setup()
    if row.after is not None:
        row.after()
