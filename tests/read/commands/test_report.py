"""`obs-middleware report`: the page as a file."""

from __future__ import annotations

import re
from pathlib import Path

from console import Run, write
from loglines import FORMATS, Event


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


def test_simultaneous_requests_do_not_give_a_rate_of_thousands(run: Run, tmp_path: Path, written: list[Event]) -> None:
    lines = [FORMATS["flat"](event | {"timestamp": written[0]["timestamp"]}) for event in written[:30]]

    page = run("report", write(tmp_path / "a.log", lines))[1]

    rates = [float(number.replace(",", "")) for number in re.findall(r"([\d,.]+)\s/s", page)]
    assert rates
    assert max(rates) <= 50


def test_a_page_that_cannot_be_written_gives_a_message(run: Run, log: Path, tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.html"

    assert run("report", log, "-o", path) == (2, "", f"obs-middleware: {path}: No such file or directory\n")
