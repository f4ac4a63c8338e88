"""`obs_middleware.logs.sinks.weak`: methods that keep no object alive."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Final

from obs_middleware.logs.sinks.weak import WeakMethods


class Owner:
    def __init__(self, called: list[str], name: str) -> None:
        self.called = called
        self.name = name

    def method(self) -> None:
        self.called.append(self.name)


def test_the_methods_of_living_objects_are_called() -> None:
    called: list[str] = []
    methods = WeakMethods()
    owners = [Owner(called, name) for name in ("one", "two", "three")]
    for owner in owners:
        methods.add(owner.method)
        methods.add(owner.method)
    del owners[1], owner
    gc.collect()
    methods()

    assert called == ["one", "three"]


AT_EXIT: Final = """
import logging, sys
from obs_middleware.logs.handlers import NonBlockingHandler

def kept(handler=None):
    return handler, logging

for _ in range(3):
    handler = NonBlockingHandler(file="/dev/null", flush_on_sigterm=True)
    handler.handle(logging.makeLogRecord({"msg": "x"}))
    handler.flush()
handler.cycle = [handler, kept]
sys.modules[__name__].cycle = [handler]
"""


def test_the_end_of_the_interpreter_is_silent() -> None:
    result = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=60, check=True)

    assert result.stderr == ""
