"""
The middleware under test: `TimingMiddleware`, or another one from the environment.

    NO_HARM_MIDDLEWARE  dotted paths, separated by commas
    NO_HARM_POSITION    "first" in MIDDLEWARE (the default) or "last", as its documentation asks
    NO_HARM_APPS        the apps that it needs in INSTALLED_APPS, separated by commas
    NO_HARM_SETTINGS    "module:NAME" of a dict of further Django settings
    NO_HARM_HEADERS     response headers that it may add, separated by commas; the default is "X-Request-ID"
    NO_HARM_SETUP       "module:function", called before each test
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, Final


def _names(variable: str, default: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in os.environ.get(variable, default).split(",") if name.strip())


def _object(variable: str, default: Any) -> Any:
    module, _, name = os.environ.get(variable, "").partition(":")
    return getattr(importlib.import_module(module), name) if name else default


IS_OURS: Final = "NO_HARM_MIDDLEWARE" not in os.environ
MIDDLEWARE: Final = _names("NO_HARM_MIDDLEWARE", "obs_middleware.middleware.TimingMiddleware")
APPS: Final = _names("NO_HARM_APPS", "obs_middleware" if IS_OURS else "")
HEADERS: Final = frozenset(name.lower() for name in _names("NO_HARM_HEADERS", "X-Request-ID"))
IS_FIRST: Final = os.environ.get("NO_HARM_POSITION", "first") == "first"
FURTHER_SETTINGS: Final[dict[str, Any]] = _object("NO_HARM_SETTINGS", {})


def setup() -> None:
    """Call the set-up function of the middleware."""
    function: Callable[[], None] | None = _object("NO_HARM_SETUP", None)
    if function is not None:
        function()
