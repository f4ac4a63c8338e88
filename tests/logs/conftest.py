"""A site whose `LOGGING` a test chooses, and handlers that write to a file."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disks import Write

from obs_middleware import logging_config
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.logs.sinks import file
from obs_middleware.logs.sinks.inotify import Watch


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


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture(name="watch", params=["watch", "no watch"])
def _watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the kernel tells of renamed files: each test must pass with this and without."""

    def none() -> Watch:
        raise OSError("none")

    if request.param == "no watch":
        monkeypatch.setattr(file, "Watch", none)
        return False
    return True


@pytest.fixture(name="handler")
def _handler(path: Path, watch: bool) -> Iterator[LineFileHandler]:
    handler = LineFileHandler(path)
    yield handler
    handler.close()


@pytest.fixture(name="write")
def _write(handler: LineFileHandler) -> Write:
    """Write a line."""

    def write(text: Any, **attributes: Any) -> bool:
        return handler.handle(logging.makeLogRecord({"msg": text, **attributes}))

    return write
