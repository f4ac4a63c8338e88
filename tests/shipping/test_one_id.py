"""One request, seen from five sides: its line, its event in Sentry, its log record, its exemplar and its document."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from uuid import uuid4

import pytest
from paths import TESTS
from ports import HOST
from servers.harness import COMMANDS, Call, Server, running, send_all
from servers.test_prometheus import needs_prometheus, scraping
from shipping.parts import Engine, wait_for
from shipping.test_shippers import ARRIVE_SECONDS, NEEDS_GO
from shipping.victoria import VictoriaLogs, running_victoria

from obs_middleware.testing import parse_line

pytestmark = [pytest.mark.shipping, NEEDS_GO, needs_prometheus]


class Sentry:
    """
    A server that takes what the SDK of Sentry sends.

    Attributes:
        dsn: Where the SDK sends to.
        events: The events of errors that have come.
    """

    def __init__(self, port: int) -> None:
        self.dsn = f"http://key@{HOST}:{port}/1"
        self.events: list[dict[str, Any]] = []

    def take(self, envelope: bytes) -> None:
        """Read an envelope: a header, and then a header and a body for each item, each on a line."""
        _, *rest = envelope.splitlines()
        for header, body in zip(rest[::2], rest[1::2], strict=False):
            if json.loads(header)["type"] == "event":
                self.events.append(json.loads(body))


@pytest.fixture(name="sentry")
def _sentry() -> Iterator[Sentry]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            sentry.take(gzip.decompress(data) if self.headers["Content-Encoding"] == "gzip" else data)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    sentry = Sentry(server.server_address[1])
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield sentry
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(name="victoria")
def _victoria(tmp_path: Path) -> Iterator[VictoriaLogs]:
    folder = tmp_path / "victoria"
    folder.mkdir()
    with running_victoria(folder) as victoria:
        yield victoria


@contextmanager
def serving(shop: Mapping[str, str], sentry: Sentry, victoria: VictoriaLogs, tmp_path: Path) -> Iterator[Server]:
    """Run the quickstart with everything that it takes."""
    (tmp_path / "server").mkdir()
    variables = {
        "DJANGO_SETTINGS_MODULE": "shipping.one_id_site.settings",
        "PYTHONPATH": str(TESTS),
        "SITE_OTLP": victoria.otlp_url,
        "SITE_SENTRY": sentry.dsn,
    }
    with running(COMMANDS["gunicorn-sync"], output=tmp_path / "server", env={**shop, **variables}) as server:
        yield server


SIDES: Final = ["line", "event in Sentry", "log record", "exemplar", "document"]


@pytest.mark.usefixtures("rsyslog")
def test_one_request_has_the_same_ids_on_five_sides(
    shop: Mapping[str, str],
    logs: Path,
    engine: Engine,
    index: str,
    sentry: Sentry,
    victoria: VictoriaLogs,
    tmp_path: Path,
) -> None:
    request_id = uuid4().hex
    began = time.time()
    with serving(shop, sentry, victoria, tmp_path) as server, scraping(server, tmp_path / "prometheus") as prometheus:
        (answer,) = send_all(server, [Call("GET", "/report/", {"X-Request-ID": request_id})], clients=1)
        assert (answer.status, answer.headers["x-request-id"]) == (500, request_id)

        def exemplars() -> list[dict[str, Any]]:
            found = prometheus.ask(
                "query_exemplars",
                query='http_server_request_duration_seconds_bucket{http_route="report/"}',
                start=str(began - 60),
                end=str(time.time() + 60),
            )
            return [one for series in found for one in series["exemplars"]]

        (exemplar,) = wait_for(exemplars, bool, ARRIVE_SECONDS, "exemplars")[:1]
        (event,) = wait_for(lambda: sentry.events, bool, ARRIVE_SECONDS, "events of Sentry")
        query = f'"obs.request_id":="{request_id}"'
        wait_for(lambda: victoria.count(query), bool, ARRIVE_SECONDS, "log records")
    wait_for(lambda: engine.count(index), bool, ARRIVE_SECONDS, "documents")

    (line,) = (one for one in map(parse_line, (logs / "app.json").read_text().splitlines()) if "outcome" in str(one))
    (record,) = victoria.ask(query)
    (document,) = engine.everything(index)
    ids = {
        "line": (line["http"]["request"]["id"], line["trace"]["id"]),
        "event in Sentry": (event["tags"]["request_id"], event["contexts"]["trace"]["trace_id"]),
        "log record": (record["obs.request_id"], record["trace_id"]),
        "exemplar": (exemplar["labels"]["request_id"], exemplar["labels"].get("trace_id")),
        "document": (document["http"]["request"]["id"], document["trace"]["id"]),
    }
    assert ids == dict.fromkeys(SIDES, (request_id, line["trace"]["id"]))
    assert line["event_id"] == document["event_id"] == record["log.record.uid"]
    assert line["span"]["id"] == record["span_id"]
    assert event["exception"]["values"][0]["type"] == record["exception.type"] == line["error"]["type"]
    assert float(exemplar["value"]) == pytest.approx(line["event"]["duration"] / 1e9, abs=1e-5)
