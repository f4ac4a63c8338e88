"""The parts of a migration guide that its tests use: files, lines, settings and fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from paths import DOCS

__all__ = ["BOTH", "FOLDER", "STEPS", "Row", "Step", "rows", "steps", "text_of"]

FOLDER: Final = DOCS / "how-to" / "migrate"

BOTH: Final = "Both for a week"
STEPS: Final = ["Before", BOTH, "After"]
"""The headings of the steps."""

_BLOCK: Final = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME: Final = re.compile(r"# (?P<file>\w+\.py)\n")
_CODE: Final = re.compile(r"`([^`]+)`")


class Step(NamedTuple):
    """
    A step of a guide.

    Attributes:
        files: The Python blocks by the name in their first line, such as ``settings.py``.
        lines: The log lines that the guide shows.
    """

    files: dict[str, str]
    lines: list[str]


class Row(NamedTuple):
    """
    A row of a table.

    Attributes:
        theirs: The names in the first cell.
        ours: The names in the second cell.
    """

    theirs: list[str]
    ours: list[str]


def text_of(guide: str) -> str:
    """Return the page of *guide*."""
    return (FOLDER / f"{guide}.md").read_text()


def steps(page: str) -> dict[str, Step]:
    """
    Return the steps of *page* by their headings. All Python blocks of the page belong to one of them.

    The second step adds its settings to those of the first, and keeps the other files.
    """
    found = {heading: _step(section) for heading, section in _sections(page) if heading in STEPS}
    blocks = [match for match in _BLOCK.finditer(page) if match["language"] == "python"]
    assert len(blocks) == sum(len(step.files) for step in found.values())
    before, both = found[STEPS[0]].files, found[BOTH]
    settings = f"{before['settings.py']}\n{both.files['settings.py']}"
    return found | {BOTH: Step({**before, **both.files, "settings.py": settings}, both.lines)}


def rows(page: str, heading: str) -> list[Row]:
    """Return the rows of the table in the section *heading* of *page*."""
    lines = dict(_sections(page))[heading].splitlines()
    cells = [line.split("|")[1:3] for line in lines if line.startswith("|")][2:]
    return [Row(_CODE.findall(theirs), _CODE.findall(ours)) for theirs, ours in cells]


def _sections(page: str) -> Iterator[tuple[str, str]]:
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        yield heading, text


def _step(section: str) -> Step:
    files: dict[str, str] = {}
    lines: list[str] = []
    for match in _BLOCK.finditer(section):
        if match["language"] == "python":
            name = _NAME.match(match["code"])
            assert name is not None, match["code"]
            assert name["file"] not in files
            files[name["file"]] = match["code"]
        elif match["language"] in ("json", "text"):
            lines += match["code"].splitlines()
    return Step(files, lines)
