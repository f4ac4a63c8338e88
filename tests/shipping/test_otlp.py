"""`obs_middleware.logs.otlp`: records of a request reach VictoriaLogs, directly and through the real collector."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import Site
from ports import HOST, free_port
from shipping import golang
from shipping.parts import STOP_SECONDS, wait_for
from shipping.test_shippers import ARRIVE_SECONDS, NEEDS_GO
from shipping.victoria import VictoriaLogs, running_victoria
from translated import TRACE, failing, order, visit

from obs_middleware.logs.filters import FoldDjangoRequests
from obs_middleware.logs.otlp import OTLPHandler

pytestmark = [pytest.mark.shipping, NEEDS_GO]


@pytest.fixture(name="victoria", scope="module")
def _victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaLogs]:
    with running_victoria(tmp_path_factory.mktemp("victoria")) as victoria:
        yield victoria


@contextmanager
def collecting(victoria: VictoriaLogs, folder: Path) -> Iterator[str]:
    """Run the collector in front of *victoria*, and give the URL where it takes log records."""
    port = free_port()
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"{HOST}:{port}"}}}},
        "exporters": {"otlp_http": {"logs_endpoint": victoria.otlp_url}},
        "service": {
            "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    path = folder / "collector.yaml"
    path.write_text(yaml.safe_dump(config))
    program = golang.built(golang.COLLECTOR)
    with (
        (folder / "collector.txt").open("wb") as output,
        subprocess.Popen([str(program), f"--config=file:{path}"], stdout=output, stderr=output) as process,
    ):
        try:
            yield f"http://{HOST}:{port}/v1/logs"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def send(site: Site, endpoint: str | None, service: str) -> None:
    """Send a request that succeeds and one that fails, and their records to *endpoint*; None: as the variables say."""
    handler = OTLPHandler(endpoint=endpoint, service=service, version="1.2", flush_on_sigterm=False)
    handler.addFilter(FoldDjangoRequests())
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.handlers.append(handler)
    try:
        visit(site, order)
        visit(site, failing)
    finally:
        root.handlers.remove(handler)
        handler.close()


@pytest.mark.parametrize("directly", [False, True], ids=["collector", "directly"])
def test_the_records_of_a_request_arrive_with_their_trace(
    directly: bool, site: Site, victoria: VictoriaLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = f"shop-{site.mode}-{directly}"
    if directly:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", victoria.otlp_url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "VL-Stream-Fields=service.name")
        send(site, None, service)
    else:
        with collecting(victoria, tmp_path) as endpoint:
            # The exporter tries again while the collector starts.
            send(site, endpoint, service)
    query = f'"service.name":="{service}"'
    wait_for(lambda: victoria.count(query), lambda count: count >= 3, ARRIVE_SECONDS, "records")

    rows = victoria.ask(f"{query} | sort by (_time)")
    inner, line, failure = rows
    assert inner["_msg"] == "Low stock"
    assert {row["trace_id"] for row in rows} == {TRACE}
    assert inner["span_id"] == line["span_id"] != failure["span_id"]
    assert [row["severity_text"] for row in rows] == ["WARNING", "INFO", "ERROR"]
    assert [row.get("http.response.status_code") for row in rows] == [None, "200", "500"]
    assert line["http.route"] == "orders/<int:number>/"
    assert line["app.tenant"] == "t1"
    assert line["service.version"] == "1.2"
    assert failure["exception.type"] == "ValueError"
    assert failure["exception.stacktrace"].startswith("Traceback (most recent call last):\n")
    assert len({row["log.record.uid"] for row in rows}) == 3
    if directly:
        assert {row["_stream"] for row in rows} == {f'{{service.name="{service}"}}'}
    (found,) = victoria.ask(f'{query} "http.route":* | stats quantile(0.95, "http.server.request.duration") as p95')
    took = [float(row["http.server.request.duration"]) for row in (line, failure)]
    assert float(found["p95"]) == max(took)
