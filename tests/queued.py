"""Helpers for tests of handlers with a queue: a stream that blocks, and replaced functions of the sinks."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pytest

from obs_middleware.logs.handlers import NonBlockingHandler
from obs_middleware.logs.sinks import file, pipes, stream

# These tests fork while threads run. Python 3.12 and newer warn of that.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PATIENCE: Final = 20
"""Seconds that a test waits for a thread before it fails."""
Make = Callable[..., NonBlockingHandler]


class Gate(io.StringIO):
    """
    A stream whose `write` blocks until the gate is opened.

    Attributes:
        opened: Set it to open the gate.
        waiting: Set as soon as a write waits at the gate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.waiting = threading.Event()

    def write(self, text: str) -> int:
        self.waiting.set()
        assert self.opened.wait(PATIENCE)
        return super().write(text)

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


def log(*messages: object) -> None:
    for message in messages:
        logging.getLogger("sink").info("%s", message)


def join_threads() -> None:
    """Wait until the threads of all handlers have ended, also of handlers that gave up waiting."""
    for thread in threading.enumerate():
        if thread.name == "obs_middleware sink":
            thread.join(PATIENCE)


def replace(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **functions: Any) -> None:
    """Replace functions of *module* in the sinks only, because other threads use the module too."""
    own = SimpleNamespace(**{**vars(module), **functions})
    for sink in (file, pipes, stream):
        if hasattr(sink, module.__name__):
            monkeypatch.setattr(sink, module.__name__, own)


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which every later write of a sink appends its size in bytes."""
    seen: list[int] = []
    write = os.write

    def writing(descriptor: int, data: Any) -> int:
        seen.append(len(data))
        return write(descriptor, data)

    replace(monkeypatch, os, write=writing)
    return seen
