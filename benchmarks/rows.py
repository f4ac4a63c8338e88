"""
The configurations that are compared: one row of the table each.

A row is what a site would write into its settings, and nothing else, so a process that has put it in force is that
site. Every row that writes a line writes it to a real file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from obs_middleware import logging_config

__all__ = ["HANDLERS", "ROWS", "SEED", "Row", "seed_logging"]

HANDLERS: Final = {"watched": "logging.handlers.WatchedFileHandler", "plain": "logging.FileHandler"}
"""What the lines of others are written with; ``watched`` stands a rotation, as ours does, ``plain`` does not."""

TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
"""A line of text as one writes it into a file: what our own format ``text`` has, too."""

OURS: Final = "obs_middleware.middleware.TimingMiddleware"


@dataclass(frozen=True)
class Row:
    """
    One configuration.

    Attributes:
        title: What the table calls it.
        middleware: ``MIDDLEWARE`` of the site: for async and for sync chains.
        logging: File and handler class -> ``LOGGING``; None for a site without a log.
        settings: Further settings.
        before: Called before anything is set up.
        after: Called when Django is set up.
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
    """Return the ``LOGGING`` that one would write by hand: the root logger, a file, a formatter."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter or {"format": TEXT}},
        "handlers": {"file": {"class": handler, "filename": file, "formatter": "line"}},
        "root": {"handlers": ["file"], "level": "INFO"},
    }


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
        raise RuntimeError("It is too late to hide orjson: what would use it is imported already.")
    sys.modules["orjson"] = None  # type: ignore[assignment]  # how Python itself marks what cannot be imported


SEED: Final = {"async": "benchmarks.seed.AsyncSeed", "sync": "benchmarks.seed.SyncSeed"}
"""Kind of chain -> the seed's middleware for it."""
_OURS: Final = {"async": OURS, "sync": OURS}
_APP: Final = {"INSTALLED_APPS": ["obs_middleware"]}

ROWS: Final[dict[str, Row]] = {
    "nothing": Row("nothing", lines=0),
    "seed": Row("the seed, text", SEED, seed_logging),
    "seed-plain": Row("the seed, text, no rotation", SEED, _with("plain")),
    "seed-bare": Row("the seed, the message alone, no rotation", SEED, _with("plain", {"format": "%(message)s"})),
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
}
"""Name -> row; ``nothing`` is what is subtracted from each, ``seed`` is the unit."""
