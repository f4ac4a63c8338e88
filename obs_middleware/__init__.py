"""
One structured log line per Django request, exactly once, however it ends.

These are the names that a project needs most. Importing them reads no settings, so a settings module may import them.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obs_middleware.counters import stats
    from obs_middleware.logs.config import logging_config, structlog_config
    from obs_middleware.measure.context import annotate, bind, carry, get_request_id, timed, unbind
    from obs_middleware.measure.running import in_flight

__all__ = [
    "annotate",
    "bind",
    "carry",
    "get_request_id",
    "in_flight",
    "logging_config",
    "stats",
    "structlog_config",
    "timed",
    "unbind",
]

if not TYPE_CHECKING:  # a type checker would accept any name
    # Imported when first used: the console script needs none of these names, nor asyncio and logging.
    _MODULES = {
        "annotate": "measure.context",
        "bind": "measure.context",
        "carry": "measure.context",
        "get_request_id": "measure.context",
        "in_flight": "measure.running",
        "logging_config": "logs.config",
        "stats": "counters",
        "structlog_config": "logs.config",
        "timed": "measure.context",
        "unbind": "measure.context",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value  # found without this function from now on
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
