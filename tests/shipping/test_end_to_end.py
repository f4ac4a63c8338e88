"""From the site to a percentile in the index, with real servers, real rsyslog and a real engine."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse
from ports import HOST
from servers.harness import COMMANDS, Call, Server, running, send_all
from shipping.parts import Engine, is_percentile, wait_for
from shipping.shippers import Rsyslog

from obs_middleware import annotate, bind
from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.testing import parse_line

pytestmark = pytest.mark.shipping

ARRIVE_SECONDS = 90.0
LOAD_REQUESTS = int(os.environ.get("OBS_LOAD_REQUESTS", "20000"))
LOAD_SECONDS = float(os.environ.get("OBS_LOAD_SECONDS", "60"))
VISIT = [
    ("GET", "/"),
    ("GET", "/products/"),
    ("GET", "/products/teapot/"),
    ("GET", "/products/samovar/"),
    ("POST", "/checkout/"),
    ("GET", "/export.csv"),
    ("GET", "/healthz"),
    ("GET", "/report/"),
    ("GET", "/nowhere/"),
]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def calls(count: int) -> list[Call]:
    """Return *count* requests, each with an id of its own, to one page after the other."""
    body = b"cart=C-1042&item=teapot&item=assam-tea"
    return [
        Call(
            method,
            path,
            {"X-Request-ID": uuid4().hex, **(FORM if method == "POST" else {})},
            body if method == "POST" else None,
        )
        for method, path in (VISIT[number % len(VISIT)] for number in range(count))
    ]


@contextmanager
def serving(command: Sequence[str], shop: Mapping[str, str], tmp_path: Path) -> Iterator[Server]:
    """Run the quickstart."""
    output = tmp_path / "server"
    output.mkdir()
    with running(command, output=output, env=shop) as server:
        yield server


def send_and_rotate(server: Server, sent: Sequence[Call], file: Path, clients: int = 8) -> None:
    """Send *sent*, and rename the log while about a third of it is written."""
    with ThreadPoolExecutor(1) as executor:
        sending = executor.submit(send_all, server, sent, clients=clients)
        wait_for(
            lambda: file.stat().st_size if file.exists() else 0,
            lambda size: size > len(sent) * 900 / 3,
            ARRIVE_SECONDS,
            "the log does not grow",
            pause_seconds=0.01,
        )
        file.rename(file.with_name("app.json.1"))
        answers = sending.result()
    assert len(answers) == len(sent)


def written(logs: Path) -> list[dict[str, Any]]:
    """Return the lines of all files, those that were renamed first."""
    return [parse_line(line) for path in sorted(logs.iterdir(), reverse=True) for line in path.read_text().splitlines()]


def requests_of(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if line.get("event", {}).get("action") == "http-request"]


def arrived(engine: Engine, index: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Wait until as many documents are there as *lines*, and hold that they are the lines, each once."""
    wait_for(lambda: engine.count(index), lambda count: count >= len(lines), ARRIVE_SECONDS, "documents", 0.5)
    documents = engine.everything(index)
    assert len(documents) == len(lines)
    by_id = {line["event_id"]: line for line in lines}
    assert {document["event_id"]: document for document in documents} == by_id


def nothing_was_refused(rsyslog: Rsyslog) -> None:
    assert rsyslog.refused() == []
    assert rsyslog.unparsed() == ""


def agrees(engine: Engine, index: str, lines: Sequence[Mapping[str, Any]], *, slack: float = 0.0) -> None:
    """Hold that the engine's figures are those of the file."""
    requests = requests_of(lines)
    percentiles = {
        "percentiles": {"field": "event.duration", "percents": [50, 95, 99], "tdigest": {"compression": 2_000}}
    }
    found = engine.aggregate(
        index,
        status={"terms": {"field": "http.response.status_code", "size": 100}},
        outcome={"terms": {"field": "obs.outcome", "size": 100}},
        route={"terms": {"field": "http.route", "size": 100}, "aggs": {"took": percentiles}},
        took=percentiles,
        longest={"max": {"field": "event.duration"}},
    )
    counts = {
        name: {bucket["key"]: bucket["doc_count"] for bucket in found[name]["buckets"]}
        for name in ("status", "outcome", "route")
    }
    assert counts["status"] == Counter(line["http"]["response"]["status_code"] for line in requests)
    assert counts["outcome"] == Counter(line["obs"]["outcome"] for line in requests)
    routes = Counter(line["http"]["route"] for line in requests)
    del routes[None]  # a request without a pattern is in no bucket
    assert counts["route"] == routes

    durations = [line["event"]["duration"] for line in requests]
    assert found["longest"]["value"] == max(durations)
    for percent, value in found["took"]["values"].items():
        assert is_percentile(value, float(percent), durations, slack=slack), percent
    for bucket in found["route"]["buckets"]:
        of_route = [line["event"]["duration"] for line in requests if line["http"]["route"] == bucket["key"]]
        for percent, value in bucket["took"]["values"].items():
            assert is_percentile(value, float(percent), of_route, slack=slack), (bucket["key"], percent)


