"""`obs-middleware stats`: totals, histogram and groups."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from console import Run, write
from loglines import FORMATS, Event


def test_stats_has_the_same_figures_in_every_form(run: Run, log: Path, written: list[Event]) -> None:
    data = json.loads(run(log, "--format", "json")[1])
    table = list(csv.DictReader(io.StringIO(run(log, "--format", "csv")[1])))
    markdown = run(log, "--format", "markdown")[1]
    shown = run(log)[1]

    assert data["overview"]["requests"] == len(written)
    assert [float(row["p95_seconds"]) for row in table] == [
        round(row["durations"]["p95"], 9) for row in data["groups"]["rows"]
    ]
    assert sum(int(row["requests"]) for row in table) == len(written)
    for row in data["groups"]["rows"]:
        assert (
            re.search(rf"^{row['keys'][0]} +{re.escape(row['keys'][1] or '-')}", shown, re.MULTILINE)
            or not row["keys"][1]
        )
        assert f"| {row['keys'][0]} |" in markdown
    assert "orders/&lt;int:pk&gt;/" in markdown
    assert "300 lines read: 300 request lines" in shown


def test_stats_group_by_any_field(run: Run, log: Path) -> None:
    table = list(csv.DictReader(io.StringIO(run(log, "--by", "tenant,status", "--format", "csv")[1])))

    assert {row["tenant"] for row in table} == {"t0", "t1", "t2"}
    assert {row["status"] for row in table} == {"200", "302", "404", "500"}


def test_hidden_groups_are_summed_up_in_one_row(run: Run, log: Path) -> None:
    shown = run(log, "--by", "user_id", "--limit", "2")[1]

    assert re.search(r"^\(5 others\) +\d+", shown, re.MULTILINE)


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_the_row_of_hidden_groups_has_no_route(form: str, run: Run, log: Path) -> None:
    """Neither the root, which is shown as two quotation marks, nor a request without a route, which is a dash."""
    [row] = [line for line in run(log, "--limit", "2", "--format", form)[1].splitlines() if "(2 others)" in line]

    after = row.split("(2 others)")[1]
    expected = {"table": r" +\d", "csv": r",,\d", "markdown": r" \|  \| \d"}
    assert re.match(expected[form], after)


def test_one_hidden_group_is_in_the_singular(run: Run, log: Path) -> None:
    assert "(1 other) " in run(log, "--limit", "3")[1]


def test_stats_says_when_lines_are_of_several_services(run: Run, tmp_path: Path, written: list[Event]) -> None:
    names = ["shop", "mail", "shop", "shop"]
    log = write(tmp_path / "a.log", [FORMATS["flat"](written[n] | {"service": name}) for n, name in enumerate(names)])
    note = "lines of 2 services: shop 3, mail 1; --by service shows each of them"

    assert note in run("stats", log)[1]
    assert note not in run("stats", log, "--by", "route,service")[1]
    assert note not in run("stats", log, "--where", "service = 'mail'")[1]
    services = json.loads(run("stats", log, "--format", "json")[1])["services"]
    assert services == [{"name": "shop", "count": 3}, {"name": "mail", "count": 1}]


def test_stats_names_the_most_frequent_of_many_services(run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](written[n] | {"service": f"s{n % 8}"}) for n in range(20)]

    assert "lines of 8 services: s0 3, s1 3, s2 3, s3 3, s4 2 and 3 more" in run(write(tmp_path / "a.log", lines))[1]
