"""`obs_middleware.display.trace`: the lines below a row."""

from __future__ import annotations

import re
import sys

import pytest
from rich.text import Text

from obs_middleware.display.trace import highlighted, in_colour, trace_lines

TRACE = """\
Traceback (most recent call last):
  File "/venv/lib/python3.13/site-packages/django/core/handlers/base.py", line 197, in _get_response
    response = wrapped_callback(request)
               ^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/home/shop/views.py", line 61, in report
    return revenue / orders
           ~~~~~~~~^~~~~~~~
  + Exception Group Traceback (most recent call last):
  |   File "C:\\Python313\\Lib\\asyncio\\runners.py", line 118, in run
  |     return self._loop.run_until_complete(task)
ZeroDivisionError: \x1b[2Jno
2026-11-29 forged"""


def test_each_line_is_inert_and_indented() -> None:
    lines = trace_lines({"stack_info": "Stack:\n  a", "stack_trace": TRACE})

    assert lines[:3] == ["  Stack:", "    a", "  Traceback (most recent call last):"]
    assert lines[-2:] == [r"  ZeroDivisionError: \x1b[2Jno", "  2026-11-29 forged"]
    assert trace_lines({"stack_trace": None}) == []


def dim_lines(text: Text) -> list[str]:
    lines = text.split("\n")
    return [line.plain.strip() for line in lines if any("dim" in str(span.style).split() for span in line.spans)]


def test_frames_of_libraries_are_dim() -> None:
    lines = trace_lines({"stack_trace": TRACE})

    text = highlighted(lines)

    assert text is not None
    assert text.plain.split("\n") == lines
    dim = dim_lines(text)
    assert [line for line in dim if "File" in line] == [lines[1].strip(), lines[8].strip()]
    assert {lines[2].strip(), lines[3].strip(), lines[9].strip()} <= set(dim)
    assert len(dim) == 5


@pytest.mark.parametrize("text", [TRACE, "", "\n\n", "no traceback", "Traceback (most recent call last):\n\n  x\n"])
def test_colours_do_not_change_the_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")  # the caller has decided
    lines = trace_lines({"stack_trace": f"{text} "})

    shown = in_colour(lines)

    assert shown is not None
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\n") == lines
    assert ("\x1b[" in shown) is (text == TRACE)


def test_without_rich_there_are_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.syntax", None)

    assert in_colour(["  Traceback (most recent call last):"]) is None
