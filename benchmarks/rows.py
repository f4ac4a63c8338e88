"""
The configurations to compare, one for each row of the tables.

A row has the settings that a site would write, and nothing else. Every row that writes lines writes them to a real
file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from obs_middleware import logging_config

__all__ = ["HANDLERS", "ROWS", "SEED", "Row", "seed_logging", "unchanged"]

HANDLERS: Final = {"watched": "logging.handlers.WatchedFileHandler", "plain": "logging.FileHandler"}
"""Handlers for the lines of other packages. ``watched`` survives a log rotation, as ours does; ``plain`` does not."""

TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
"""The usual format of a text line. Our format ``text`` has the same parts."""

OURS: Final = "obs_middleware.middleware.TimingMiddleware"


@dataclass(frozen=True)
class Row:
    """
    One configuration.

    Attributes:
        title: The name in the tables.
        middleware: The middleware for ``async`` and for ``sync`` chains.
        logging: Returns ``LOGGING`` for a file and a handler class; None for a site without a log.
        settings: More settings.
        before: Called before Django is configured.
        after: Called after Django is set up.
        lines: How many lines a request writes.
    """

    title: str
    middleware: Mapping[str, str] = field(default_factory=dict)
    logging: Callable[[str, str], dict[str, Any]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    lines: int = 1


def seed_logging(file: str, handler: str, formatter: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a handwritten ``LOGGING``: the root logger, a file, a formatter."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter or {"format": TEXT}},
        "handlers": {"file": {"class": handler, "filename": file, "formatter": "line"}},
        "root": {"handlers": ["file"], "level": "INFO"},
    }


def unchanged(_: Any, __: str, event_dict: Any) -> Any:
    """Process a line as the cheapest processor of a project does."""
    return event_dict


def _with(handler: str, formatter: Mapping[str, Any] | None = None) -> Callable[[str, str], dict[str, Any]]:
    return lambda file, _: seed_logging(file, HANDLERS[handler], formatter)


def _ours(handler: str | None = None, **keywords: Any) -> Callable[[str, str], dict[str, Any]]:
    def config(file: str, _: str) -> dict[str, Any]:
        result = logging_config(service="bench", file=file, **keywords)
        if handler is not None:
            result["handlers"]["obs"]["class"] = HANDLERS[handler]
        return result

    return config


def _hide_orjson() -> None:
    if "obs_middleware.logs.line.encode" in sys.modules:
        raise RuntimeError("cannot hide orjson: the module that uses it is already imported")
    sys.modules["orjson"] = None  # type: ignore[assignment]  # Python marks modules that cannot be imported like this


SEED: Final = {"async": "benchmarks.seed.AsyncSeed", "sync": "benchmarks.seed.SyncSeed"}
"""The middleware of the seed for each kind of chain."""
_OURS: Final = {"async": OURS, "sync": OURS}
_APP: Final = {"INSTALLED_APPS": ["obs_middleware"]}

ROWS: Final[dict[str, Row]] = {
    "nothing": Row("nothing", lines=0),
    "seed": Row("a line of text", SEED, seed_logging),
    "seed-plain": Row("a line of text, no rotation", SEED, _with("plain")),
    "seed-bare": Row("the message alone, no rotation", SEED, _with("plain", {"format": "%(message)s"})),
    "ours": Row("ours, JSON with orjson", _OURS, _ours(), _APP),
    "ours-std": Row("ours, JSON without orjson", _OURS, _ours(), _APP, before=_hide_orjson),
    "ours-excluded": Row(
        "ours, excluded", _OURS, _ours(), {**_APP, "OBS_MIDDLEWARE": {"EXCLUDE": ["^/items/"]}}, lines=0
    ),
    "ours-sampled": Row(
        "ours, sampled out", _OURS, _ours(), {**_APP, "OBS_MIDDLEWARE": {"SAMPLE_RATE": 1e-9}}, lines=0
    ),
    "ours-text": Row("ours, text", _OURS, _ours(format="text"), _APP),
    "ours-plain": Row("ours, JSON with orjson, no rotation", _OURS, _ours("plain"), _APP),
    "ours-ecs": Row("ours, JSON in ECS", _OURS, _ours(schema="ecs"), _APP),
    "ours-otel": Row("ours, JSON for OpenTelemetry", _OURS, _ours(schema="otel"), _APP),
    "ours-datadog": Row("ours, JSON for Datadog", _OURS, _ours(schema="datadog"), _APP),
    "ours-gcp": Row("ours, JSON for Google Cloud", _OURS, _ours(schema="gcp"), _APP),
    "ours-processor": Row("ours, with a processor of your own", _OURS, _ours(processors=[unchanged]), _APP),
}
"""The rows by name. ``nothing`` is subtracted from the others, and ``seed`` is the unit."""
