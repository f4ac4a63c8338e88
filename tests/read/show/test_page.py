from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from paths import ROOT
from reports import HOSTILE, hostile, shop

from obs_middleware.read.show.numbers import MISSING
from obs_middleware.read.show.page.page import (
    Bin,
    Count,
    ErrorRow,
    HeatMap,
    Lines,
    Quantiles,
    ReportData,
    RouteRow,
    Slice,
    SlowRequest,
    render,
)

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
VOID = {"input", "link", "meta"}
BARE = ReportData(
    title="access.log",
    sources=("standard input",),
    lines=Lines(read=3, requests=3),
    requests=3,
    errors=None,
    durations=Quantiles(3, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.15),
)
"""What the seed's bare line tells: durations, and nothing else."""


class Page(HTMLParser):
    """
    A page, parsed without mercy: an element that is not closed where it should be is an error.

    Attributes:
        elements: Names and attributes.
        tables: By the id of the section, the texts of the cells, row by row.
        text: All of it but style and script.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._section = ""
        self._cell: list[str] | None = None
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = attributes["id"] or ""
        if tag == "tr" and "figure" not in self._open:
            self.tables.setdefault(self._section, []).append([])
        if tag in {"td", "th"} and "figure" not in self._open:
            self.tables[self._section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.text += data
            if {"td", "th"} & set(self._open) and "figure" not in self._open:
                self.tables[self._section][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def parse(data: ReportData) -> Page:
    return Page(render(data))


def cells(data: ReportData, section: str) -> list[dict[str, str]]:
    """Return the rows of a table by the names of its columns; narrow spaces are spaces."""
    head, *rows = parse(data).tables[section]
    return [dict(zip(head, (cell.replace("\u202f", " ") for cell in row), strict=True)) for row in rows]


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
        "figures",
        "show/numbers",
        "show/page/axes",
        "show/page/charts",
        "show/page/figure",
        "show/page/inline",
        "show/page/markup",
        "show/page/page",
        "show/page/tables",
    ],
)
def test_making_the_page_needs_the_standard_library_alone(name: str) -> None:
    text = (ROOT / "obs_middleware" / "read" / f"{name}.py").read_text()
    imported = {match.split(".")[0] for match in re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)}

    assert imported <= sys.stdlib_module_names | {"obs_middleware"}


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


def test_the_policy_allows_its_own_style_and_script_and_nothing_else() -> None:
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
    # Those would need an exception.
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
    assert all(letter.isprintable() or letter in "\n\u202f" for letter in attacked.text)
    render(hostile()).encode()


def test_every_row_has_a_cell_for_every_heading() -> None:
    for name, (head, *rows) in parse(shop()).tables.items():
        assert rows, name
        assert {len(row) for row in rows} == {len(head)}, name


def test_the_tables_say_what_the_data_says() -> None:
    data = shop()
    row = next(row for row in cells(data, "routes") if row["Route"] == "checkout/")
    [checkout] = [one for one in data.routes if one.route == "checkout/"]

    assert row["Method"] == "POST"
    assert row["Requests"] == str(checkout.requests)
    assert row["Errors"] == str(checkout.errors)
    assert checkout.durations.p95 is not None
    assert row["p95"] == f"{checkout.durations.p95:.2f} s"
    assert len(cells(data, "slowest")) == len(data.slowest)
    assert [int(row["Requests"]) for row in cells(data, "errors")] == [one.count for one in data.failures]


def test_what_the_lines_do_not_say_is_a_dash_and_not_0() -> None:
    row = RouteRow(None, None, 3, None, None, Quantiles(3, 0.1))
    full = RouteRow("GET", "a/", 3, 0, 0.5, Quantiles(3, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2))
    slow = SlowRequest(0.2)
    failure = ErrorRow(1, status=500)
    data = dataclasses.replace(BARE, routes=(row, full), slowest=(slow,), failures=(failure, ErrorRow(2, "E", "m")))

    [unknown, known] = cells(data, "routes")
    assert {unknown[name] for name in ("Method", "Route", "Time share", "p95", "Max", "Errors", "Error rate")} == {
        MISSING
    }
    assert (known["Errors"], known["Error rate"]) == ("0", "0%")
    assert cells(data, "errors") == [
        {"Requests": "1", "Status": "500", "Error and newest message": MISSING},
        {"Requests": "2", "Status": MISSING, "Error and newest message": "Em"},
    ]


def test_a_column_in_which_nobody_has_a_value_is_left_out() -> None:
    assert cells(dataclasses.replace(BARE, slowest=(SlowRequest(0.2),)), "slowest") == [{"Duration": "200 ms"}]


def test_lines_without_times_have_no_course_and_it_is_said() -> None:
    page = parse(BARE)

    assert "The lines have no timestamps." in page.text
    assert page.named("figure") == []
    assert f"Errors{MISSING}" in page.text


def test_no_requests_at_all_is_said() -> None:
    data = ReportData("log", ("a.log",), Lines(read=1200, requests=0), 0, None, Quantiles(0))

    assert "The log has no request line." in parse(data).text
    assert "1,200 read, 0 request lines" in parse(data).text


def test_no_error_is_said_too() -> None:
    assert "No request failed." in parse(dataclasses.replace(BARE, errors=0)).text


def test_n_stands_beside_the_quantiles_and_a_small_one_is_marked() -> None:
    rows = {row["Route"]: row["Requests"] for row in cells(shop(), "routes")}

    assert rows["export/orders.csv"].startswith("few ")
    assert rows["products/"].replace(",", "").isdigit()
    assert "n = 3" in parse(BARE).text
    assert "fewer than 20" in parse(BARE).text
    assert "fewer than 20" not in parse(dataclasses.replace(shop(), routes=())).text


def test_weighted_counts_say_so_and_keep_n_apart() -> None:
    row = RouteRow("GET", "a/", 400, 4, 1.0, Quantiles(40, *[0.1] * 7))
    data = dataclasses.replace(BARE, requests=400, errors=4, estimated=True, routes=(row,))

    assert "≈ 400" in parse(data).text
    assert "sample rate" in parse(data).text
    [shown] = cells(data, "routes")
    assert (shown["Requests"], shown["n"]) == ("400", "40")


def test_tables_are_cut_at_a_thousand_rows_and_say_so() -> None:
    rows = tuple(RouteRow("GET", f"r{number}/", 20, 0, 0.0, Quantiles(20, *[0.1] * 7)) for number in range(1200))
    rest = RouteRow(None, None, 5000, 2, 0.4, Quantiles(5000, *[0.1] * 7))
    data = dataclasses.replace(BARE, routes=rows, other_routes=rest, routes_total=9000)

    shown = cells(data, "routes")
    assert len(shown) == 1001
    assert (shown[-1]["Route"], shown[-1]["Requests"]) == ("(other)", "5,000")
    assert "Routes first 1,000 of 9,000" in parse(data).text


def test_many_sources_are_counted() -> None:
    data = dataclasses.replace(BARE, sources=tuple(f"{number}.log" for number in range(48)))

    assert "9.log and 38 more" in parse(data).text


def test_the_root_route_has_a_name() -> None:
    row = RouteRow("GET", "", 30, 0, 1.0, Quantiles(30, *[0.1] * 7))

    assert cells(dataclasses.replace(BARE, routes=(row,)), "routes")[0]["Route"] == "(root)"


def test_the_route_stands_below_a_path_that_differs() -> None:
    slow = (
        SlowRequest(2.0, path="/a/7/", route="a/<int:pk>/"),
        SlowRequest(1.0, path="/b/", route="b/"),
        SlowRequest(1.0),
    )
    data = dataclasses.replace(BARE, slowest=(*slow, SlowRequest(0.5, route="c/")))

    assert [row["Path and route"] for row in cells(data, "slowest")] == ["/a/7/a/<int:pk>/", "/b/", MISSING, "c/"]


def test_charts_can_be_read_without_being_seen() -> None:
    page = parse(shop())

    charts = [element for element in page.named("div") if element.get("role") == "group"]
    assert [(chart["aria-label"] or "").split(".")[0] for chart in charts] == [
        "Latency over time",
        "Course",
        "Durations",
    ]
    assert all(element.get("aria-hidden") == "true" or element["class"] == "swatch" for element in page.named("svg"))
    assert len(page.named("details")) == len(charts)


def test_the_charts_of_hardly_anything_are_drawn() -> None:
    """One request, at one moment, that took no time; and one stretch in which nothing happened."""
    second = dt.timedelta(seconds=1)
    data = dataclasses.replace(
        BARE,
        first=NOON,
        last=NOON,
        histogram=(Bin(0.0, 0.001, 1),),
        heat_map=HeatMap((NOON, NOON + second), (0.0, 0.001), ((1,),)),
        course=(
            Slice(NOON, NOON + second, 1, None, Quantiles(1, *[0.0] * 7)),
            Slice(NOON + second, NOON + 2 * second, 0, None, Quantiles(0)),
        ),
        routes=(RouteRow("GET", "a/", 1, 0, None, Quantiles(1, *[0.0] * 7)),),
        statuses=(Count("2xx", 1), Count("5xx", 0)),
    )

    page = parse(data)
    assert len(page.named("figure")) == 3
    assert "in a cell" not in page.text
    assert "in a cell" in parse(shop()).text


def test_the_page_of_nothing_but_quiet_hours_is_drawn() -> None:
    empty = HeatMap((NOON, NOON + dt.timedelta(hours=1)), (0.001, 0.01), ((0,),))
    quiet = Slice(NOON, NOON + dt.timedelta(hours=1), 0, 0, Quantiles(0))
    never = Slice(NOON, NOON, 1, 1, Quantiles(0))
    data = dataclasses.replace(BARE, heat_map=empty, course=(quiet, never), histogram=(Bin(0.001, 0.01, 0),))

    assert len(parse(data).named("figure")) == 3


def test_the_wheel_has_the_style_and_the_script(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")

    assert {"obs_middleware/read/show/page/report.css", "obs_middleware/read/show/page/report.js"} <= set(
        zipfile.ZipFile(wheel).namelist()
    )
