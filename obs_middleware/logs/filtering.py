"""
What the filters share: which handler calls them, and which records are about a response.

Write.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import FrameType
from typing import Final

import django

__all__ = ["handler_of", "is_about_a_response"]

_DJANGO: Final = str(Path(django.__file__).parent)
"""Only code in this folder writes records about responses."""


def handler_of(found: logging.Filter) -> logging.Handler | None:
    """Return the handler that is calling the filter *found*: logging does not say, and many may share it."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 -- of logging.Filterer.filter, or of an override
    while frame is not None:
        handler = frame.f_locals.get("self")
        if isinstance(handler, logging.Handler):
            return handler if any(one is found for one in handler.filters) else None
        frame = frame.f_back
    return None


def is_about_a_response(record: logging.LogRecord) -> bool:
    """Return whether *record* is one of Django's own about a response; an application may use these loggers too."""
    name = record.name
    is_named = name == "django.request" or name.startswith("django.security.")
    return is_named and hasattr(record, "status_code") and record.pathname.startswith(_DJANGO)
