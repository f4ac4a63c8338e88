"""
Answers as text: a table for people, JSON, CSV or Markdown, with the same figures in each.

Read. Whatever a log says is shown inert: control characters are spelt out, and nothing in it is markup.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from obs_middleware.read.answers import FEW

__all__ = [
    "FORMATS",
    "Answer",
    "Column",
    "Table",
    "blocks",
    "console",
    "count",
    "duration",
    "inert",
    "moment",
    "percent",
    "plain",
    "route",
    "show",
    "spent",
]

FORMATS: Final = ("table", "json", "csv", "markdown")
NOTHING: Final = "-"
FEW_NOTE: Final = f"* of fewer than {FEW} requests: take it with care"
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_WIDTH: Final = 200
"""Of tables that go into a file or a pipe, where there is no edge to keep within."""
_GAP: Final = 2
_FOLDED: Final = 12
"""Characters that text keeps, however narrow the terminal is."""


class Column(NamedTuple):
    """
    A column of a table.

    Attributes:
        title: Its heading for people.
        key: Its heading in CSV, with the unit.
        text: Makes text for people of a value that is not None.
        right: Whether it is a number; such a one is never cut nor folded.
        spare: Left out first, the highest before the others, where a terminal is too narrow; 0 is never left out.
        whole: Whether text is not folded either: what is copied from, such as an id.
    """

    title: str
    key: str
    text: Callable[[Any], str]
    right: bool = True
    spare: int = 0
    whole: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """
    Rows of one kind.

    Attributes:
        title: What stands above it for people.
        few: The rows whose figures rest on too few requests, by their number; they are marked.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    few: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """
    All that a command says.

    Attributes:
        data: For JSON: everything, in seconds and bytes, null where nothing is known.
        head: Lines of text above the tables.
        tables: The last of them is what CSV has.
        notes: Lines below: what weighed, what was skipped, what is marked.
    """

    data: Mapping[str, Any]
    head: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


# Values for people


def inert(text: str) -> str:
    r"""Return *text* with everything that a terminal might obey spelt out: ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def duration(seconds: float) -> str:
    """Return *seconds* with three digits and a unit."""
    if seconds >= 1e9:  # no duration, but a line may say so
        return f"{seconds:.2e} s"
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    if seconds >= 0.001:
        thousandth = seconds * 1_000
        return f"{thousandth:.{2 if thousandth < 10 else 1 if thousandth < 100 else 0}f} ms"
    return f"{seconds * 1_000_000:.0f} µs"


def spent(seconds: float) -> str:
    """Return a sum of durations like a duration; unlike one, it is never marked as resting on too few."""
    return duration(seconds)


def count(number: float) -> str:
    """Return *number* with separators."""
    return f"{number:,.0f}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in percent; what is not nothing is not shown as nothing."""
    return "<0.01%" if 0 < share < 0.0001 else f"{share:.2%}" if share < 0.1 else f"{share:.1%}"


def moment(when: dt.datetime) -> str:
    """Return a time in UTC, to the second or, if it has them, to the millisecond."""
    return when.strftime("%Y-%m-%dT%H:%M:%S") + (f".{when.microsecond // 1000:03d}Z" if when.microsecond else "Z")


def route(value: str) -> str:
    """Return a route; the root, which is an empty text, is said."""
    return inert(value) if value else '""'


def plain(value: Any) -> str:
    """Return any value as inert text."""
    return inert(str(value))


def blocks(values: Sequence[float | None]) -> str:
    """Return *values* as a line of blocks; what is not known is a gap, what is more than nothing a block."""
    most = max((value for value in values if value is not None), default=0)
    return "".join(" " if not value or not most else _BLOCKS[max(1, math.ceil(value / most * 8))] for value in values)


# Output


def console(*, stderr: bool = False) -> Console:
    """Return what prints: coloured on a terminal, unless NO_COLOR is set, and wide where there is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        no_color=bool(os.environ.get("NO_COLOR")) or not terminal,
        width=None if terminal else _WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def show(answer: Answer, form: str) -> None:
    """Print *answer* as one of `FORMATS`."""
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
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(type(value).__name__)


def _as_csv(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return _as_json(value)
    if isinstance(value, float):
        return round(value, 9)  # a sum in parallel is not the same in its last digits every time
    # A spreadsheet would run what begins like a formula.
    if isinstance(value, str):
        text = inert(value)
        return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
    return value


def _cells(table: Table) -> Iterable[list[str]]:
    for number, row in enumerate(table.rows):
        mark = "*" if number in table.few else ""
        yield [
            NOTHING if value is None else column.text(value) + (mark if column.text is duration else "")
            for column, value in zip(table.columns, row, strict=True)
        ]


def _marked(answer: Answer) -> tuple[str, ...]:
    few = FEW_NOTE not in answer.notes and any(table.few for table in answer.tables)
    return (*answer.notes, *([FEW_NOTE] if few else []))


def _show_table(answer: Answer) -> None:
    out = console()
    if out.is_terminal:
        _print_answer(out, answer)
        return
    with out.capture() as captured:
        _print_answer(out, answer)
    # Cells are filled up with spaces, the last of a row too.
    print("\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n")))


def _print_answer(out: Console, answer: Answer) -> None:
    for line in answer.head:
        out.print(Text(line))
    left_out: list[str] = []
    for table in answer.tables:
        if table.rows:
            out.print()
            left_out += _print_table(out, table)
    notes = [*_marked(answer), *([f"too narrow for: {', '.join(left_out)}"] if left_out else [])]
    if notes:
        out.print()
    for note in notes:
        out.print(Text(note, style="dim"))


def _print_table(out: Console, table: Table) -> list[str]:
    """Print *table*, over the edge if it must be, for half a number is a wrong one; return the columns left out."""
    rows = list(_cells(table))
    titles = [column.title for column in table.columns]
    longest = [max(map(cell_len, cells)) for cells in zip(titles, *rows, strict=True)]
    least = [
        length if column.right or column.whole else min(length, _FOLDED)
        for column, length in zip(table.columns, longest, strict=True)
    ]
    shown, left_out = list(range(len(table.columns))), []
    spare = sorted((index for index in shown if table.columns[index].spare), key=lambda one: -table.columns[one].spare)
    while sum(least[index] + _GAP for index in shown) > out.width and spare:
        shown.remove(spare[0])
        left_out.append(table.columns[spare.pop(0)].title)
    if table.title:
        out.print(Text(table.title, style="bold"))
    rich = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold cyan")
    for index in shown:
        column = table.columns[index]
        whole = column.right or column.whole
        rich.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=whole,
            min_width=least[index],
            overflow="fold",
        )
    for cells in rows:
        rich.add_row(*(Text(cells[index]) for index in shown))
    edge, out.width = out.width, max(out.width, sum(least[index] + _GAP for index in shown))
    out.print(rich, soft_wrap=False)
    out.width = edge
    return left_out


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
    if notes := _marked(answer):
        print()
    for note in notes:
        print(_in_markdown(note) + "  ")


def _in_markdown(text: str) -> str:
    escaped = "".join(f"\\{c}" if c in r"\`*_[]|#" else c for c in text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
