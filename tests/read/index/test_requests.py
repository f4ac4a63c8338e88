"""
A search engine asked what files are asked: the same lines, the same questions, the same answers.

The engine is osmem-server, or what ``OBS_ENGINE`` names: `make test-elk` asks the real OpenSearch.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from console import Run
from loglines import FORMATS, Event, events
from shipping.parts import Engine, engine_name, is_percentile, running_engine

from obs_middleware.read.answers import Quantiles
from obs_middleware.read.index import figures, session
from obs_middleware.read.index import requests as searching
from obs_middleware.read.index.figures import rank_error

FIGURES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(engine_name(), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def hello(number: int, request_id: str) -> Event:
    """Return a line that a view wrote."""
    return {
        "timestamp": f"2026-11-02T10:00:{number % 60:02}.000001Z",
        "level": "info",
        "logger": "shop",
        "message": "Hello",
        "event_id": f"hello-{number}",
        "request_id": request_id,
    }


class Shop:
    """The same lines in a file and in an index."""

    def __init__(self, engine: Engine, folder: Path, lines: list[Event]) -> None:
        self.lines = lines
        self.index = f"logs-shop-{uuid4().hex}"
        self.url = f"http://127.0.0.1:{engine.port}"
        texts = [FORMATS["ecs"](line) for line in lines]
        assert {item["status"] for item in engine.fill(self.index, texts)} == {201}
        self.file = folder / "shop.log"
        self.file.write_text("".join(f"{text}\n" for text in texts))

    @property
    def there(self) -> list[str]:
        """The arguments that name the index."""
        return ["--opensearch", self.url, "--index", self.index]


@pytest.fixture(name="shop", scope="module")
def _shop(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Three thousand requests; what else was logged; and fields of the application of every kind."""
    dice = random.Random(3)
    lines = []
    for number, event in enumerate(events(3_000, seed=3)):
        slow = {"slow": True} if event["duration_seconds"] > 0.3 else {}
        lines.append(
            event | slow | {"payment_seconds": round(dice.random(), 3), "vip": number % 2 == 0, "cart": {"a": 1}}
        )
        if number % 10 == 0:
            lines.append(hello(number, event["request_id"]))
    return Shop(engine, tmp_path_factory.mktemp("shop"), lines)


def requests(shop: Shop) -> list[Event]:
    return [line for line in shop.lines if "duration_seconds" in line]


def took(lines: list[Event]) -> list[float]:
    return [line["duration_seconds"] for line in lines]


def both(run: Run, shop: Shop, name: str, *arguments: str) -> tuple[Any, Any]:
    """Return what *name* says in JSON of the file and of the index."""
    found = []
    for where in ([str(shop.file)], shop.there):
        code, out, err = run(name, *where, *arguments, "--format", "json")
        assert code in {0, 1}, err
        found.append(json.loads(out))
    return found[0], found[1]


def assert_alike(durations: Any, expected: Any, values: list[float]) -> None:
    """Assert that all is the same but for the percentiles, and that these are where their error allows."""
    assert durations["n"] == expected["n"] == len(values)
    assert durations["max"] == pytest.approx(expected["max"])
    assert durations["mean"] == pytest.approx(expected["mean"])
    for figure, share in FIGURES.items():
        assert is_percentile(durations[figure], 100 * share, values, slack=rank_error(share)), figure


# Figures


def test_the_overview_is_that_of_the_lines(run: Run, shop: Shop) -> None:
    here, there = both(run, shop, "stats")

    ours, theirs = here["overview"], there["overview"]
    assert_alike(theirs.pop("durations"), ours.pop("durations"), took(requests(shop)))
    assert theirs.pop("seconds") == pytest.approx(ours.pop("seconds"))
    for one, other in zip(theirs.pop("histogram"), ours.pop("histogram"), strict=True):
        assert one == pytest.approx(other)
    assert theirs == ours
    assert there["sources"] == [f"{shop.url}/{shop.index}"]
    assert there["lines"] is None
    assert "approximate (t-digest of the search engine)" in there["approximate"]
    assert "approximate" not in here


