"""Lines and filters: what a search engine finds, compared with files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from console import Run
from indexed import Shop, both, hello
from loglines import FORMATS
from shipping.parts import Engine

from obs_middleware.read.index.session import _line

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
    "timestamp >= '2026-11-02T10:10:00Z'",
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
    assert here[2] in {"", "obs-middleware: no line has the field client_ip\n"}


def test_the_expressions_tell_lines_apart(run: Run, shop: Shop) -> None:
    """Were most of them true of nothing, or of everything, nothing would have been compared."""
    found = [int(run("grep", expression, *shop.there, "--count")[1]) for expression in EXPRESSIONS]

    assert sum(0 < number < len(shop.lines) for number in found) > 0.8 * len(EXPRESSIONS)


@pytest.mark.parametrize(
    "filters",
    [
        ["--since", "2026-11-02T10:05:00Z", "--until", "2026-11-02T10:15:00Z"],
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


# Lines


@pytest.mark.parametrize(("name", "rows"), [("stats", "groups"), ("time", "slices")])
def test_chosen_percentiles_are_where_their_error_allows(name: str, rows: str, run: Run, shop: Shop) -> None:
    here, there = both(run, shop, name, "--p", "25,75")

    [one, *_] = there[rows]["rows"] if name == "stats" else there[rows]
    [same, *_] = here[rows]["rows"] if name == "stats" else here[rows]
    took = [same["durations"][figure] for figure in ("p25", "p75")]
    assert [one["durations"][figure] for figure in ("p25", "p75")] == pytest.approx(took, rel=0.2)
    assert one["durations"]["n"] == same["durations"]["n"]


def test_request_prints_every_line_of_one_request(run: Run, shop: Shop) -> None:
    request_id = shop.lines[0]["request_id"]

    code, out, _ = run("request", request_id, *shop.there, "--format", "lines")

    assert code == 0
    expected = [json.loads(FORMATS["ecs"](line)) for line in shop.lines if line["request_id"] == request_id]
    assert [json.loads(line) for line in out.splitlines()] == expected
    assert len(expected) == 2
    assert run("request", request_id[:8], *shop.there, "--format", "lines") == (0, out, "")
    assert run("request", "nobody's", *shop.there)[0] == 1


def test_what_grep_prints_can_be_read_again(run: Run, shop: Shop, tmp_path: Path) -> None:
    """More than a page of them, in the order of time."""
    code, out, _ = run("grep", "status < 500", *shop.there)
    (tmp_path / "again.log").write_text(out)

    lines = [json.loads(line) for line in out.splitlines()]
    times = [line["@timestamp"] for line in lines]
    assert code == 0
    assert len({line["event_id"] for line in lines}) == len(lines) > 1_000
    assert times == sorted(times)
    again = json.loads(run("stats", tmp_path / "again.log", "--format", "json")[1])
    assert (
        again["overview"]
        == json.loads(run("stats", shop.file, "--where", "status < 500", "--format", "json")[1])["overview"]
    )


def test_half_a_character_is_printed_as_an_escape() -> None:
    assert _line({"a": "ä"}) == '{"a":"ä"}'
    assert _line({"a": "\ud800"}) == '{"a":"\\ud800"}'


# No answer


def test_no_such_index_is_a_message(run: Run, shop: Shop) -> None:
    for name in ("nosuch", "nosuch-*"):
        expected = f"obs-middleware: {shop.url}: no such index: {name}\n"
        assert run("stats", "--opensearch", shop.url, "--index", name) == (2, "", expected)


def test_filters_that_leave_nothing_are_a_message(run: Run, shop: Shop) -> None:
    message = f"obs-middleware: {shop.url}/{shop.index}: none of the 1,200 request lines passes the filters\n"

    assert run("stats", *shop.there, "--status", "418") == (2, "", message)


def test_a_route_that_no_request_has_is_named(run: Run, shop: Shop) -> None:
    reason = "no request line has the route '/checkout/': routes have no leading slash, so try --route checkout/"
    message = f"obs-middleware: {shop.url}/{shop.index}: none of the 1,200 request lines passes the filters; {reason}\n"

    assert run("stats", *shop.there, "--route", "/checkout/") == (2, "", message)


def test_check_refuses_a_route_without_requests(run: Run, shop: Shop) -> None:
    code, out, err = run("check", *shop.there, "--p95", "60s", "--route", "checkout/", "--route", "checkuot/")

    assert (code, out) == (2, "")
    assert "no request line has the route 'checkuot/'" in err


def test_an_index_without_request_lines_is_a_message(run: Run, engine: Engine, tmp_path: Path) -> None:
    shop = Shop(engine, tmp_path, [hello(number, "x") for number in range(3)])

    assert run("stats", *shop.there) == (2, "", f"obs-middleware: {shop.url}/{shop.index}: no request line\n")
