"""
The answers about an index, compared with the answers about the same lines in a file.

The search engine is osmem-server, or the one that ``OBS_ENGINE`` names: `make test-elk` asks the real OpenSearch.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest
from console import Run
from indexed import Shop, assert_alike, both, made, requests, took
from loglines import Event, events
from shipping.parts import Engine, is_percentile

from obs_middleware.read.answers import SHARES
from obs_middleware.read.index import formulas, side
from obs_middleware.read.index.formulas import rank_error

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
    values = [dice.choice([0.001, 0.1]) * dice.lognormvariate(0, 0.7) for _ in range(5_000)]
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
    for figure, share in SHARES.items():
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
    assert f"1,200 request lines of {shop.url}/{shop.index}" in out
    assert re.search(r"max \S+ s  n 1,200$", out, re.MULTILINE)
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


# Comparisons


@pytest.fixture(name="sides", scope="module")
def _sides(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Shop]:
    """Two indices. Checkout is slower in the second one."""
    shops = []
    for version, seed, factor in (("1.1", 5, 1.0), ("1.2", 6, 2.0)):
        lines = [
            event
            | {"event_id": f"{version}-{number}", "version": version}
            | {"duration_seconds": event["duration_seconds"] * (factor if event["route"] == "checkout/" else 1)}
            for number, event in enumerate(events(1_000, seed))
        ]
        shops.append(Shop(engine, tmp_path_factory.mktemp("side"), lines))
    return shops[0], shops[1]


def test_diff_of_two_indices_agrees_with_that_of_files(run: Run, sides: tuple[Shop, Shop]) -> None:
    before, after = sides
    arguments = ["--by", "route", "--format", "json"]
    here = json.loads(run("diff", before.file, after.file, *arguments)[1])
    code, out, err = run("diff", *before.there, "--index", after.index, *arguments)

    assert (code, err) == (0, "")
    there = json.loads(out)
    for one, other in zip(there["changes"], here["changes"], strict=True):
        for name in ("keys", "figure", "unit", "n_before", "n_after"):
            assert one[name] == other[name]
        if one["unit"] != "seconds":
            assert one == other
            continue
        for name, shop in (("before", before), ("after", after)):
            values = took([line for line in shop.lines if line["route"] == one["keys"][0]])
            share = SHARES[one["figure"]]
            assert is_percentile(one[name], 100 * share, values, slack=rank_error(share))
    real = {(*one["keys"], one["figure"]) for one in there["changes"] if one["real"]}
    assert {("checkout/", "p50"), ("checkout/", "p95")} <= real
    assert {route for route, _ in real} == {"checkout/"}


def test_diff_of_two_expressions_is_that_of_two_indices(run: Run, sides: tuple[Shop, Shop]) -> None:
    before, after = sides
    together = ["--opensearch", before.url, "--index", f"{before.index},{after.index}"]
    expected = run("diff", *before.there, "--index", after.index, "--format", "csv")

    found = run("diff", *together, "version = '1.1'", "version = '1.2'", "--format", "csv")

    rows = [[*csv.reader(io.StringIO(out))] for _, out, _ in (found, expected)]
    assert [row[:2] for row in rows[0]] == [row[:2] for row in rows[1]]
    assert [row[-3:] for row in rows[0]] == [row[-3:] for row in rows[1]]


def test_diff_says_that_the_intervals_allow_for_the_error_of_the_engine(run: Run, sides: tuple[Shop, Shop]) -> None:
    before, after = sides
    shown = run("diff", *before.there, "--index", after.index, "--limit", "1")[1]

    assert "the intervals allow for that" in shown
    assert "approximate (t-digest of the search engine)" in shown


def test_diff_of_the_same_is_never_a_change(run: Run, shop: Shop) -> None:
    data = json.loads(run("diff", *shop.there, "status < 999", "status < 999", "--format", "json")[1])

    assert {one["real"] for one in data["changes"]} == {False, None}
    assert {one["verdict"] for one in data["changes"]} == {"chance", "too few"}


@pytest.mark.parametrize(
    "arguments", [[], ["status = 200"], ["--index", "b", "status = 1", "status = 2"], ["--index", "b", "--index", "c"]]
)
def test_diff_without_two_sides_is_a_message(arguments: list[str], run: Run, shop: Shop) -> None:
    code, _, err = run("diff", *shop.there, *arguments)

    assert (code, "give two --index" in err) == (2, True)


def test_diff_says_when_there_is_too_little(run: Run, shop: Shop) -> None:
    sides = ["status < 999", f"request_id = '{requests(shop)[0]['request_id']}'"]
    data = json.loads(run("diff", *shop.there, *sides, "--format", "json")[1])

    assert {one["real"] for one in data["changes"] if one["unit"] == "seconds"} == {None}


def test_diff_of_one_file_is_a_message(run: Run, shop: Shop) -> None:
    assert run("diff", shop.file) == (
        2,
        "",
        "obs-middleware: diff compares two logs, BEFORE and AFTER, and you named 1: name two, or split with --at\n",
    )


# What is not there, or is otherwise


def test_there_may_be_more_groups_than_a_page_has(run: Run, shop: Shop) -> None:
    for by in ("request_id", "duration_seconds"):
        here, there = both(run, shop, "stats", "--by", by, "--limit", "3")

        assert there["groups"]["total"] == here["groups"]["total"] > 1_000
        assert [row["keys"] for row in there["groups"]["rows"]] == [row["keys"] for row in here["groups"]["rows"]]


def test_too_many_groups_are_a_message(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side, "MOST_GROUPS", 1_000)
    code, _, err = run("stats", *shop.there, "--by", "request_id")

    assert (code, "more than 1,000 groups by request_id: narrow the filters" in err) == (2, True)


def test_too_many_sample_rates_are_a_message(
    run: Run, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(engine, tmp_path, [line | {"sample_rate": 1 / (n % 5 + 1)} for n, line in enumerate(events(40))])
    monkeypatch.setattr(formulas, "MOST_RATES", 4)
    monkeypatch.setattr(side, "MOST_RATES", 4)

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
    assert (code, out.splitlines()[0]) == (0, "1 request  0 errors (0%)  5.00 ms in total")
    assert "no line has view or user_id" in out
    assert json.loads(run("slow", *there, "--format", "json")[1])["slowest"][0]["method"] == "GET"
    assert json.loads(run("slow", *there, "--format", "json")[1])["slowest"][0]["path"] is None
    assert "no line has a timestamp" in run("time", *there)[2]
    assert run("report", *there, "-o", tmp_path / "page.html")[0] == 0


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
