"""`obs_middleware.logs.sinks.fork`: a child starts with an empty queue and figures of its own."""

from __future__ import annotations

import os
from pathlib import Path

from queued import PATIENCE, Gate, Make, forking, log

from obs_middleware import stats


@forking
def test_a_child_process_writes_its_own_lines_and_none_of_its_parent(make: Make, tmp_path: Path, gate: Gate) -> None:
    path = tmp_path / "log"
    to_file = make(file=path)
    to_gate = make(gate, capacity=2)
    log("parent", "parent")
    to_file.flush()
    assert gate.waiting.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            gate.opened.set()
            assert stats()["sink_depth"] == stats()["sink_written"] == 0
            log("child")
            to_gate.flush()
            to_file.close()
            code = 0 if gate.lines() == ["child"] and stats()["sink_written"] == 2 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    gate.opened.set()

    assert os.waitstatus_to_exitcode(status) == 0
    assert path.read_text() == "parent\nparent\nchild\n"
