"""`obs_middleware.display.row`: one line of the log as a row for people."""

from __future__ import annotations

import math
from typing import Any

import pytest

from obs_middleware.display.cells import cells
from obs_middleware.display.row import Line, row
from obs_middleware.measure.vocabulary import FIELDS

REQUEST: dict[str, Any] = {
    "level": "info",
    "logger": "root",
    "message": "Request took 0.0534 seconds",
    "service": "shop",
    "request_id": "a2c8d05119450751cacc4cf8dfe8af08",
    "method": "POST",
    "path": "/checkout/",
    "route": "checkout/",
    "status": 200,
    "outcome": "ok",
    "duration_seconds": 0.053418,
    "db_queries": 2,
    "cart_id": "C-1042",
}
TASK = {"kind": "task", "task": "shop.send", "task_id": "abcdef0123456789", "outcome": "ok", "duration_seconds": 2.3}


def plain(lines: list[Line]) -> str:
    return "\n".join("".join(part.text for part in line) for line in lines)


def shown(fields: dict[str, Any], width: int | None = 100) -> str:
    return plain(row(fields, "16:06:23", width))


def styles(fields: dict[str, Any]) -> dict[str, str]:
    return {part.text.strip(): part.style for line in row(fields, "16:06:23", 200) for part in line}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            REQUEST,
            "16:06:23 POST    /checkout/                       200  53.4 ms   2 sql  cart_id=C-1042  a2c8d051",
        ),
        (
            {**REQUEST, "path": "/search/", "query": "q=tea", "slow": True, "db_queries": 42, "db_repeats": 40,
             "db_repeated_at": "shop/views.py:88 in order_lines"},
            """\
16:06:23 POST    /search/?q=tea                   200  53.4 ms  42 sql  slow
                 40x the same sql at shop/views.py:88 in order_lines cart_id=C-1042  a2c8d051""",
        ),
        (
            {**REQUEST, "slow": True, "slow_at": "shop/stock.py:7 in reserve", "db_repeats": 3, "cart_id": None,
             "blocked_seconds": 0.8312, "blocked_at": "shop/views.py:41 in home"},
            """\
16:06:23 POST    /checkout/                       200  53.4 ms   2 sql
                 slow at shop/stock.py:7 in reserve
                 blocked the loop 831ms at shop/views.py:41 in home cart_id=null  a2c8d051""",
        ),
        (
            {**REQUEST, "level": "error", "status": 500, "outcome": "error", "error_type": "ValueError",
             "error_message": "no", "stack_trace": "Traceback ...", "db_queries": None, "cart_id": None},
            "16:06:23 POST    /checkout/                       500  53.4 ms  ValueError cart_id=null  a2c8d051",
        ),
        (
            {"method": "GET", "path": "/", "status": 400, "outcome": "ok", "duration_seconds": 0.001,
             "error_message": "Invalid HTTP_HOST", "request_id": "ticket-4711"},
            "16:06:23 GET     /                                400  1.00 ms  Invalid HTTP_HOST  ticket-4711",
        ),
        (
            {"method": "GET", "path": "/export", "status": 499, "outcome": "aborted", "duration_seconds": 3},
            "16:06:23 GET     /export                          499   3.00 s  aborted",
        ),
        (
            {**TASK, "attempt": 1, "queue_seconds": 0.03, "db_queries": 3},
            "16:06:23 task    shop.send                         ok   2.30 s   3 sql  waited 30.0ms  abcdef01",
        ),
        (
            {**TASK, "outcome": "retry", "attempt": 2, "request_id": "0123", "http_calls": 2, "http_seconds": 0.5},
            "16:06:23 task    shop.send                      retry   2.30 s  attempt 2 2 http 500ms  0123",
        ),
        (
            {"kind": "command", "command": "migrate", "outcome": "error", "exit_code": 1, "duration_seconds": 1.1},
            "16:06:23 command migrate                        error   1.10 s  exit code 1",
        ),
        (
            {"kind": "websocket", "path": "/ws/", "outcome": "ok", "close_code": 1000, "duration_seconds": 73.2},
            "16:06:23 socket  /ws/                              ok   73.2 s",
        ),
        (
            {"level": "warning", "logger": "shop.bank", "message": "It  is slow", "order": 7, "request_id": "0123"},
            "16:06:23 warning shop.bank  It  is slow  order=7  0123",
        ),
        ({"message": "Request took 0.0534 seconds", "duration_seconds": 0.0534},
         "16:06:23 -       Request took 0.0534 seconds        -  53.4 ms"),
    ],
    ids=["request", "slow", "blocked", "failed", "refused", "aborted", "task", "retry", "command", "websocket", "other",
         "bare"],
)  # fmt: skip
def test_a_line_is_a_short_row(fields: dict[str, Any], expected: str) -> None:
    assert shown(fields) == expected


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("django.server", '"GET /static/shop.css HTTP/1.1" 404 1838'),
        ("django.channels.server", "HTTP GET /static/shop.css 404 [0.01, 127.0.0.1:60734]"),
        ("werkzeug", '127.0.0.1 - - [29/Nov/2026 17:35:21] "GET /static/shop.css HTTP/1.1" 404 -'),
    ],
)
def test_a_request_that_only_the_development_server_has_seen_is_a_row(logger: str, message: str) -> None:
    fields = {"level": "warning", "logger": logger, "message": message, "status_code": 404}

    assert shown(fields) == "16:06:23 GET     /static/shop.css                 404"
    assert shown({**fields, "logger": "shop"}, None) == f"16:06:23 warning shop  {message}  status_code=404"
    assert "Starting" in shown({**fields, "message": "Starting"})
    assert styles(fields)["GET"] == "yellow"
    assert styles({**fields, "level": "info", "message": message.replace("404", "200")})["/static/shop.css"] == "dim"


