"""
The unit of comparison: the bare middleware that this package began with, and a version of it without ``async``.

Under WSGI, Django would bridge to the async one at thirty times its cost, so a site would use the sync one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction

__all__ = ["AsyncSeed", "SyncSeed"]


class AsyncSeed:
    """Log how long a request took."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Awaitable[Any]]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)  # without it, Django would not convert exceptions

    async def __call__(self, request: Any) -> Any:
        """Await the next layer and log how long it took."""
        start_time = time.perf_counter()
        response = await self.get_response(request)
        duration = time.perf_counter() - start_time
        logging.info(f"Request took {duration:.4f} seconds")  # noqa: G004 -- unchanged
        return response


class SyncSeed:
    """The same middleware for a sync chain."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Call the next layer and log how long it took."""
        start_time = time.perf_counter()
        response = self.get_response(request)
        duration = time.perf_counter() - start_time
        logging.info(f"Request took {duration:.4f} seconds")  # noqa: G004 -- unchanged
        return response