@pytest.mark.parametrize(
    ("by", "limit"),
    [
        (["method", "route"], 0),
        (["route"], 2),
        (["status"], 0),
        (["user_id", "tenant"], 5),
        (["vip"], 0),
        (["slow", "method"], 0),
        (["view", "outcome", "error_type"], 3),
        (["client_ip"], 0),
    ],
    ids=lambda value: str(value),
)
def test_groups_are_those_of_the_lines(by: list[str], limit: int, run: Run, shop: Shop) -> None:
    arguments = ["--by", ",".join(by), "--limit", str(limit)]
    here, there = both(run, shop, "stats", *arguments)

    ours, theirs = here["groups"], there["groups"]
    assert theirs["total"] == ours["total"]
    assert [row["keys"] for row in theirs["rows"]] == [row["keys"] for row in ours["rows"]]
    rows = [*zip(theirs["rows"], ours["rows"], strict=True)]
    assert (theirs["rest"] is None) == (ours["rest"] is None)
    rows += [(theirs["rest"], ours["rest"])] if ours["rest"] else []
    shown = [tuple(row["keys"]) for row in ours["rows"]]
    for one, other in rows:
        keys = None if one is theirs["rest"] else tuple(one["keys"])
        values = took([line for line in requests(shop) if keys_of(line, by, shown) == keys])
        assert (one["requests"], one["errors"]) == (other["requests"], other["errors"])
        assert (one["seconds"], one["share"]) == (pytest.approx(other["seconds"]), pytest.approx(other["share"]))
        assert_alike(one["durations"], other["durations"], values)


def keys_of(line: Event, by: list[str], shown: list[tuple[str | None, ...]]) -> tuple[str | None, ...] | None:
    """Return the group of *line*; None for the rest."""
    values = [line.get(field) for field in by]
    keys = tuple(None if one is None else str(one).lower() if isinstance(one, bool) else str(one) for one in values)
    return keys if keys in shown else None


def test_the_slowest_are_those_of_the_lines(run: Run, shop: Shop) -> None:
    here, there = both(run, shop, "slow", "--limit", "30")

    assert there["slowest"] == here["slowest"]


@pytest.mark.parametrize("shards", [1, 3])
def test_percentiles_are_as_near_as_they_say(shards: int, run: Run, engine: Engine) -> None:
    """The median lies between two humps, where there is little to hold on to; shards have a digest each."""
    dice = random.Random(1)
    values = [dice.choice([0.001, 0.1]) * dice.lognormvariate(0, 0.7) for _ in range(20_000)]
    index = f"other-{uuid4().hex}"
    number, keyword, date = {"type": "long"}, {"type": "keyword"}, {"type": "date"}
    event, obs = {"properties": {"duration": number}}, {"properties": {"outcome": keyword}}
    mappings = {"properties": {"@timestamp": date, "event": event, "obs": obs}}
    engine.ask("PUT", f"/{index}", {"settings": {"number_of_shards": shards}, "mappings": mappings})
    line = {"@timestamp": "2026-11-02T10:00:00Z", "obs": {"outcome": "ok"}}
    lines = [json.dumps({**line, "event": {"duration": round(value * 1e9)}}) for value in values]
    engine.ask("POST", f"/{index}/_bulk?refresh=true", "".join(f'{{"index":{{}}}}\n{one}\n' for one in lines))

    there = ["--opensearch", f"http://127.0.0.1:{engine.port}", "--index", index]
    durations = json.loads(run("stats", *there, "--format", "json")[1])["overview"]["durations"]

    assert durations["n"] == len(values)
    for figure, share in FIGURES.items():
        assert is_percentile(durations[figure], 100 * share, values, slack=rank_error(share)), figure


