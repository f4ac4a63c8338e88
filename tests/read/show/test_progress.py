"""The progress bar: on standard error, on a terminal only."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from console import DEADLINE, Run, read_terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_only_if_standard_error_is_a_terminal(terminal: bool, log: Path, run: Run) -> None:
    """Without the delay before the bar appears. The output is the same in both cases."""
    ours, theirs = pty.openpty()
    script = (
        "import sys; from obs_middleware.__main__ import main; from obs_middleware.read.show import progress;"
        " progress._PATIENCE_SECONDS = 0; sys.exit(main(sys.argv[1:]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "stats", str(log)],
        stdout=subprocess.PIPE,
        stderr=theirs if terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        check=True,
        timeout=DEADLINE,
    )
    os.close(theirs)
    shown = read_terminal(ours)

    assert result.stdout.decode() == run(log)[1]
    if terminal:
        assert b"Reading" in shown
        assert b"%" in shown
        assert shown.endswith(b"\x1b[2K")  # the bar has been erased
    else:
        assert (result.stderr, shown) == (b"", b"")
