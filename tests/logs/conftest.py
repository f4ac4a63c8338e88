"""A site whose `LOGGING` a test chooses."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from obs_middleware import logging_config


@pytest.fixture(name="configured")
def _configured() -> Iterator[Any]:
    """Apply a LOGGING dict, and give the text that it wrote; everything is put back afterwards."""
    names = ("django", "django.server", "django.channels.server", "uvicorn.access", "gunicorn.access", "granian.access")
    kept = {name: (log := logging.getLogger(name), log.handlers[:], log.level, log.propagate) for name in names}

    def configure(**options: Any) -> io.StringIO:
        config = logging_config(**options)
        logging.config.dictConfig(config)
        stream = io.StringIO()
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        return stream

    yield configure
    for log, them, level, propagate in kept.values():
        log.handlers[:], log.level, log.propagate = them, level, propagate