@pytest.mark.parametrize("command", ["gunicorn-sync", "uvicorn"])
def test_every_request_arrives_once_while_the_log_is_rotated(
    command: str, engine: Engine, index: str, rsyslog: Rsyslog, shop: Mapping[str, str], logs: Path, tmp_path: Path
) -> None:
    sent = calls(450)
    with serving(COMMANDS[command], shop, tmp_path) as server:
        send_and_rotate(server, sent, logs / "app.json")

    lines = written(logs)
    assert len(list(logs.iterdir())) == 2
    ids = Counter(line["http"]["request"]["id"] for line in requests_of(lines))
    assert ids == Counter(call.headers["X-Request-ID"] for call in sent)
    arrived(engine, index, lines)
    agrees(engine, index, lines)
    nothing_was_refused(rsyslog)


def test_the_type_of_every_field_is_ours(engine: Engine, index: str, rsyslog: Rsyslog, site: Site, logs: Path) -> None:
    """Addresses are addresses, and paths can be searched in the middle."""
    with logging_to(logs / "app.json"):
        site.get(lambda request, number: HttpResponse("x"), "/orders/7/", route="orders/<int:number>/")

    arrived(engine, index, written(logs))
    for query in ({"wildcard": {"url.path": "*ders/7*"}}, {"range": {"@timestamp": {"gte": "now-1h"}}}):
        assert engine.search(index, {"query": query})["hits"]["total"]["value"] == 1
    (settings,) = engine.ask("GET", f"/{index}/_settings?flat_settings=true").values()
    assert settings["settings"].get("index.mapping.ignore_malformed", "false") == "false"


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Write what is logged to *file*, for Elasticsearch."""
    root = logging.getLogger()
    handler = logging.FileHandler(file)
    handler.setFormatter(JSONFormatter(schema="ecs", service="shop"))
    root.addHandler(handler)
    root.setLevel("INFO")
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


PRICES: list[Any] = [
    "ten",
    10,
    10.5,
    True,
    None,
    [1, "two"],
    {"cents": 10},
    {"cents": {"of": "a euro"}},
    [],
    2**70,
    "x" * 5_000,
]


def test_a_field_that_is_now_a_text_and_now_a_number_costs_no_line(
    engine: Engine, index: str, rsyslog: Rsyslog, site: Site, logs: Path
) -> None:
    """An index has one type for a field; an application has not."""

    def view(request: HttpRequest, number: int) -> HttpResponse:
        bind(price=PRICES[number], event=PRICES[number], status=PRICES[number])
        annotate(**{f"price_{'count' if number % 2 else 'seconds'}": PRICES[number], "labels.x": PRICES[number]})
        logging.getLogger("shop").warning("Priced")
        return HttpResponse("x")

    with logging_to(logs / "app.json"):
        for number in range(len(PRICES)):
            site.get(view, f"/{number}/", route="<int:number>/")

    lines = written(logs)
    assert len(requests_of(lines)) == len(PRICES)
    arrived(engine, index, lines)
    nothing_was_refused(rsyslog)
    found = engine.aggregate(index, most={"max": {"field": "app.price"}}, texts={"terms": {"field": "labels.price"}})
    assert found["most"]["value"] == 10.5
    assert "ten" in {bucket["key"] for bucket in found["texts"]["buckets"]}


def test_nothing_is_lost_while_the_engine_is_down_and_the_shipper_is_killed(
    engine: Engine, index: str, rsyslog: Rsyslog, shop: Mapping[str, str], logs: Path, tmp_path: Path
) -> None:
    """The queue is on the disk. A line that is read again has the same id."""
    engine.stop()
    try:
        with serving(COMMANDS["uvicorn"], shop, tmp_path) as server:
            send_all(server, calls(300))
            wait_for(
                lambda: sum(path.stat().st_size for path in rsyslog.spool.glob("obs_queue.0*")),
                lambda size: size > 100_000,
                ARRIVE_SECONDS,
                "the queue does not grow",
            )
            rsyslog.kill()
            (logs / "app.json").rename(logs / "app.json.1")
            send_all(server, calls(150))
            rsyslog.start()
    finally:
        engine.start()
        engine.put_templates()

    lines = written(logs)
    assert len(requests_of(lines)) == 450
    arrived(engine, index, lines)
    nothing_was_refused(rsyslog)


def test_nothing_is_lost_while_the_disk_of_the_engine_is_full(
    engine: Engine, index: str, rsyslog: Rsyslog, shop: Mapping[str, str], logs: Path, tmp_path: Path
) -> None:
    """Then it answers 429 to every line; other lines of the same batch must not be stored twice for it."""
    if engine.name != "opensearch":
        pytest.skip("osmem-server knows no such block")
    block = "index.blocks.read_only_allow_delete"
    with serving(COMMANDS["uvicorn"], shop, tmp_path) as server:
        send_all(server, calls(90))
        before = len(written(logs))
        wait_for(lambda: engine.count(index), lambda count: count == before, ARRIVE_SECONDS, "documents")
        engine.ask("PUT", f"/{index}/_settings", {block: True})
        assert {answer["status"] for answer in engine.fill(index, [{"event_id": "probe"}])} == {429}
        send_all(server, calls(180))
        wait_for(lambda: list(rsyslog.spool.glob("obs_retry_queue.0*")), bool, ARRIVE_SECONDS, "nothing is sent again")
        assert engine.count(index) == before
        engine.ask("PUT", f"/{index}/_settings", {block: None})

    arrived(engine, index, written(logs))
    nothing_was_refused(rsyslog)


class Refusing(BaseHTTPRequestHandler):
    """A proxy before a store that is overloaded: 429 for every request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200)

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(429)

    def _answer(self, status: int) -> None:
        body = b"" if self.command == "HEAD" else b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 -- its name there
        """Say nothing."""


