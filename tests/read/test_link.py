"""`obs_middleware.read.link`: the option ``--link`` of `report` and `request`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from console import Run, on_a_terminal, write
from hypothesis import given
from hypothesis import strategies as st
from loglines import FORMATS, Event, events
from pages import Page

from obs_middleware.read.link import Link

SENTRY = "https://sentry.example.com/issues/?query=request_id:{request_id}"
TEMPO = "https://grafana.example.com/trace/{trace_id}"
HOSTILE = "\"><script>alert(1)</script>&x=/../#{}'\x1b\n\ud800 é"


def link(template: str, *fields: str) -> Link:
    return Link(template, frozenset(fields))


def is_no_folder(value: str) -> bool:
    return value not in {".", ".."}


def test_the_fields_are_filled_in() -> None:
    both = link("https://a.example/{trace_id}?q={request_id}", "trace_id", "request_id")

    assert both.to({"request_id": "r-1", "trace_id": "0af7", "status": 200}) == "https://a.example/0af7?q=r-1"


@pytest.mark.parametrize(
    "values", [{}, {"request_id": None}, {"trace_id": "0af7"}, {"request_id": "."}, {"request_id": ".."}], ids=repr
)
def test_without_a_usable_field_there_is_no_link(values: dict[str, Any]) -> None:
    assert link(SENTRY, "request_id").to(values) is None


@given(st.text().filter(is_no_folder) | st.just(HOSTILE))
def test_a_value_stays_one_value_of_the_query(value: str) -> None:
    url = link("https://a.example/?q={request_id}&n=1#end", "request_id").to({"request_id": value})

    assert url is not None
    assert url.isascii()
    assert url.isprintable()
    parts = urlsplit(url)
    assert (parts.netloc, parts.path, parts.fragment) == ("a.example", "/", "end")
    readable = value.encode(errors="replace").decode()
    assert parse_qs(parts.query, keep_blank_values=True) == {"q": [readable], "n": ["1"]}


@given(st.text().filter(is_no_folder))
def test_a_value_stays_one_segment_of_the_path(value: str) -> None:
    url = link("https://a.example/trace/{trace_id}", "trace_id").to({"trace_id": value})

    assert url is not None
    assert unquote(urlsplit(url).path) == f"/trace/{value}".encode(errors="replace").decode()
    assert urlsplit(url).path.count("/") == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("javascript:alert({request_id})", "use a URL such as https://sentry.example.com/"),
        ("//sentry.example.com/{request_id}", "use a URL such as"),
        ("ftp://sentry.example.com/{request_id}", "use a URL such as"),
        ("https://{request_id}.example.com/", "use a URL such as"),
        ("https://sentry.example.com@{request_id}/", "use a URL such as"),
        ("https://sentry.example.com\\{request_id}", "use a URL such as"),
        ("https:///{request_id}", "use a URL such as"),
        ("https://sentry.example.com/ {request_id}", "use a URL such as"),
        ("https://sentry.example.com/\x1b{request_id}", "use a URL such as"),
        ("https://sentry.example.com/", "it names no field"),
        ("https://sentry.example.com/{colour}/{request_id}", "{colour} is not known here"),
        ("https://sentry.example.com/{}{request_id}", "{} is not known here"),
        ("https://sentry.example.com/{{request_id}}", "write braces that are not around a field as %7B and %7D"),
    ],
)
@pytest.mark.parametrize("command", [["report"], ["request", "r-1"]], ids=lambda command: command[0])
def test_a_mistake_in_the_url_is_reported(
    url: str, reason: str, command: list[str], capsys: pytest.CaptureFixture[str], run: Run, log: Path
) -> None:
    code, out, said = run(*command, log, "--link", url)

    assert (code, out) == (2, "")
    assert reason in said


def test_the_report_has_no_trace_to_link_to(run: Run, log: Path) -> None:
    assert "{trace_id} is not known here: use {request_id}, {task_id}" in run("report", log, "--link", TEMPO)[2]


def test_the_ids_of_the_report_are_links(run: Run, log: Path, written: list[Event]) -> None:
    page = Page(run("report", log, "--link", SENTRY)[1])

    links = [one for one in page.named("a") if "sentry" in str(one["href"])]
    ids = [row[-1] for name in ("errors", "slowest") for row in page.tables[name][1:]]
    assert [one["href"] for one in links] == [SENTRY.format(request_id=one) for one in ids]
    assert {one["rel"] for one in links} == {"noopener noreferrer"}
    assert set(ids) <= {event["request_id"] for event in written}


def test_a_hostile_id_is_a_text_and_a_value(run: Run, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [FORMATS["flat"]({**events(1)[0], "request_id": HOSTILE[:-3]})])

    page = run("report", log, "--link", SENTRY)[1]

    assert "<script>alert" not in page
    escaped = "%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26x%3D%2F..%2F%23%7B%7D%27"
    assert f'href="{SENTRY.removesuffix("{request_id}")}{escaped}' in page


def test_a_report_of_tasks_links_their_ids(run: Run, tmp_path: Path) -> None:
    task: dict[str, Any] = {
        "timestamp": "2026-11-02T10:00:04Z",
        "level": "error",
        "message": "Task took 1.0000 seconds",
        "kind": "task",
    }
    task |= {"task": "pay", "task_id": "t-1", "request_id": "r-1", "outcome": "error", "duration_seconds": 1.0}
    log = write(tmp_path / "a.log", [json.dumps(task)])

    page = run("report", log, "--kind", "task", "--link", "https://a.example/?t={task_id}")[1]

    assert page.count('href="https://a.example/?t=t-1"') == 2  # of the slowest and of the failures


def test_without_the_option_no_id_is_a_link(run: Run, log: Path) -> None:
    assert "http" not in "".join(str(one["href"]) for one in Page(run("report", log)[1]).named("a"))


@pytest.fixture(name="story")
def _story(tmp_path: Path) -> Path:
    line = {**events(1)[0], "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    note = {"timestamp": line["timestamp"], "level": "info", "message": "Paid", "request_id": "r-1", "trace_id": "4bf9"}
    return write(tmp_path / "a.log", [FORMATS["flat"](line), json.dumps(note)])


@pytest.mark.parametrize(
    ("template", "url"),
    [
        (SENTRY, "https://sentry.example.com/issues/?query=request_id:r-1"),
        (TEMPO, "https://grafana.example.com/trace/0af7651916cd43dd8448eb211c80319c"),
    ],
    ids=["sentry", "tempo"],
)
def test_the_story_of_a_request_ends_with_the_link(run: Run, story: Path, template: str, url: str) -> None:
    assert run("request", "r-1", story, "--link", template)[1].splitlines()[-1] == url
    assert json.loads(run("request", "r-1", story, "--link", template, "--format", "json")[1])["links"] == [url]
    assert run("request", "r-1", story, "--link", template, "--format", "markdown")[1].splitlines()[-1] == f"<{url}>  "


def test_a_narrow_terminal_does_not_break_the_link(story: Path) -> None:
    shown = on_a_terminal("request", "r-1", story, "--link", TEMPO, COLUMNS="40")

    assert "https://grafana.example.com/trace/0af7651916cd43dd8448eb211c80319c" in shown


def test_a_story_without_the_field_has_no_link(run: Run, story: Path) -> None:
    without = "https://a.example/{task_id}"

    assert "https" not in run("request", "r-1", story, "--link", without)[1]
    assert json.loads(run("request", "r-1", story, "--link", without, "--format", "json")[1])["links"] == []
    assert "links" not in json.loads(run("request", "r-1", story, "--format", "json")[1])


def test_a_story_shows_only_the_first_links(run: Run, tmp_path: Path) -> None:
    lines = [
        {**events(1)[0], "kind": "task", "task": "pay", "task_id": f"t-{n}", "request_id": "r-1", "event_id": f"e-{n}"}
        for n in range(7)
    ]
    log = write(tmp_path / "a.log", [json.dumps(line) for line in lines])
    command = ("request", "r-1", log, "--link", "https://a.example/{task_id}")

    shown = run(*command)[1].splitlines()

    assert shown[-6:] == ["the first 5 of 7 links:", *(f"https://a.example/t-{n}" for n in range(5))]
    assert len(json.loads(run(*command, "--format", "json")[1])["links"]) == 7