@pytest.mark.parametrize("every", ["10s", "7m", "1h"])
def test_the_course_is_that_of_the_lines(every: str, run: Run, shop: Shop) -> None:
    here, there = both(run, shop, "time", "--every", every)

    for one, other in zip(there["slices"], here["slices"], strict=True):
        values = took([line for line in requests(shop) if one["start"] <= line["timestamp"] < one["end"]])
        assert_alike(one.pop("durations"), other.pop("durations"), values)
        assert one == other


def test_a_course_may_have_gaps(run: Run, engine: Engine, tmp_path: Path) -> None:
    lines = [line for line in events(300) if not "2026-11-02T10:01" < line["timestamp"] < "2026-11-02T10:04"]
    shop = Shop(engine, tmp_path, lines)

    here, there = both(run, shop, "time", "--every", "1m")

    assert (
        [one["requests"] for one in there["slices"]] == [one["requests"] for one in here["slices"]] == [60, 0, 0, 0, 60]
    )


def test_a_sample_rate_weighs(run: Run, engine: Engine, tmp_path: Path) -> None:
    rates = [None, 0.5, 0.1, 1.0]
    lines = [
        line | ({} if (rate := rates[number % 4]) is None else {"sample_rate": rate})
        for number, line in enumerate(events(400))
    ]
    shop = Shop(engine, tmp_path, lines)
    here, there = both(run, shop, "stats")

    ours, theirs = here["overview"], there["overview"]
    assert theirs["requests"] == ours["requests"] == 100 + 200 + 1_000 + 100
    for name in ("errors", "estimated", "statuses"):
        assert theirs[name] == ours[name]
    assert theirs["seconds"] == pytest.approx(ours["seconds"])
    for one, other in zip(there["groups"]["rows"], here["groups"]["rows"], strict=True):
        assert (one["keys"], one["requests"], one["errors"]) == (other["keys"], other["requests"], other["errors"])
        assert one["share"] == pytest.approx(other["share"])
    assert "1 / sample_rate" in run("stats", *shop.there)[1]


def test_the_table_says_that_it_is_approximate_and_of_how_many(run: Run, shop: Shop) -> None:
    code, out, err = run("stats", *shop.there)

    assert (code, err) == (0, "")
    assert "percentiles are approximate (t-digest of the search engine)" in out
    assert f"3,000 request lines of {shop.url}/{shop.index}" in out
    assert re.search(r"max \S+ s  n 3,000$", out, re.MULTILINE)
    assert run("stats", *shop.there, "--format", "csv")[1].splitlines()[0].endswith(",n")


def test_check_has_the_same_verdict(run: Run, shop: Shop) -> None:
    for limits in (["--p95", "60s", "--errors", "50%"], ["--p95", "1ms"], ["--errors", "0.1%"]):
        assert run("check", *shop.there, *limits)[0] == run("check", shop.file, *limits)[0]
    shown = run("check", *shop.there, "--p50", "1ms", "--route", "checkout/")[1]
    assert shown.startswith("broken: p50")
    assert "approximate (t-digest of the search engine)" in shown


def test_the_report_has_the_same_figures(run: Run, shop: Shop, tmp_path: Path) -> None:
    pages = []
    for name, where in (("here", [str(shop.file)]), ("there", shop.there)):
        code, _, err = run("report", *where, "-o", tmp_path / name)
        assert code == 0, err
        pages.append((tmp_path / name).read_text())

    here, there = (text_of(page).replace(shop.index, "") for page in pages)
    assert "approximate (t-digest of the search engine)" in pages[1]
    assert "approximate" not in pages[0]
    # Ids are in the tables of the slowest and of the failed requests.
    ids = [Counter(re.findall(r"\b[0-9a-f]{32}\b", text)) for text in (here, there)]
    assert ids[0] == ids[1]
    assert sum(ids[0].values()) > 200


