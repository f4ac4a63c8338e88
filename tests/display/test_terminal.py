"""`obs_middleware.display.terminal`: colours and width of an output."""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from obs_middleware import platforms
from obs_middleware.display.terminal import is_terminal, takes_colours, width_of


@pytest.fixture(name="terminal")
def _terminal() -> Iterator[Any]:
    """Return a real terminal with 133 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 133, 0, 0))
    with os.fdopen(ours, "rb", 0), os.fdopen(theirs, "w") as stream:
        yield stream


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("variables", "terminal_has", "pipe_has"),
    [
        ({}, True, False),
        ({"NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
    ids=str,
)
def test_the_environment_decides_about_colours(
    variables: dict[str, str], terminal_has: bool, pipe_has: bool, terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert (takes_colours(terminal), takes_colours(io.StringIO())) == (terminal_has, pipe_has)


@pytest.mark.parametrize("columns", [None, "", "x", "0", "-3", "²"])
def test_the_terminal_knows_its_width(columns: str | None, terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)

    assert width_of(terminal) == 133
    assert width_of(io.StringIO()) is None


def test_columns_decides_about_the_width(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "77")

    assert width_of(terminal) == 77


@pytest.mark.parametrize(
    "stream", [None, object(), SimpleNamespace(isatty=lambda: 1 / 0)], ids=["none", "foreign", "bad"]
)
def test_a_stream_that_cannot_tell_is_no_terminal(stream: Any) -> None:
    assert (is_terminal(stream), takes_colours(stream), width_of(stream)) == (False, False, None)


def test_a_terminal_without_a_size_has_80_columns() -> None:
    assert width_of(SimpleNamespace(isatty=lambda: True, fileno=lambda: -1)) == 80
    assert width_of(SimpleNamespace(isatty=lambda: True)) == 80


class Kernel:
    """The calls of a Windows console."""

    def __init__(self, *, is_console: bool = True, obeys: bool = True) -> None:
        self.is_console, self.obeys, self.mode = is_console, obeys, 3

    def GetConsoleMode(self, console: Any, mode: Any) -> int:  # noqa: N802 -- the name in Windows
        mode._obj.value = self.mode
        return int(self.is_console)

    def SetConsoleMode(self, console: Any, mode: int) -> int:  # noqa: N802 -- the name in Windows
        if self.obeys:
            self.mode = mode
        return int(self.obeys)


@pytest.mark.parametrize(
    ("kernel", "coloured"),
    [(Kernel(), True), (Kernel(is_console=False), False), (Kernel(obeys=False), False), (None, False)],
    ids=["windows 10", "pretends", "windows 7", "no api"],
)
def test_a_windows_console_is_told_to_obey(
    kernel: Kernel | None, coloured: bool, terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "_IS_WINDOWS", True)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(get_osfhandle=lambda descriptor: descriptor))
    if kernel is not None:
        monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)

    assert takes_colours(terminal) is coloured
    assert kernel is None or (kernel.mode == 7) is coloured
    assert takes_colours(io.StringIO()) is False
