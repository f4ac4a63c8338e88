"""A site whose `LOGGING` a test chooses, and handlers that write to a file."""

from __future__ import annotations

import io
import itertools
import logging
import logging.config
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
from disks import Write

from obs_middleware import logging_config
from obs_middleware.logs.handlers import LineFileHandler
from obs_middleware.logs.sinks import file
from obs_middleware.logs.sinks.inotify import Watch


@pytest.fixture(name="configured")
def _configured() -> Iterator[Any]:
    """Apply a LOGGING dict, and give the text that it wrote; everything is put back afterwards."""
    loggers = [logging.getLogger(name) for name in logging_config()["loggers"]]
    kept = [(log, log.handlers[:], log.filters[:], log.level, log.propagate) for log in loggers]

    def configure(**options: Any) -> io.StringIO:
        config = logging_config(**options)
        logging.config.dictConfig(config)
        stream = io.StringIO()
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        return stream

    yield configure
    for log, handlers, filters, level, propagate in kept:
        log.handlers[:], log.filters[:], log.level, log.propagate = handlers, filters, level, propagate


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture(name="watch", params=[pytest.param("watch", marks=needs.INOTIFY), "no watch"])
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
    """Write a line, 20 ms after the one before, so that its handler looks up the name also without a watch."""
    seconds = itertools.count(time.time(), 0.02)

    def write(text: Any, **attributes: Any) -> bool:
        return handler.handle(logging.makeLogRecord({"msg": text, "created": next(seconds), **attributes}))

    return write