def text_of(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", page)


# Filters


EXPRESSIONS = [
    "status = 200",
    "status != 200",
    "not status = 200",
    "status >= 400 and status < 500",
    "not (status >= 400 or method = 'POST')",
    "not (status >= 400 and method = 'POST')",
    "status in (302, 404)",
    "method not in ('GET', 'POST')",
    "route is null",
    "route is not null",
    "not route is null",
    "route = ''",
    "route != ''",
    "route ~ '^orders/'",
    "route !~ '^orders/'",
    "not route ~ 'ord'",
    r"path ~ '^/orders/\d+/$'",
    r"path ~ '/(1|2)[0-4]{2}/$'",
    "path ~ 'check.?out'",
    r"path ~ '^(/|/checkout/)$'",
    r"path ~ '\w\w\w\w\w\w'",
    r"route ~ '<int:pk>'",
    r"view ~ '^orders:detail$'",
    "duration_seconds > 100ms",
    "duration_seconds <= 0.05 or status = 500",
    "db_queries > 3",
    "db_seconds < 2ms",
    "db_queries < 2.5",
    "timestamp >= '2026-11-02T10:30:00Z'",
    "timestamp < '2026-11-02T11:10:00+01:00'",
    "tenant = 't1'",
    "tenant != 't1' and user_id = 3",
    "tenant < 't2'",
    "payment_seconds > 0.5",
    "payment_seconds = 0.25",
    "vip = true",
    "not vip = true",
    "error_type = 'shop.errors.Declined'",
    "error_message is null and duration_seconds is not null",
    "client_ip = '10.0.0.1'",
    "client_ip is null",
    "logger = 'shop'",
    "slow is null and message is not null",
    "slow = true",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_means_the_same(expression: str, run: Run, shop: Shop) -> None:
    here = run("grep", expression, shop.file, "--count")

    assert run("grep", expression, *shop.there, "--count") == here
    assert here[2] == ""


def test_the_expressions_tell_lines_apart(run: Run, shop: Shop) -> None:
    """Were most of them true of nothing, or of everything, nothing would have been compared."""
    found = [int(run("grep", expression, *shop.there, "--count")[1]) for expression in EXPRESSIONS]

    assert sum(0 < number < len(shop.lines) for number in found) > 0.8 * len(EXPRESSIONS)


@pytest.mark.parametrize(
    "filters",
    [
        ["--since", "2026-11-02T10:20:00Z", "--until", "2026-11-02T10:30:00Z"],
        ["--route", "checkout/", "--route", ""],
        ["--method", "post", "--status", "5xx,302"],
        ["--status", "400-499", "--where", "tenant = 't2'"],
    ],
    ids=" ".join,
)
def test_filters_let_the_same_pass(filters: list[str], run: Run, shop: Shop) -> None:
    here, there = both(run, shop, "stats", *filters)

    for name in ("requests", "errors", "first", "last", "statuses"):
        assert there["overview"][name] == here["overview"][name]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (r"path ~ '\bx'", "a search engine knows no such expression"),
        ("path ~ 'a(?=b)'", "a search engine knows no such expression"),
        ("path ~ 'a*?'", "a search engine knows no such expression"),
        ("path ~ '^a|b$'", "in parentheses"),
        ("status ~ '5..'", "status is long in the index: no regular expression"),
        ("message ~ 'x'", "message is match_only_text in the index: no regular expression"),
        ("message = 'x'", "message is match_only_text in the index"),
        ("user_id > 3", "user_id is keyword in the index, where > 3.0 cannot be asked"),
        ("payment_seconds = 'x'", "payment_seconds is double in the index"),
        ("timestamp > 'soon'", "timestamp is compared with a time such as"),
        ("nosuch = 1", "has none of labels.nosuch, app.nosuch, nosuch"),
    ],
)
def test_what_cannot_be_asked_is_a_message(expression: str, message: str, run: Run, shop: Shop) -> None:
    code, out, err = run("stats", *shop.there, "--where", expression)

    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


# Lines


