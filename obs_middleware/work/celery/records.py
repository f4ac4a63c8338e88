"""
Keep the ``LOGGING`` of the site in a worker, and fold Celery's own lines into the line of the task.

Work.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from celery import signals

from obs_middleware.conf import django_setting
from obs_middleware.measure.told import TELLERS, Announced, Told
from obs_middleware.work import unit
from obs_middleware.work.celery.attempts import running

__all__ = ["keep_logging", "prepare"]

_NAMED: Final = frozenset({"task", "task_id", "outcome"})
_EXPLAINED: Final = _NAMED | {"error_message"}

_TOLD: Final = {
    "raised unexpected": (frozenset({"error", "timeout"}), _EXPLAINED),
    "raised expected": (frozenset({"error"}), _EXPLAINED),
    "rejected": (frozenset({"rejected"}), _EXPLAINED),
    "ignored": (frozenset({"ignored"}), _NAMED),
}
"""
Celery's word for an ending -> the outcomes and the fields of the line that say the same.

Not a retry: Celery's line says when the next attempt begins.
"""
_SUCCEEDED: Final = (frozenset({"ok"}), _NAMED)


def prepare() -> None:
    """
    Take over the records, and the logging of workers and ``beat``, unless the site does without ``LOGGING``.

    A worker replaces the handlers of the root logger unless somebody receives ``setup_logging``.
    """
    if django_setting("LOGGING"):
        signals.setup_logging.connect(keep_logging, weak=False, dispatch_uid="obs_middleware.keep_logging")
    TELLERS["celery.worker.strategy"] = _announced
    TELLERS["celery.app.trace"] = _told


def keep_logging(**_: Any) -> None:
    """Do nothing. Receives ``setup_logging``; that there is a receiver tells Celery to leave logging alone."""


def _announced(record: logging.LogRecord) -> Announced | None:
    """Return the line that *record*, "Task ... received", announces."""
    data = getattr(record, "data", None)
    logger = unit.line_logger()
    if record.levelno != logging.INFO or not isinstance(data, dict) or "eta" not in data or logger is None:
        return None
    return Announced(logger, _NAMED)


def _told(record: logging.LogRecord) -> Told | None:
    """Return the line that says the same as *record*, of how a task has ended."""
    data = getattr(record, "data", None)
    event = running(data.get("id")) if isinstance(data, dict) else None
    if event is None or data is None:
        return None
    found = _SUCCEEDED if "runtime" in data else _TOLD.get(str(data.get("description")))
    return None if found is None else Told(event, *found)
