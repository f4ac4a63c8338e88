"""Answers as text: tables for terminals and pipes, CSV, Markdown."""

from __future__ import annotations

import csv
import io
import itertools
import re
from pathlib import Path

import pytest
from console import Run, on_a_terminal, write
from loglines import FORMATS, events

from obs_middleware.read.show.text import blocks

NASTY = "/\x1b[31mred\x1b]0;title\x07\u202e\n[bold]x[/bold]"


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
@pytest.mark.parametrize("name", ["stats", "slow"])
def test_control_characters_of_a_log_are_inert(name: str, form: str, run: Run, tmp_path: Path) -> None:
    lines = [FORMATS["flat"](event | {"path": NASTY, "route": NASTY, "tenant": NASTY}) for event in events(25)]
    log = write(tmp_path / "a.log", lines)

    out = run(name, log, "--format", form, *(["--by", "route,tenant"] if name == "stats" else []))[1]

    assert all(c.isprintable() or c == "\n" for c in out)
    assert "\\x1b" in out
    assert "bold" in out


def test_there_is_colour_only_on_a_terminal(log: Path, run: Run) -> None:
    assert "\x1b[" in on_a_terminal(log)
    assert "\x1b[3" not in on_a_terminal(log, NO_COLOR="1")
    assert "\x1b" not in run(log)[1]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_a_narrow_terminal_cuts_no_number(width: int, log: Path, run: Run) -> None:
    """Whole columns are left out, with a note; the others are the same as in the wide table."""
    names = ["method", "route", "requests", "errors", "time", "share", "p50", "p90", "p95", "p99", "max", "n"]
    shown = on_a_terminal(log, COLUMNS=str(width), NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    table = list(csv.DictReader(io.StringIO(run(log, "--format", "csv")[1])))
    wide = [re.split(r" {2,}", line.strip()) for line in run(log)[1].splitlines()]
    rows = {tuple(row[:2]): dict(zip(names, row, strict=True)) for row in wide if len(row) == len(names)}

    left_out = re.search(r"columns left out, too narrow: (.*?)(?:\x1b|\r)", shown)
    spared = left_out[1].split(", ") if left_out else []
    kept = [name for name in names if name not in spared]
    narrow = [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]
    found = [dict(zip(kept, row, strict=True)) for row in narrow if len(row) == len(kept) and row[0] in {"GET", "POST"}]

    assert (not spared) == (width >= 120)
    assert len(found) == len(table)
    for row in found:
        full = next(full for full in rows.values() if full["requests"] == row["requests"])
        assert {name: row[name] for name in kept if name != "route"} == {
            name: full[name] for name in kept if name != "route"
        }


@pytest.mark.parametrize("width", [40, 60, 72, 100])
@pytest.mark.parametrize("command", ["stats", "time", "slow"])
def test_a_table_fits_into_a_narrow_terminal(command: str, width: int, log: Path) -> None:
    shown = on_a_terminal(command, log, COLUMNS=str(width), NO_COLOR="1")
    lines = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    heads = [number for number, line in enumerate(lines) if "requests  " in line or "took  " in line]

    for head in heads[command != "slow" :]:
        rows = list(itertools.takewhile(str.strip, lines[head:]))
        assert len(rows) > 1
        assert max(len(row.rstrip()) for row in rows) <= width
    assert len(heads) == {"stats": 3, "time": 2, "slow": 1}[command]


@pytest.mark.parametrize("formula", ["=1+1", "+1+1", "-1+1", "@SUM(1)", "=\t1"])
def test_a_spreadsheet_runs_no_logged_text(formula: str, run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event | {"tenant": formula}) for event in events(25)])

    _, out, _ = run(log, "--by", "tenant", "--format", "csv")

    [row] = csv.DictReader(io.StringIO(out))
    assert row["tenant"] == "'" + formula.replace("\t", "\\t")


def test_ordinary_text_is_not_changed_in_csv(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"](event | {"tenant": "a=b@c-d+e"}) for event in events(25)])

    [row] = csv.DictReader(io.StringIO(run(log, "--by", "tenant", "--format", "csv")[1]))

    assert row["tenant"] == "a=b@c-d+e"


def test_zero_is_drawn_as_zero_and_an_unknown_value_as_a_gap() -> None:
    assert blocks([0, None, 0.001, 4, 8]) == "0 ▁▄█"
    assert blocks([0, 0]) == "00"
    assert blocks([]) == ""
