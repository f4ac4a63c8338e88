"""A handler with a queue, for the tests of `obs_middleware.logs.sinks`: streams that wait, and functions replaced."""

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
from obs_middleware.logs.sinks import file, stream

# Python 3.12 warns of what these tests are about.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PATIENCE: Final = 20
Make = Callable[..., NonBlockingHandler]


class Gate(io.StringIO):
    """
    A stream that lets nothing through while it is shut.

    Attributes:
        waiting: A request waits before it.
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
    """Wait for those that a handler has not waited for."""
    for thread in threading.enumerate():
        if thread.name == "obs_middleware sink":
            thread.join(PATIENCE)


def replace(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **functions: Any) -> None:
    """Replace functions of *module* for the sinks alone: other threads use it too."""
    own = SimpleNamespace(**{**vars(module), **functions})
    for sink in (file, stream):
        if hasattr(sink, module.__name__):
            monkeypatch.setattr(sink, module.__name__, own)


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of the sizes of what is written to descriptors from now on."""
    seen: list[int] = []
    write = os.write

    def writing(descriptor: int, data: Any) -> int:
        seen.append(len(data))
        return write(descriptor, data)

    replace(monkeypatch, os, write=writing)
    return seen
