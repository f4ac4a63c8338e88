"""The application that a server imports: the site of the row in the environment variable ``BENCH_ROW``."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from benchmarks.rows import ROWS
from benchmarks.site import put_in_force

__all__ = ["application"]

_mode = os.environ["BENCH_MODE"]

put_in_force(
    ROWS[os.environ["BENCH_ROW"]],
    _mode,
    os.environ["BENCH_FILE"],
    os.environ["BENCH_HANDLER"],
    # It sets Content-Length. Without that, servers close the connection or send chunks.
    {"MIDDLEWARE": ["django.middleware.common.CommonMiddleware"]},
)
application = get_asgi_application() if _mode == "async" else get_wsgi_application()
