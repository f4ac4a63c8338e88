"""
Print an answer: a table for people, JSON, CSV or Markdown, with the same figures in each.

Logged text is printed inert: control characters are written as escapes, and nothing in it is treated as markup.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from obs_middleware.display.escape import escape_controls
from obs_middleware.display.numbers import MISSING
from obs_middleware.display.terminal import is_terminal, takes_colours
from obs_middleware.read.answers import FEW

__all__ = ["BLANK", "FORMATS", "Answer", "Column", "Table", "blocks", "console", "plain", "route", "show"]


class _Blank(Enum):
    CELL = 0


BLANK: Final = _Blank.CELL
"""A cell without a value, not even an unknown one: a row of several groups has no route."""

FORMATS: Final = ("table", "json", "csv", "markdown")
FEW_NOTE: Final = f"* from fewer than {FEW} requests, so not reliable"
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_FORMULA: Final = ("=", "+", "-", "@")
"""A spreadsheet runs a cell that starts with one of these."""
_WIDTH: Final = 200
"""Columns of a table in a file or a pipe, which has no edge."""
_GAP: Final = 2
_FOLDED: Final = 12
"""Columns that a cell of text keeps on a narrow terminal."""


class Column(NamedTuple):
    """
    A column of a table.

    Attributes:
        title: Heading for people.
        key: Heading in CSV, with the unit.
        text: Formats a value that is not None.
        right: Whether the column holds numbers: aligned right, never folded.
        spare: Rank for leaving the column out on a narrow terminal, the highest first; 0 keeps it.
        whole: Whether text is never folded, so that you can copy it, for example an id.
        few: Whether the figure gets a ``*`` in a row that rests on few requests.
    """

    title: str
    key: str
    text: Callable[[Any], str]
    right: bool = True
    spare: int = 0
    whole: bool = False
    few: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """
    Rows of one kind.

    Attributes:
        title: Heading for people; may be empty.
        columns: The columns.
        rows: The values, None where one is not known.
        few: Numbers of the rows that rest on few requests.
        styles: Number of a row -> its look on a terminal, in the words of Rich.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    few: frozenset[int] = frozenset()
    styles: Mapping[int, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """
    The complete output of a command.

    Attributes:
        data: The JSON: everything, in seconds and bytes, with null where nothing is known.
        head: Lines above the tables.
        tables: The tables; CSV has the last one.
        notes: Lines below the tables: what was skipped, what is estimated, what a mark means.
        links: URLs below the notes. Each is whole, so that a terminal can open it.
    """

    data: Mapping[str, Any]
    head: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


# Text of values


def route(value: str) -> str:
    """Format a route; the root, an empty text, becomes ``""``."""
    return escape_controls(value) if value else '""'


def plain(value: Any) -> str:
    """Format any value as inert text."""
    return escape_controls(str(value))


def blocks(values: Sequence[float | None]) -> str:
    """Draw *values* as one block character each: None is a gap, 0 is ``0``, and anything above 0 is a block."""
    most = max((value for value in values if value is not None), default=0)
    return "".join(" " if value is None else _BLOCKS[math.ceil(value / most * 8)] if value else "0" for value in values)


# Output


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled: `main` knows its exit code. Rich would exit with 1."""
        raise  # noqa: PLE0704


def console(*, stderr: bool = False) -> Console:
    """
    Return the console for standard output or standard error.

    With ``FORCE_COLOR`` a pipe is a terminal, and with ``NO_COLOR`` a terminal has no colours; see `takes_colours`.
    """
    stream = sys.stderr if stderr else sys.stdout
    terminal, colours = is_terminal(stream), takes_colours(stream)
    return _Console(
        file=stream,
        force_terminal=terminal or colours,
        no_color=not colours,
        width=None if terminal else _WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def show(answer: Answer, form: str) -> None:
    """Print *answer* in one of `FORMATS`."""
    if form == "json":
        print(json.dumps(answer.data, ensure_ascii=True, default=_as_json, allow_nan=False, indent=2))
    elif form == "csv":
        table = answer.tables[-1]
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([column.key for column in table.columns])
        writer.writerows([_as_csv(value) for value in row] for row in table.rows)
    elif form == "markdown":
        _show_markdown(answer)
    else:
        _show_table(answer)


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            one = getattr(value, field.name)
            found |= one if field.metadata.get("inline") else {field.name: one}
        return found
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(type(value).__name__)


def _as_csv(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return _as_json(value)
    if isinstance(value, float):
        return round(value, 9)  # the last digits of a parallel sum differ from run to run
    if value is BLANK:
        return ""
    if isinstance(value, str):
        text = escape_controls(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def _cells(table: Table) -> Iterable[list[str]]:
    for number, row in enumerate(table.rows):
        mark = "*" if number in table.few else ""
        yield [
            _cell(column, value, mark if column.few else "") for column, value in zip(table.columns, row, strict=True)
        ]


def _cell(column: Column, value: Any, mark: str) -> str:
    if value is BLANK:
        return ""
    return MISSING if value is None else column.text(value) + mark


def _notes(answer: Answer) -> tuple[str, ...]:
    """Return the notes, with the one that explains the mark if a row has it."""
    few = FEW_NOTE not in answer.notes and any(table.few for table in answer.tables)
    return (*answer.notes, *([FEW_NOTE] if few else []))


def _show_table(answer: Answer) -> None:
    out = console()
    if out.is_terminal:
        _print_answer(out, answer)
        return
    with out.capture() as captured:
        _print_answer(out, answer)
    # rich pads every cell with spaces, including the last one of a row.
    print("\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n")))


def _print_answer(out: Console, answer: Answer) -> None:
    for line in answer.head:
        out.print(Text(line))
    left_out: list[str] = []
    for table in answer.tables:
        if table.rows:
            out.print()
            left_out += _print_table(out, table)
    notes = [*_notes(answer), *([f"columns left out, too narrow: {', '.join(left_out)}"] if left_out else [])]
    if notes:
        out.print()
    for note in notes:
        out.print(Text(note, style="dim"))
    for link in answer.links:
        out.print(Text(link), soft_wrap=True)


def _print_table(out: Console, table: Table) -> list[str]:
    """
    Print *table*. Rather than cutting a number, leave out spare columns, or go beyond the edge.

    Returns:
        The titles of the columns that were left out.
    """
    rows = list(_cells(table))
    least = _least_widths(table, rows)
    shown = _fitting(table, least, out.width)
    if table.title:
        out.print(Text(table.title, style="bold"))
    headed = any(column.title for column in table.columns)
    rich = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold cyan", show_header=headed)
    for index in shown:
        column = table.columns[index]
        rich.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=column.right or column.whole,
            min_width=least[index],
            overflow="fold",
        )
    for number, cells in enumerate(rows):
        rich.add_row(*(Text(cells[index]) for index in shown), style=table.styles.get(number))
    edge, out.width = out.width, max(out.width, _width(least, shown))
    out.print(rich, soft_wrap=False)
    out.width = edge
    return [column.title for index, column in enumerate(table.columns) if index not in shown]


def _least_widths(table: Table, rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the least width of each column: all of it, or what is left when its text is folded."""
    titles = [column.title for column in table.columns]
    longest = [max(map(cell_len, cells)) for cells in zip(titles, *rows, strict=True)]
    return [
        length if column.right or column.whole else min(length, _FOLDED)
        for column, length in zip(table.columns, longest, strict=True)
    ]


def _fitting(table: Table, least: Sequence[int], width: int) -> list[int]:
    """Return the indexes of the columns to show: all, but for spare ones that do not fit."""
    shown = list(range(len(table.columns)))
    spare = sorted((index for index in shown if table.columns[index].spare), key=lambda one: table.columns[one].spare)
    while spare and _width(least, shown) > width:
        shown.remove(spare.pop())
    return shown


def _width(least: Sequence[int], shown: Iterable[int]) -> int:
    return sum(least[index] + _GAP for index in shown) - _GAP


def _show_markdown(answer: Answer) -> None:
    for line in answer.head:
        print(_in_markdown(line) + "  ")
    for table in answer.tables:
        if not table.rows:
            continue
        print(f"\n### {table.title}\n" if table.title else "")
        print("| " + " | ".join(_in_markdown(column.title) for column in table.columns) + " |")
        print("|" + "|".join("---:" if column.right else "---" for column in table.columns) + "|")
        for cells in _cells(table):
            print("| " + " | ".join(map(_in_markdown, cells)) + " |")
    if notes := _notes(answer):
        print()
    for note in notes:
        print(_in_markdown(note) + "  ")
    for link in answer.links:
        print(f"<{link}>  ")


def _in_markdown(text: str) -> str:
    escaped = "".join(f"\\{c}" if c in r"\`*_[]|#" else c for c in text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