@contextmanager
def refusing() -> Iterator[int]:
    """Refuse everything while the block runs; yields the port."""
    with ThreadingHTTPServer((HOST, 0), Refusing) as server, ThreadPoolExecutor(1) as executor:
        executor.submit(server.serve_forever)
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_what_was_refused_as_a_whole_is_read_again_from_the_files(
    engine: Engine, index: str, site: Site, logs: Path, tmp_path: Path
) -> None:
    """This rsyslog puts such a batch aside. The files have it all, and what is there already does not come twice."""
    with logging_to(logs / "app.json"):
        for number in range(50):
            site.get(lambda request, number: HttpResponse("x"), f"/{number}/", route="<int:number>/")
    lines = written(logs)
    engine.fill(index, lines[:10])
    spool = tmp_path / "spool"
    spool.mkdir()
    with refusing() as port:
        rsyslog = Rsyslog(logs, spool, port, index)
        with rsyslog.running():
            wait_for(
                lambda: "".join(one["request"]["postdata"] for one in rsyslog.refused()),
                lambda text: all(line["event_id"] in text for line in lines),
                ARRIVE_SECONDS,
                "not all lines are in the error file",
            )
    assert engine.count(index) == 10

    rsyslog.forget()
    with Rsyslog(logs, spool, engine.port, index).running():
        arrived(engine, index, lines)


@pytest.mark.skipif(LOAD_REQUESTS == 0, reason="OBS_LOAD_REQUESTS=0")
def test_twenty_thousand_requests_under_load_arrive_once_and_in_time(
    engine: Engine, index: str, rsyslog: Rsyslog, shop: Mapping[str, str], logs: Path, tmp_path: Path
) -> None:
    """
    Within ``OBS_LOAD_SECONDS`` (60) of the last answer, every document is there.

    How fast the shop answers is a matter of the machine: with ``OBS_LOAD_REQUESTS`` you can choose another number.
    """
    sent = [Call("GET", call.target if call.method == "GET" else "/", call.headers) for call in calls(LOAD_REQUESTS)]
    with serving(COMMANDS["gunicorn-asgi"], shop, tmp_path) as server:
        began = time.monotonic()
        send_and_rotate(server, sent, logs / "app.json")
        answered = time.monotonic()

    lines = written(logs)
    assert len(requests_of(lines)) == LOAD_REQUESTS
    wait_for(lambda: engine.count(index), lambda found: found >= len(lines), LOAD_SECONDS, "documents", 1.0)
    there = time.monotonic()
    print(f"{LOAD_REQUESTS} requests: {answered - began:.0f} s, their documents: {there - answered:.0f} s more")
    documents = engine.everything(index)
    assert Counter(document["event_id"] for document in documents) == Counter(line["event_id"] for line in lines)
    # A warning about an event loop that a busy machine has held has no request.
    ids = {document["http"]["request"]["id"] for document in documents if "http" in document}
    assert len(ids) == LOAD_REQUESTS
    agrees(engine, index, lines, slack=0.002)
    nothing_was_refused(rsyslog)
    assert there - answered < LOAD_SECONDS
