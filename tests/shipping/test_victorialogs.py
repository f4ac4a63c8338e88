"""`examples/victorialogs`: the golden lines through the collector, and the queries of its page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shipping.golden import GOLDEN, ROUTES, golden_lines, of, took
from shipping.parts import is_percentile, wait_for
from shipping.shippers import Collector
from shipping.test_queries import THE_REQUEST
from shipping.test_shippers import ARRIVE_SECONDS, NEEDS_GO
from shipping.victoria import EXAMPLE, VictoriaLogs, asked, running_victoria

pytestmark = [pytest.mark.shipping, NEEDS_GO]

DAY = "_time:[2026-11-02T09:00:00Z, 2026-11-02T12:00:00Z)"

Ask = Callable[[str], list[dict[str, str]]]


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("victoria")
    for name in ("logs", "spool"):
        (folder / name).mkdir()
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in golden_lines())
    (folder / "logs" / "app.json").write_text(text)
    return folder


@pytest.fixture(name="victoria", scope="module")
def _victoria(folder: Path) -> Iterator[VictoriaLogs]:
    """VictoriaLogs with the golden lines, which came through the collector."""
    with running_victoria(folder) as victoria:
        collector = Collector(EXAMPLE / "collector.yaml", folder / "logs", folder / "spool", victoria.port)
        collector.check()
        with collector.running():
            wait_for(victoria.count, lambda count: count >= 2 * len(GOLDEN), ARRIVE_SECONDS, "lines")
        yield victoria


@pytest.fixture(name="ask", scope="module")
def _ask(victoria: VictoriaLogs) -> Ask:
    """Ask a question of the golden lines, which are of another day and have other ids than those of the page."""

    def ask(question: str) -> list[dict[str, str]]:
        text = re.sub(r"_time:1[hd]", DAY, asked()[question])
        return victoria.ask(text.replace(THE_REQUEST, "request-132"))

    return ask


def test_every_line_is_there_once(victoria: VictoriaLogs) -> None:
    assert victoria.count() == 2 * len(GOLDEN)
    assert victoria.count("* | uniq by (event_id)") == 2 * len(GOLDEN)


def test_slow_routes(ask: Ask) -> None:
    rows = ask("Which routes are slow?")

    assert [row["http.route"] for row in rows] == ["checkout/", "report/", "products/<slug:slug>/"]
    for row in rows:
        requests = of(row["http.route"])
        assert int(row["requests"]) == len(requests)
        assert is_percentile(float(row["p95"]), 95, took(requests))


def test_the_p95_of_each_route_by_the_minute(ask: Ask) -> None:
    rows = ask("What is the p95 of each route, minute by minute?")

    minutes = ["2026-11-02T10:00:00Z", "2026-11-02T10:01:00Z"]
    assert [(row["http.route"], row["_time"]) for row in rows] == [(r, m) for r in sorted(ROUTES) for m in minutes]
    for row in rows:
        requests = [one for one in of(row["http.route"]) if one.minute == minutes.index(row["_time"])]
        assert int(row["requests"]) == len(requests)
        assert is_percentile(float(row["p95"]), 95, took(requests))


def test_errors_by_type(ask: Ask) -> None:
    rows = [(row["error.type"], row["http.route"], row["requests"]) for row in ask("Which errors are there?")]

    assert rows == [("ZeroDivisionError", "report/", "20"), ("shop.BankError", "checkout/", "8")]


def test_the_lines_of_one_request(ask: Ask) -> None:
    rows = ask("What else did this request say?")

    assert {(row["event_id"], row["log.logger"], row["_msg"]) for row in rows} == {
        ("132-1", "shop", "Hello"),
        ("132-2", "root", "Request took 1.0320 seconds"),
    }


def test_what_changed_since_the_release(ask: Ask) -> None:
    rows = ask("What changed since the release?")

    failures = Counter((one.route, one.version) for one in GOLDEN if one.outcome == "error")
    assert [(row["http.route"], row["service.version"]) for row in rows] == [
        (route, version) for route in sorted(ROUTES) for version in ("1.0", "1.1")
    ]
    for row in rows:
        key = row["http.route"], row["service.version"]
        requests = [one for one in of(key[0]) if one.version == key[1]]
        assert (int(row["requests"]), int(row["failures"])) == (len(requests), failures[key])
        assert float(row["error_rate"]) == pytest.approx(failures[key] / len(requests))
        assert is_percentile(float(row["p95"]), 95, took(requests))
