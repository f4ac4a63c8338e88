"""A row becomes the site of this process, once; there is no way back."""

from __future__ import annotations

from collections.abc import Sequence

import django
from django.conf import settings

from benchmarks.rows import HANDLERS, Row

__all__ = ["put_in_force"]


def put_in_force(row: Row, mode: str, file: str, handler: str, below: Sequence[str] = ()) -> None:
    """
    Make this process the site of *row*.

    Args:
        row: The configuration.
        mode: ``async`` or ``sync``: what kind of chain it is to be.
        file: Where lines go.
        handler: One of `HANDLERS`.
        below: Middleware that stands below that of the row.
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
