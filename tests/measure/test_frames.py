"""`obs_middleware.measure.frames`: a look at all threads neither stops the process nor leaves a trace in it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import Any, Final

import pytest
from queued import PATIENCE

from obs_middleware.measure.frames import current_frames

_COLLECT_WHILE_LOOKING: Final = """
import gc, threading, time
from obs_middleware.measure.frames import current_frames

class Cycle:  # garbage whose end needs a lock of the interpreter
    def __init__(self):
        self.itself = self
        self.local = threading.local()
        self.local.value = 1

def pause():
    time.sleep(0.0001)  # in a new frame each time

def work():
    while True:
        pause()

for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
gc.set_threshold({threshold})
for _ in range(3000):
    Cycle()
    current_frames()
print("looked", gc.isenabled())
"""


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_a_garbage_collection_cannot_stop_a_look_at_all_threads(threshold: int) -> None:
    looked = subprocess.run(
        [sys.executable, "-c", _COLLECT_WHILE_LOOKING.replace("{threshold}", str(threshold))],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert looked.stdout == "looked True\n", looked.stderr


def test_a_look_at_all_threads_leaves_the_collection_off_where_it_was_off() -> None:
    gc.disable()
    try:
        assert threading.get_ident() in current_frames()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_in_the_middle_of_a_look_collects_its_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []

    def look_and_fork() -> dict[int, Any]:
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
        children.append(child)
        return {}

    monkeypatch.setattr(sys, "_current_frames", look_and_fork)
    current_frames()

    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert gc.isenabled()
