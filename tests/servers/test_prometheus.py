"""`obs_middleware.metrics` under gunicorn with four workers: counts equal the lines, also when workers are replaced."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from histogrammed import OPENMETRICS, REQUESTS, parsed
from paths import ROOT, TESTS
from ports import HOST, free_port
from servers.harness import Call, Server, running, send_all

EXAMPLE: Final = ROOT / "examples" / "prometheus"
PATIENCE: Final = 60.0
GUNICORN: Final = (
    *("gunicorn", "--bind", "fd://{fd}", "--workers", "4", "--no-control-socket", "--max-requests", "40"),
    "servers.site.wsgi:application",
)

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None, reason="needs Prometheus"
)

Labels = tuple[str, str, str]
"""Method, route and status."""


@contextmanager
def serving(output: Path, metrics: Path | None) -> Iterator[Server]:
    output.mkdir(exist_ok=True)
    temporary = output / "tmp"
    temporary.mkdir(exist_ok=True)
    env = {
        "DJANGO_SETTINGS_MODULE": "servers.site.metered",
        "PYTHONPATH": str(TESTS),
        "SITE_METRICS": "" if metrics is None else str(metrics),
        "TMPDIR": str(temporary),
    }
    with running(GUNICORN, output=output, cwd=TESTS, env=env) as server:
        yield server


def traffic(server: Server, count: int) -> None:
    """Send *count* requests of several kinds, and leave the connections so that they go to all workers."""
    calls = [
        Call("GET", "/sync/ok/"),
        Call("GET", "/sync/fail/"),
        Call("POST", "/sync/upload/", body=b"abc"),
        Call("GET", "/nowhere/"),
        Call("GET", "/sync/stream/?chunks=2&bytes=10"),
    ]
    answers = send_all(server, [calls[number % len(calls)] for number in range(count)], clients=8)
    assert {answer.status for answer in answers} == {200, 404, 500}


def written(server: Server) -> Counter[Labels]:
    """Return how many request lines the server has written so far."""
    return Counter(
        (line["method"], line["route"] or "", str(line["status"]))
        for line in server.lines_so_far()
        if line["message"].startswith("Request took ")
    )


def scrape(server: Server, accept: str = "") -> str:
    (answer,) = send_all(server, [Call("GET", "/metrics", {"Accept": accept})], clients=1)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def counted(server: Server) -> Counter[Labels]:
    """Return what the view has counted, but for its own requests."""
    samples = parsed(scrape(server))[REQUESTS].samples
    return Counter(
        {
            labels_of(sample.labels): int(sample.value)
            for sample in samples
            if sample.name == f"{REQUESTS}_count" and sample.labels.get("http_route") != "metrics"
        }
    )


def labels_of(labels: Mapping[str, str]) -> Labels:
    return labels["http_request_method"], labels.get("http_route", ""), labels["http_response_status_code"]


def workers(server: Server) -> set[int]:
    """Return the ids of the workers."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return {int(one) for one in children.read_text().split()}


def wait_for(server: Server, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, server.errors()
        try:
            server.process.wait(0.05)  # the pause before the next look
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(server.errors())


def replace_workers(server: Server) -> None:
    """Have gunicorn start four new workers, and wait until the old ones are gone."""
    before = workers(server)
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, lambda: before.isdisjoint(now := workers(server)) and len(now) == 4)


def kill_worker(server: Server) -> None:
    """Kill a worker without work, as the system does when memory is short."""
    victim = min(workers(server))
    os.kill(victim, signal.SIGKILL)
    wait_for(server, lambda: victim not in (now := workers(server)) and len(now) == 4)


@pytest.mark.parametrize("named", [False, True], ids=["True", "directory"])
def test_counts_equal_the_lines_over_restarts_of_workers(named: bool, tmp_path: Path) -> None:
    folder = tmp_path / "metrics" if named else None
    if folder is not None:
        folder.mkdir(mode=0o700)
    with serving(tmp_path / "server", folder) as server:
        for happens in (replace_workers, kill_worker, replace_workers):
            traffic(server, 120)
            happens(server)
            assert counted(server) == written(server)
        assert sum(counted(server).values()) == 360

    (used,) = [folder] if folder is not None else (tmp_path / "server" / "tmp").glob("obs_middleware-*")
    # Old workers still live while the new ones start.
    assert 4 <= len(list(used.glob("*.histograms"))) <= 10


