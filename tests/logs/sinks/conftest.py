"""Handlers with a queue, and streams for them."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from queued import Gate, Make, join_threads

from obs_middleware import counters
from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.sinks import nonblocking


@pytest.fixture(name="make")
def _make() -> Iterator[Make]:
    """Make a handler of the logger ``sink``; all are closed afterwards."""
    logger = logging.getLogger("sink")
    logger.setLevel(logging.INFO)
    registered = counters._sinks.copy()
    made: list[NonBlockingHandler] = []

    def make(stream: Any = "stdout", **options: Any) -> NonBlockingHandler:
        handler = NonBlockingHandler(stream=stream, **options)
        made.append(handler)
        logger.addHandler(handler)
        return handler

    yield make
    for handler in made:
        logger.removeHandler(handler)
        handler.close()
    counters._sinks[:] = registered  # other tests count the lines of the others
    join_threads()
    assert not [thread for thread in threading.enumerate() if thread.name == "obs_middleware sink"]


@pytest.fixture(name="gate")
def _gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[int, Any]]:
    """A pipe: the descriptor to read from, and a stream to write to. The fixture closes both."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


@pytest.fixture(name="quick")
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonblocking, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(nonblocking, "_LONGEST_PAUSE", 0.002)


@pytest.fixture(name="on_sigterm")
def _on_sigterm() -> Iterator[Callable[[Any], None]]:
    kept = signal.getsignal(signal.SIGTERM)

    def handle(handler: Any) -> None:
        signal.signal(signal.SIGTERM, handler)

    yield handle
    signal.signal(signal.SIGTERM, kept)
