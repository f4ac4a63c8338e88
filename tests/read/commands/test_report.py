"""`obs-middleware report`: the page as a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import COMMAND, DEADLINE, Run, on_a_terminal, write
from faults import N_PLUS_ONE, faulty
from loglines import FORMATS, Event
from pages import Page, parse
from reports import lines_of_the_day, shop


def test_report_writes_the_page(run: Run, log: Path, tmp_path: Path, written: list[Event]) -> None:
    path = tmp_path / "report.html"

    assert run("report", log, "-o", path, "--status", "2xx,5xx") == (0, "", f"{path} written\n")

    page = path.read_text()
    assert "<title>" in page
    assert "checkout/" in page
    assert "--status 2xx,5xx" in page
    slowest = max(written, key=lambda event: event["duration_seconds"])
    assert slowest["request_id"] in page
    assert run("report", log)[1].lower().startswith("<!doctype html>")


def test_the_page_says_why_routes_are_slow(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "faults.log", [FORMATS["flat"](event) for event in faulty()])

    page = run("report", log)[1]

    assert f"40 of 43 queries are one statement, run at {N_PLUS_ONE}" in page
    assert '<rect class="part-block"' in page
    # In the log, queued/ takes the second most time. Its lines name no place.
    reasons = page[page.index('id="why"') :]
    assert reasons.index("thumbnail/") < reasons.index("queued/")


def test_simultaneous_requests_do_not_give_a_rate_of_thousands(run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event | {"timestamp": written[0]["timestamp"]}) for event in written[:30]]

    page = run("report", write(tmp_path / "a.log", lines))[1]

    rates = [float(number.replace(",", "")) for number in re.findall(r"([\d,.]+)\s/s", page)]
    assert rates
    assert max(rates) <= 50


def test_a_page_that_cannot_be_written_gives_a_message(run: Run, log: Path, tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.html"

    assert run("report", log, "-o", path) == (2, "", f"obs-middleware: {path}: No such file or directory\n")


@pytest.mark.parametrize("name", ["shop.log", "./shop.log", "link.log", "hard.log", "shop.log.1"])
def test_a_log_is_never_replaced_by_its_report(name: str, run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(log.parent)
    Path("link.log").symlink_to(log)
    Path("hard.log").hardlink_to(log)
    write(Path("shop.log.1"), log.read_text().splitlines())
    before = log.read_bytes()

    code, _, said = run("report", "shop.log", "shop.log.*", "-o", name)

    assert code == 2
    assert said.startswith(f"obs-middleware: {name}: is one of the logs to read")
    assert (log.read_bytes(), Path("shop.log.1").read_bytes()) == (before, before)


@pytest.mark.parametrize("arguments", [["-o", "{log}"], ["-", "-o", "{log}"]])
def test_a_log_on_standard_input_is_not_replaced(arguments: list[str], log: Path) -> None:
    before = log.read_bytes()
    with log.open("rb") as lines:
        done = subprocess.run(
            [*COMMAND, "report", *(one.format(log=log) for one in arguments)],
            stdin=lines,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )

    assert (done.returncode, log.read_bytes()) == (2, before)


def test_the_page_is_not_appended_to_the_log(log: Path) -> None:
    before = log.read_bytes()
    with log.open("ab") as end:
        done = subprocess.run(
            [*COMMAND, "report", log], stdout=end, stderr=subprocess.PIPE, timeout=DEADLINE, check=False
        )

    assert (done.returncode, log.read_bytes()) == (2, before)
    assert b"standard output: is one of the logs to read" in done.stderr


def test_the_page_has_the_figures_of_the_lines(run: Run, tmp_path: Path) -> None:
    day = shop(2_000)
    log = write(tmp_path / "access.log", lines_of_the_day(2_000))

    page, expected = Page(run("report", log)[1]), parse(day)

    for table in ("routes", "errors", "slowest"):
        assert page.tables[table][:26] == expected.tables[table][:26]
    assert day.lines is not None
    for kind in day.lines.kinds:
        assert kind.name in page.text


def test_another_file_is_replaced(run: Run, log: Path, tmp_path: Path) -> None:
    page = write(tmp_path / "report.html", ["the report of yesterday"])

    assert run("report", log, "-o", page)[0] == 0
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_terminal_gets_no_html(log: Path) -> None:
    assert on_a_terminal("report", log).splitlines() == [
        "obs-middleware: the page is HTML, not text for a terminal: add -o report.html"
    ]


@pytest.mark.parametrize("seconds", [1e7, 1e308, sys.float_info.max, 5e-324])
@pytest.mark.parametrize("lines", [1, 60])
def test_an_absurd_duration_does_not_end_a_command(
    seconds: float, lines: int, run: Run, tmp_path: Path, written: list[Event]
) -> None:
    """The sum of two is infinite, and there would be a row of the heat map for each power of ten."""
    odd = [event | {"duration_seconds": seconds, "db_seconds": seconds} for event in written[:lines]]
    log = write(tmp_path / "a.log", [json.dumps(event) for event in [*odd, *written[60:120]]])

    code, page, said = run("report", log)

    assert (code, said) == (0, "")
    assert len(page) < 1_000_000
    for command in (["stats"], ["slow"], ["time"]):
        assert run(*command, log, "--format", "json")[0] == 0
