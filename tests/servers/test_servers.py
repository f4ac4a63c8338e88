"""The quickstart under real servers: every request has exactly one line, and nothing else is written."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
from servers.harness import COMMANDS, Answer, Call, running, send_all

from obs_middleware.measure.alarm import warn
from obs_middleware.testing import capture_requests


class Kind(NamedTuple):
    """A kind of request, and its expected line."""

    call: Call
    times: int
    path: str
    route: str | None
    view: str | None
    status: int = 200
    outcome: str = "ok"


BASKET = Call(
    "POST", "/checkout/", {"Content-Type": "application/x-www-form-urlencoded"}, b"cart=C-7&item=teapot&item=milk-jug"
)
KINDS = [
    Kind(Call("GET", "/"), 30, "/", "", "shop:home"),
    Kind(Call("GET", "/products/?page=1"), 30, "/products/", "products/", "shop:products"),
    Kind(Call("GET", "/products/teapot/"), 26, "/products/teapot/", "products/<slug:slug>/", "shop:product"),
    Kind(Call("GET", "/products/samovar/"), 20, "/products/samovar/", "products/<slug:slug>/", "shop:product", 404),
    Kind(Call("GET", "/nowhere/"), 20, "/nowhere/", None, None, 404),
    Kind(Call("GET", "/catalogue/"), 20, "/catalogue/", "catalogue/", "old-catalogue", 301),
    Kind(Call("GET", "/report/"), 20, "/report/", "report/", "shop:report", 500, "error"),
    Kind(BASKET, 20, "/checkout/", "checkout/", "shop:checkout"),
    Kind(Call("GET", "/checkout/"), 4, "/checkout/", "checkout/", "shop:checkout", 405),
    Kind(Call("GET", "/export.csv"), 4, "/export.csv", "export.csv", "shop:export"),
    Kind(Call("GET", "/search/?q=tea"), 2, "/search/", "search/", "shop:search"),
    Kind(Call("HEAD", "/healthz"), 4, "/healthz", "healthz", "healthz"),
]


@dataclass(frozen=True)
class Traffic:
    """The requests to one server, its answers, and its whole output."""

    kinds: list[Kind]
    sent_ids: list[str | None]
    answers: list[Answer]
    lines: list[dict[str, Any]]
    errors: str

    @property
    def request_lines(self) -> dict[str, dict[str, Any]]:
        """The request lines by request id."""
        return {line["request_id"]: line for line in self.lines if line["message"].startswith("Request took ")}

    @property
    def returned_ids(self) -> list[str]:
        """The request ids of the answers, in the order of the calls."""
        return [answer.headers["x-request-id"] for answer in self.answers]


@pytest.fixture(name="traffic", scope="module", params=COMMANDS)
def _traffic(
    request: pytest.FixtureRequest, shop: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Traffic:
    """200 mixed requests from eight clients at once. Every third sends a request id."""
    kinds = [kind for kind in KINDS for _ in range(kind.times)]
    random.Random(200).shuffle(kinds)
    sent_ids = [f"client/{number}" if number % 3 == 0 else None for number in range(len(kinds))]
    calls = [
        kind.call if sent_id is None else replace(kind.call, headers={**kind.call.headers, "X-Request-ID": sent_id})
        for kind, sent_id in zip(kinds, sent_ids, strict=True)
    ]
    with running(COMMANDS[request.param], output=tmp_path_factory.mktemp(request.param), env=shop) as server:
        answers = send_all(server, calls)
        server.stop()
        return Traffic(kinds, sent_ids, answers, server.lines(), server.errors())


def test_every_request_has_exactly_one_line(traffic: Traffic) -> None:
    ids = [line["request_id"] for line in traffic.lines if line["message"].startswith("Request took ")]

    assert len(ids) == 200
    assert sorted(ids) == sorted(traffic.returned_ids)


def test_the_line_has_the_request_and_the_status(traffic: Traffic) -> None:
    told = [
        (line["method"], line["path"], line["route"], line.get("view"), line["status"], line["outcome"])
        for line in (traffic.request_lines[request_id] for request_id in traffic.returned_ids)
    ]

    assert told == [(kind.call.method, *kind[2:]) for kind in traffic.kinds]
    assert [answer.status for answer in traffic.answers] == [kind.status for kind in traffic.kinds]


def test_the_line_has_the_size_of_the_response(traffic: Traffic) -> None:
    told = [traffic.request_lines[request_id]["response_bytes"] for request_id in traffic.returned_ids]

    assert told == [len(answer.body) for answer in traffic.answers]


def test_the_id_of_a_client_is_kept_and_other_requests_get_new_ids(traffic: Traffic) -> None:
    pairs = list(zip(traffic.sent_ids, traffic.returned_ids, strict=True))

    assert [returned for sent, returned in pairs if sent] == [sent for sent in traffic.sent_ids if sent]
    assert len(set(traffic.returned_ids)) == 200


def test_lines_of_a_view_have_the_id_of_its_request_line(traffic: Traffic) -> None:
    """Lines of the standard library and of structlog have it, and bound fields are on all three lines."""
    ids = {
        logger: sorted(
            line["request_id"] for line in traffic.lines if line["logger"] == logger and line["cart_id"] == "C-7"
        )
        for logger in ("shop.checkout", "shop.stock")
    }
    checkouts = sorted(key for key, line in traffic.request_lines.items() if line.get("cart_id") == "C-7")

    assert len(checkouts) == 20
    assert ids == {"shop.checkout": checkouts, "shop.stock": checkouts}


def test_nothing_else_is_on_stdout(traffic: Traffic) -> None:
    """
    There is no access log, and no second line of Django for a 404, a 405 or a 500.

    Each of the 20 checkouts does two tasks at once. They are part of the request, so Celery's lines about them stay.
    """
    loggers = Counter(line["logger"] for line in traffic.lines if not is_about_slowness(line))

    own = {"root": 200, "shop.checkout": 20, "shop.stock": 20, "shop.receipts": 20}
    assert loggers == own | {"celery.app.trace": 40}


def is_about_slowness(line: Mapping[str, Any]) -> bool:
    """Return whether asyncio, in dev mode, or the watching thread warns about what took long on a slow machine."""
    took_long = {
        "asyncio": r"Executing .* took \d+\.\d+ seconds",
        "obs_middleware": r"Event loop blocked for .* seconds.*",
    }
    pattern = took_long.get(line["logger"])
    return pattern is not None and re.fullmatch(pattern, line["message"]) is not None


def test_warnings_about_a_slow_machine_are_recognised() -> None:
    """The warnings come from asyncio and the watching thread themselves, as under a server with much load."""
    with capture_requests() as lines:

        async def block() -> None:
            asyncio.get_running_loop().slow_callback_duration = 0.0

        logging.getLogger("asyncio").setLevel(logging.WARNING)
        asyncio.run(block(), debug=True)
        warn("Event loop blocked for 0.83 seconds", None, None, {}, "blocked")
        logging.getLogger("asyncio").warning("Executing nothing of the kind")

    assert [is_about_slowness(line) for line in lines.logs] == [*[True] * (len(lines.logs) - 1), False]
    assert len(lines.logs) > 2


def test_nothing_about_a_request_is_on_stderr(traffic: Traffic) -> None:
    """Python prints warnings there that no handler took."""
    said = [
        word
        for word in ("Not Found", "Not Allowed", "Internal Server", "ZeroDivision", "HTTP/1.1", "/products/")
        if word in traffic.errors
    ]

    assert said == []


def test_an_exception_is_on_the_line_of_its_request_and_on_no_other(traffic: Traffic) -> None:
    failed = [line for line in traffic.lines if "error_type" in line or "stack_trace" in line]

    assert {(line["path"], line["error_type"], line["message"][:12]) for line in failed} == {
        ("/report/", "ZeroDivisionError", "Request took")
    }
    assert len(failed) == 20
    assert all(line["stack_trace"].endswith("ZeroDivisionError: division by zero") for line in failed)


def test_no_two_lines_share_an_event_id(traffic: Traffic) -> None:
    """This holds when several worker processes write to one file."""
    assert max(Counter(line["event_id"] for line in traffic.lines).values()) == 1