def test_request_prints_every_line_of_one_request(run: Run, shop: Shop) -> None:
    request_id = shop.lines[0]["request_id"]

    code, out, _ = run("request", request_id, *shop.there)

    assert code == 0
    expected = [json.loads(FORMATS["ecs"](line)) for line in shop.lines if line["request_id"] == request_id]
    assert [json.loads(line) for line in out.splitlines()] == expected
    assert len(expected) == 2
    assert run("request", "nobody's", *shop.there)[0] == 1


def test_what_grep_prints_can_be_read_again(run: Run, shop: Shop, tmp_path: Path) -> None:
    """More than a page of them, in the order of time."""
    code, out, _ = run("grep", "status < 500", *shop.there)
    (tmp_path / "again.log").write_text(out)

    lines = [json.loads(line) for line in out.splitlines()]
    times = [line["@timestamp"] for line in lines]
    assert code == 0
    assert len({line["event_id"] for line in lines}) == len(lines) > 2_000
    assert times == sorted(times)
    again = json.loads(run("stats", tmp_path / "again.log", "--format", "json")[1])
    assert (
        again["overview"]
        == json.loads(run("stats", shop.file, "--where", "status < 500", "--format", "json")[1])["overview"]
    )


# diff


@pytest.fixture(name="sides", scope="module")
def _sides(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Shop, Shop]:
    """Two sides, of which the second has a slower checkout, and both in one index."""
    lines = {}
    for version, seed, factor in (("1.1", 5, 1.0), ("1.2", 6, 1.5)):
        lines[version] = [
            event
            | {"event_id": f"{version}-{number}", "version": version}
            | {"duration_seconds": event["duration_seconds"] * (factor if event["route"] == "checkout/" else 1)}
            for number, event in enumerate(events(3_000, seed))
        ]
    folders = (tmp_path_factory.mktemp("side") for _ in range(3))
    shops = [
        Shop(engine, folder, one)
        for folder, one in zip(
            folders, [*lines.values(), [one for side in lines.values() for one in side]], strict=True
        )
    ]
    return shops[0], shops[1], shops[2]


def test_diff_of_two_indices_agrees_with_that_of_files(run: Run, sides: tuple[Shop, Shop, Shop]) -> None:
    before, after, _ = sides
    arguments = ["--by", "route", "--format", "json"]
    here = json.loads(run("diff", before.file, after.file, *arguments)[1])
    code, out, err = run("diff", *before.there, "--index", after.index, *arguments)

    assert (code, err) == (0, "")
    there = json.loads(out)
    for one, other in zip(there["changes"], here["changes"], strict=True):
        for name in ("keys", "figure", "n_before", "n_after"):
            assert one[name] == other[name]
        for side, shop in (("before", before), ("after", after)):
            values = took([line for line in shop.lines if line["route"] == one["keys"][0]])
            share = FIGURES[one["figure"]]
            assert is_percentile(one[f"{side}_seconds"], 100 * share, values, slack=rank_error(share))
    real = {(*one["keys"], one["figure"]) for one in there["changes"] if one["real"]}
    assert {("checkout/", "p50"), ("checkout/", "p95")} <= real
    assert {route for route, _ in real} == {"checkout/"}


def test_diff_of_two_expressions_is_that_of_two_indices(run: Run, sides: tuple[Shop, Shop, Shop]) -> None:
    before, after, together = sides
    expected = run("diff", *before.there, "--index", after.index, "--format", "csv")

    found = run("diff", *together.there, "version = '1.1'", "version = '1.2'", "--format", "csv")

    rows = [[*csv.reader(io.StringIO(out))] for _, out, _ in (found, expected)]
    assert [row[:2] for row in rows[0]] == [row[:2] for row in rows[1]]
    assert [row[-3:] for row in rows[0]] == [row[-3:] for row in rows[1]]


def test_diff_says_that_the_error_of_the_engine_is_drawn_too(run: Run, sides: tuple[Shop, Shop, Shop]) -> None:
    before, after, _ = sides
    shown = run("diff", *before.there, "--index", after.index, "--limit", "1")[1]

    assert "the interval includes the error of the percentiles" in shown
    assert "approximate (t-digest of the search engine)" in shown


