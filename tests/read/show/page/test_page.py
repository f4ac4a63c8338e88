"""The report page as a whole: one file, safe, complete without its script."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pages import BARE, Page, parse
from paths import ROOT
from reports import HOSTILE, hostile, shop

from obs_middleware.display.numbers import MISSING
from obs_middleware.read.answers import Lines, Quantiles
from obs_middleware.read.show.page.data import ReportData
from obs_middleware.read.show.page.page import render

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def test_the_same_data_gives_the_same_page() -> None:
    code = (
        "import hashlib; from reports import shop; from obs_middleware.read.show.page.page import render;"
        "print(hashlib.sha256(render(shop(500)).encode()).hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(ROOT / "tests"), "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed, zone in [("1", "UTC"), ("2", "Asia/Tokyo")]
    }

    assert hashes == {hashlib.sha256(render(shop(500)).encode()).hexdigest()}


@pytest.mark.parametrize(
    "name",
    [
        "read/answers",
        "display/numbers",
        "read/show/page/axes",
        "read/show/page/charts",
        "read/show/page/data",
        "read/show/page/figure",
        "read/show/page/inline",
        "read/show/page/markup",
        "read/show/page/page",
        "read/show/page/tables",
    ],
)
def test_the_page_needs_only_the_standard_library(name: str) -> None:
    text = (ROOT / "obs_middleware" / f"{name}.py").read_text()
    imported = {match.split(".")[0] for match in re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)}

    assert imported <= sys.stdlib_module_names | {"obs_middleware"}


def test_errors_come_before_the_many_slowest_requests() -> None:
    page = parse(shop())

    order = ["overview", "time", "durations", "routes", "why", "places", "errors", "slowest"]
    assert [section["id"] for section in page.named("section")] == order
    assert [link["href"] for link in page.named("a")][-len(order) :] == [f"#{name}" for name in order]


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = parse(hostile())

    loading = {
        (name, key) for name, attributes in page.elements for key in attributes if key in {"src", "srcset", "data"}
    }
    assert loading == set()
    assert {element["href"] for element in page.named("link")} == {page.named("link")[0]["href"]}
    assert (page.named("link")[0]["href"] or "").startswith("data:image/svg+xml,")
    assert all((element["href"] or "").startswith("#") for element in page.named("a"))
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML|eval\(", render(shop()))


def test_the_policy_allows_only_the_own_style_and_script() -> None:
    text = render(shop())
    [policy] = [meta["content"] for meta in Page(text).named("meta") if "http-equiv" in meta]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    for name, tag in (("script-src", "script"), ("style-src", "style")):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    # Inline styles and handlers would need an exception in the policy.
    assert not any(
        key == "style" or key.startswith("on") for _, element in parse(hostile()).elements for key in element
    )


def test_hostile_values_are_shown_and_make_no_element() -> None:
    ordinary, attacked = parse(shop()), parse(hostile())

    assert {name for name, _ in attacked.elements} <= {name for name, _ in ordinary.elements} | {"abbr", "small"}
    assert len(attacked.named("script")) == 1
    for text in HOSTILE[:3]:
        assert text in attacked.text
    assert r"\x1b[31mred\x1b[0m\x00\r\n\x07" in attacked.text
    assert all(letter.isprintable() or letter == "\n" for letter in attacked.text)
    render(hostile()).encode()


def test_a_note_replaces_the_course_of_lines_without_timestamps() -> None:
    page = parse(BARE)

    assert "The lines have no timestamps." in page.text
    assert page.named("figure") == []
    assert f"Errors{MISSING}" in page.text


def test_a_log_without_requests_gives_a_note() -> None:
    data = ReportData("log", ("a.log",), Lines(read=1200, requests=0), 0, None, Quantiles(0))

    assert "The log has no request line." in parse(data).text
    assert "1,200 read, 0 request lines" in parse(data).text


def test_a_log_without_errors_gives_a_note() -> None:
    assert "No request failed." in parse(dataclasses.replace(BARE, errors=0)).text


def test_many_sources_are_counted() -> None:
    data = dataclasses.replace(BARE, sources=tuple(f"{number}.log" for number in range(48)))

    assert "9.log and 38 more" in parse(data).text


def test_the_wheel_has_the_style_and_the_script(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")

    assert {"obs_middleware/read/show/page/report.css", "obs_middleware/read/show/page/report.js"} <= set(
        zipfile.ZipFile(wheel).namelist()
    )
