"""
Follow the setting ``OUTGOING``: patch the clients that the site uses.

Work. Nothing is imported for it. A client that is imported later is patched then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from obs_middleware.conf import Settings, keep_configured
from obs_middleware.measure.event import Event
from obs_middleware.when_imported import call_when_imported
from obs_middleware.work.outgoing import aiohttp, httpx, stdlib
from obs_middleware.work.outgoing.headers import HEADERS
from obs_middleware.work.patching import Patches

__all__ = ["prepare"]


def prepare() -> None:
    """Follow the setting ``OUTGOING`` from now on. Called when the app is ready."""
    keep_configured(_follower, lenient=True)


class _Follower:
    def configure(self, settings: Settings) -> None:
        HEADERS.configure(settings)
        Event.counts_calls = settings.outgoing is not None
        if settings.outgoing is None:
            _patches.undo()
            return
        for name, function in _CLIENTS.items():
            call_when_imported(name, function)


def _patch(function: Callable[[Patches], None]) -> None:
    if Event.counts_calls:  # the setting may have changed since
        function(_patches)


_CLIENTS: Final[Mapping[str, Callable[[], None]]] = {
    "http.client": partial(_patch, stdlib.patch),
    "urllib3.connection": partial(_patch, stdlib.patch_urllib3),
    "httpx": partial(_patch, httpx.patch),
    "aiohttp": partial(_patch, aiohttp.patch),
}
"""The modules that make calls, and the function that patches each."""

_follower: Final = _Follower()
_patches: Final = Patches()