def test_diff_of_the_same_is_never_a_change(run: Run, shop: Shop) -> None:
    data = json.loads(run("diff", *shop.there, "status < 999", "status < 999", "--format", "json")[1])

    assert {one["real"] for one in data["changes"]} == {False}


@pytest.mark.parametrize(
    "arguments", [[], ["status = 200"], ["--index", "b", "status = 1", "status = 2"], ["--index", "b", "--index", "c"]]
)
def test_diff_without_two_sides_is_a_message(arguments: list[str], run: Run, shop: Shop) -> None:
    code, _, err = run("diff", *shop.there, *arguments)

    assert (code, "give two --index" in err) == (2, True)


def test_diff_says_when_there_is_too_little(run: Run, shop: Shop) -> None:
    sides = ["status < 999", "duration_seconds > 1.5"]
    data = json.loads(run("diff", *shop.there, *sides, "--format", "json")[1])

    assert {one["real"] for one in data["changes"]} == {None}


def test_diff_of_one_file_is_a_message(run: Run, shop: Shop) -> None:
    assert run("diff", shop.file) == (
        2,
        "",
        "obs-middleware: diff compares two logs, BEFORE and AFTER, and you named 1\n",
    )


# What is not there, or is otherwise


def test_there_may_be_more_groups_than_a_page_has(run: Run, shop: Shop) -> None:
    for by in ("request_id", "duration_seconds"):
        here, there = both(run, shop, "stats", "--by", by, "--limit", "3")

        assert there["groups"]["total"] == here["groups"]["total"] > 2_000
        assert [row["keys"] for row in there["groups"]["rows"]] == [row["keys"] for row in here["groups"]["rows"]]


def test_too_many_groups_are_a_message(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_GROUPS", 2_000)
    code, _, err = run("stats", *shop.there, "--by", "request_id")

    assert (code, "more than 2,000 groups by request_id: narrow the filters" in err) == (2, True)


def test_too_many_sample_rates_are_a_message(
    run: Run, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(engine, tmp_path, [line | {"sample_rate": 1 / (n % 5 + 1)} for n, line in enumerate(events(40))])
    monkeypatch.setattr(figures, "MOST_RATES", 4)
    monkeypatch.setattr(searching, "MOST_RATES", 4)

    code, _, err = run("stats", *shop.there)

    assert (code, "more than 4 different sample rates" in err) == (2, True)


def test_requests_without_a_time_are_counted(run: Run, engine: Engine, tmp_path: Path) -> None:
    """And in the document, dots in keys are levels, as the index has them."""
    types = {"event": {"properties": {"duration": {"type": "long"}}}, "@timestamp": {"type": "date"}}
    document = {
        "event.duration": 5_000_000,
        "obs": {"outcome": "ok"},
        "http.request": {"method": "GET"},
        "url": "x",
        "path": "y",
    }
    there = made(engine, {**types, "obs": {"properties": {"outcome": {"type": "keyword"}}}}, document)

    code, out, _ = run("stats", *there, "--by", "view,user_id")
    assert (code, out.splitlines()[0]) == (0, "1 requests  0 errors (0%)  5.00 ms in total")
    assert "no line has view or user_id" in out
    assert json.loads(run("slow", *there, "--format", "json")[1])["slowest"][0]["method"] == "GET"
    assert json.loads(run("slow", *there, "--format", "json")[1])["slowest"][0]["path"] is None
    assert "no line has a timestamp" in run("time", *there)[2]
    assert run("report", *there, "-o", tmp_path / "page.html")[0] == 0


def test_half_a_character_is_printed_as_an_escape() -> None:
    assert session._line({"a": "ä"}) == '{"a":"ä"}'
    assert session._line({"a": "\ud800"}) == '{"a":"\\ud800"}'


def test_a_group_that_has_gone_since_it_was_found_has_no_durations() -> None:
    assert figures.quantiles_of({"doc_count": 0}) == Quantiles(0)


def test_no_such_index_is_a_message(run: Run, shop: Shop) -> None:
    for name in ("nosuch", "nosuch-*"):
        expected = f"obs-middleware: {shop.url}: no such index: {name}\n"
        assert run("stats", "--opensearch", shop.url, "--index", name) == (2, "", expected)


def test_filters_that_leave_nothing_are_a_message(run: Run, shop: Shop) -> None:
    message = f"obs-middleware: {shop.url}/{shop.index}: none of the 3,000 request lines passes the filters\n"

    assert run("stats", *shop.there, "--status", "418") == (2, "", message)


def test_an_index_without_request_lines_is_a_message(run: Run, engine: Engine, tmp_path: Path) -> None:
    shop = Shop(engine, tmp_path, [hello(number, "x") for number in range(3)])

    assert run("stats", *shop.there) == (2, "", f"obs-middleware: {shop.url}/{shop.index}: no request line\n")


def made(engine: Engine, properties: dict[str, Any] | None, document: dict[str, Any]) -> list[str]:
    """Make an index without our template, and return the arguments that name it."""
    index = f"other-{uuid4().hex}"
    if properties is not None:
        engine.ask("PUT", f"/{index}", {"mappings": {"properties": properties}})
    engine.ask("POST", f"/{index}/_doc?refresh=true", document)
    return ["--opensearch", f"http://127.0.0.1:{engine.port}", "--index", index]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "the index has no field event.duration of the schema ecs"),
        ({"event": {"properties": {"duration": {"type": "keyword"}}}}, "event.duration is keyword: obs-middleware"),
        (
            {"event": {"properties": {"duration": {"type": "long"}}}, "@timestamp": {"type": "keyword"}},
            "@timestamp is keyword: obs-middleware elastic-template",
        ),
    ],
)
def test_a_wrong_mapping_is_a_message(properties: dict[str, Any], message: str, run: Run, engine: Engine) -> None:
    code, out, err = run("stats", *made(engine, properties, {}))

    assert (code, out) == (2, "")
    assert message in err