def test_fields_of_the_application_are_shown_as_short_as_possible() -> None:
    own = {
        "coupon": "spring sale",
        "empty": "",
        "paid": True,
        "items": [1, {"a": "b"}],
        "payment_seconds": 0.0501,
        "payment_count": 1,
        "bank_seconds": 2,
        "bank_count": 3,
        "order_count": 1,
        "left_seconds": "none",
    }

    assert shown({"message": "Paid", **own}, None).endswith(
        'Paid  coupon="spring sale" empty="" paid=true items=[1, {"a": "b"}] payment=50.1ms bank=2.00s bank_count=3'
        " order_count=1 left_seconds=none"
    )


def test_fields_for_programs_are_left_out() -> None:
    """Rare ones are shown: somebody must have an eye on a line that was cut or counts for several."""
    values = {name: 7 if field.type in {"integer", "number"} else "x" for name, field in FIELDS.items()}
    pairs = {word.split("=")[0] for word in shown(values, None).split() if "=" in word}

    assert pairs == {"after_response", "age", "format_error", "original_bytes", "sample_rate", "suppressed",
                     "truncated", "truncated_fields"}  # fmt: skip


@pytest.mark.parametrize("name", ["method", "path", "query", "message", "logger", "task", "error_type", "own", "o\x1b"])
@pytest.mark.parametrize("unit", [True, False])
def test_control_characters_are_spelled_out(name: str, unit: bool) -> None:
    kind = {"kind": "task"} if name == "task" else {}
    text = shown({**kind, "path": "/", name: "a\n\x1b[2J\u202eb"} | ({"duration_seconds": 1} if unit else {}), 40)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a\n" not in text


@pytest.mark.parametrize("value", [None, True, -1, math.nan, math.inf, 10**30, [], {"a": ["\x1b"]}, "x" * 3_000])
def test_a_field_of_any_type_is_shown(value: Any) -> None:
    for name in (*FIELDS, "own", "own_seconds", "own_count"):
        for width in (None, 1, 100):
            text = shown({**REQUEST, name: value}, width)
            assert "\x1b" not in text
            assert text.startswith("16:06:23 ")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("path", ["/api/" + "very/long/" * 50, "/api/" + "商品/long/" * 50], ids=["narrow", "wide"])
def test_no_line_is_wider_than_the_terminal(width: int, path: str) -> None:
    fields = {**REQUEST, "path": path, "slow": True, **{f"own_{n}": "x" * n for n in range(30)}}

    lines = shown(fields, width).split("\n")

    assert all(cells(line) <= width for line in lines)
    assert all(line.startswith(" " * (17 if width >= 60 else 4)) for line in lines[1:])
    assert all(word in " ".join(lines) for word in ("/api/", "long/", "200", "own_29=", "a2c8d051"))


def test_the_path_has_room_in_a_narrow_terminal() -> None:
    assert (
        shown({**REQUEST, "path": "/checkout/payment/", "slow": True}, 40)
        == """\
16:06:23 POST    /checkout/payment/  200
    53.4 ms 2 sql slow cart_id=C-1042
    a2c8d051"""
    )
    assert shown(TASK, 40).startswith("16:06:23 task    shop.send            ok\n    2.30 s")


def test_a_path_is_shortened_only_where_it_must() -> None:
    path = "/api/customers/123/orders/456/items/"

    assert path in shown({**REQUEST, "path": path}, None)
    assert path in shown({**REQUEST, "path": path, "cart_id": "C"}, 100)
    assert shown({**REQUEST, "path": path, "cart_id": "C-104200"}, 100) == (
        "16:06:23 POST    /api/custo...123/orders/456/items/ 200  53.4 ms   2 sql  cart_id=C-104200  a2c8d051"
    )
    assert path in shown({**REQUEST, "path": path, "cart_id": "C-1042000000"}, 100)  # the row needs two lines anyway


@pytest.mark.parametrize("path", ["/商品/茶壶/", "/cafe\u0301/"])
def test_wide_and_combining_characters_keep_the_columns(path: str) -> None:
    head = shown({**REQUEST, "path": path}).partition(" 200 ")[0]

    assert cells(head) == len(shown(REQUEST).partition(" 200 ")[0])


def test_what_needs_attention_has_a_colour() -> None:
    failed = styles({**REQUEST, "status": 500, "outcome": "error", "error_type": "ValueError"})
    odd = styles({**REQUEST, "status": 404, "slow": True, "db_repeats": 40, "db_repeated_at": "a", "cart_id": 1})

    assert (failed["POST"], failed["/checkout/"], failed["500"], failed["ValueError"]) == (
        "bold red", "red", "bold red", "red")  # fmt: skip
    assert (odd["404"], odd["53.4 ms"], odd["2 sql  slow 40x the same sql at a"]) == (
        "yellow",
        "bold yellow",
        "bold yellow",
    )
    assert (styles(REQUEST)["200"], styles(REQUEST)["2 sql  cart_id="], styles(REQUEST)["POST"]) == (
        "green",
        "dim",
        "bold",
    )
    assert styles({"level": "error", "message": "Not paid"}) | {"error": "bold red", "Not paid": "red"} == styles(
        {"level": "error", "message": "Not paid"}
    )
    assert styles({**TASK, "outcome": "timeout"})["timeout"] == "bold red"
