"""`obs-middleware grep`: the matching lines, unchanged."""

from __future__ import annotations

from pathlib import Path

from console import Run, on_a_terminal
from loglines import BARE, FORMATS, Event, events


def test_grep_prints_the_original_lines(run: Run, log: Path, written: list[Event]) -> None:
    expected = [FORMATS["flat"](event) for event in written if event["status"] == 500]

    assert run("grep", "status >= 500", log) == (0, "".join(f"{line}\n" for line in expected), "")
    assert run("grep", "status >= 500", log, "--count")[1] == f"{len(expected)}\n"
    assert run("grep", "status >= 500", log, "--method", "DELETE") == (1, "", "")


def test_control_characters_in_lines_are_inert_on_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(BARE["root logger"](events(1)[0]).replace("INFO", "INFO\x1b]0;title\x07") + "\n")

    assert "\x1b]0" not in on_a_terminal("grep", "duration_seconds >= 0", log)