def test_a_text_that_cannot_be_grouped_by_is_a_message(run: Run, shop: Shop) -> None:
    code, _, err = run("stats", *shop.there, "--by", "message")

    assert (code, "cannot group by message, which is match_only_text" in err) == (2, True)


def test_an_index_that_was_not_told_the_types_is_read_too(run: Run, engine: Engine) -> None:
    """There a text has a keyword beside it."""
    text = FORMATS["ecs"](next(event for event in events(50) if event["route"] == "checkout/"))
    there = made(engine, None, json.loads(text))

    code, out, err = run("stats", *there, "--route", "checkout/", "--by", "route,tenant", "--format", "csv")

    assert (code, err) == (0, "")
    assert [row[:3] for row in csv.reader(io.StringIO(out))][1][0] == "checkout/"
    slowest = json.loads(run("slow", *there, "--format", "json")[1])["slowest"]
    assert slowest[0]["path"] == "/checkout/"


def test_a_field_in_two_places_is_named_in_full(run: Run, engine: Engine, tmp_path: Path) -> None:
    lines = [line | {"size": "big" if number % 2 else 5} for number, line in enumerate(events(40))]
    shop = Shop(engine, tmp_path, lines)

    code, _, err = run("stats", *shop.there, "--by", "size")

    assert (code, err) == (2, "obs-middleware: ambiguous field size: name labels.size or app.size\n")
    assert run("stats", *shop.there, "--by", "labels.size")[0] == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["stats", "--by", "timestamp"], "the command time shows"),
        (["slow", "--limit", "10001"], "at most 10,000 requests"),
        (["time", "--every", "1s"], "the limit is 1,000"),
    ],
)
def test_what_makes_no_sense_there_is_a_message(command: list[str], message: str, run: Run, shop: Shop) -> None:
    code, _, err = run(*command, *shop.there)

    assert (code, message in err) == (2, True)