def test_counts_go_on_after_a_restart_of_the_whole_server(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    for number in (1, 2):
        with serving(tmp_path / "server", folder) as server:
            traffic(server, 40)
            assert sum(counted(server).values()) == 40 * number
            assert counted(server) == written(server)


# Prometheus itself


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}"

    def is_ready(self) -> bool:
        try:
            with urlopen(f"{self._url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the API."""
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def counted(self) -> Counter[Labels]:
        result = self.ask("query", query=f'{REQUESTS}_count{{http_route!="metrics"}}')["result"]
        return Counter({labels_of(one["metric"]): int(one["value"][1]) for one in result})

    def empty(self, panels: dict[str, list[str]]) -> set[str]:
        """Return the panels with a query that has no result."""
        return {
            panel
            for panel, queries in panels.items()
            if not all(self.ask("query", query=query)["result"] for query in queries)
        }


@contextmanager
def scraping(server: Server, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with the configuration of the example, but often, while the block runs."""
    shutil.copytree(EXAMPLE, folder)
    config = folder / "prometheus.yml"
    config.write_text(config.read_text().replace("localhost:8000", f"{HOST}:{server.port}").replace(": 15s", ": 1s"))
    port = free_port()
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={HOST}:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            prometheus = Prometheus(port)
            wait_for(server, prometheus.is_ready)
            yield prometheus
        finally:
            process.terminate()


@needs_prometheus
def test_prometheus_has_the_counts_of_the_lines_and_their_request_ids(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    with serving(tmp_path / "server", folder) as server, scraping(server, tmp_path / "prometheus") as prometheus:
        began = time.time()
        for happens in (replace_workers, kill_worker):
            traffic(server, 120)
            happens(server)
        wait_for(server, lambda: prometheus.counted() == written(server))
        ids = {
            line["request_id"]: line for line in server.lines_so_far() if line["message"].startswith("Request took ")
        }
        found = prometheus.ask(
            "query_exemplars", query=f"{REQUESTS}_bucket", start=str(began - 60), end=str(time.time() + 60)
        )
        targets = prometheus.ask("targets")["activeTargets"]
        # The site has no tasks. A rate needs two samples of a series, and some appear with the last requests.
        tasks = {panel for panel in panels() if "task" in panel.lower()}
        wait_for(server, lambda: prometheus.empty(panels()) == tasks)

    assert sum(written(server).values()) == 240
    exemplars = [(series["seriesLabels"], one) for series in found for one in series["exemplars"]]
    assert len({labels.get("http_route") for labels, _ in exemplars}) >= 4
    for labels, one in exemplars:
        line = ids[one["labels"]["request_id"]]
        assert (line["route"] or "") == labels.get("http_route", "")
        assert line["duration_seconds"] == pytest.approx(float(one["value"]), abs=1e-5)
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]


# The dashboard for Grafana

DASHBOARD: Final[dict[str, Any]] = json.loads((EXAMPLE / "grafana.json").read_text(encoding="utf-8"))


def panels() -> dict[str, list[str]]:
    """Return the queries of each panel, with the variables that Grafana replaces."""
    return {
        panel["title"]: [
            target["expr"].replace("$job", "shop").replace("$__rate_interval", "5m") for target in panel["targets"]
        ]
        for panel in DASHBOARD["panels"]
        if panel["type"] != "row"
    }


def test_the_panels_of_the_dashboard_have_their_place() -> None:
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) == variables


@needs_prometheus
def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    """Prometheus reads them as rules."""
    queries = [query for found in panels().values() for query in found]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML, too
    checked = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert checked.returncode == 0, checked.stderr
    assert f"{len(queries)} rules found" in checked.stdout


@needs_prometheus
def test_the_example_is_valid_and_its_alerts_ring() -> None:
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        result = subprocess.run(
            ["promtool", *command], cwd=EXAMPLE, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    alerts = re.findall(r"- alert: (\w+)", (EXAMPLE / "rules.yml").read_text())
    assert set(alerts) == set(re.findall(r"alertname: (\w+)", (EXAMPLE / "rules_test.yml").read_text()))


def test_exemplars_of_all_workers_are_in_one_answer(tmp_path: Path) -> None:
    with serving(tmp_path / "server", None) as server:
        traffic(server, 40)
        text = scrape(server, OPENMETRICS)
        ids = {line["request_id"] for line in server.lines_so_far()}

    shown = set(re.findall(r'# \{request_id="([^"]+)"', text))
    assert len(shown) >= 4
    assert shown <= ids
