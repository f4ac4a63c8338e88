"""
The search engine at the end of the pipeline, with its API.

It is OpenSearch if `prepare` could fetch it, otherwise osmem-server. ``OBS_ENGINE`` chooses one of these, or
Elasticsearch 7.10.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, TypeVar

from osmem_server import resolve_binary
from paths import ROOT
from ports import HOST, free_port
from shipping.prepare import java

from obs_middleware.logs.elastic import Product, templates

T = TypeVar("T")

__all__ = [
    "BUILD",
    "ELK",
    "STOP_SECONDS",
    "Engine",
    "Refused",
    "engine_name",
    "has_engine",
    "is_percentile",
    "running_engine",
    "wait_for",
]

BUILD: Final = ROOT / "build" / "elk"
ELK: Final = ROOT / "examples" / "elk"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0

LAUNCHERS: Final = {"opensearch": "OpenSearch.java", "elasticsearch-7": "Elasticsearch7.java"}
"""The search engines in Java, and the files that start them."""


def engine_name() -> str:
    """Return the name of the search engine that most tests use: a key of `LAUNCHERS`, or ``osmem``."""
    chosen = os.environ.get("OBS_ENGINE", "osmem")
    if chosen not in {*LAUNCHERS, "osmem", "best"}:
        raise ValueError(f"OBS_ENGINE is {chosen!r}; expected {', '.join(LAUNCHERS)}, osmem or best.")
    if chosen == "best":
        return "opensearch" if has_engine("opensearch") else "osmem"
    return chosen


def has_engine(name: str) -> bool:
    """Return whether a search engine in Java can be started here."""
    return (BUILD / name).is_dir() and java() is not None


def wait_for(
    ask: Callable[[], T], until: Callable[[T], bool], seconds: float, what: str, pause_seconds: float = 0.25
) -> T:
    """Call *ask* until *until* accepts its result, and return that; raise AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {found!r} after {seconds} seconds"
        time.sleep(pause_seconds)  # between two looks at a condition that has a deadline


def is_percentile(found: float, percent: float, values: Sequence[float], *, slack: float = 0.0) -> bool:
    """
    Return whether *found* is between the two values next to the *percent* percentile of *values*.

    Definitions of a percentile differ in how they interpolate between two values. A sketch of many values may miss the
    rank by *slack*, as a share of their number.
    """
    ordered, place = sorted(values), percent / 100 * len(values)
    reach = 1 + slack * len(values)
    low, high = max(0, math.floor(place - reach)), min(len(values) - 1, math.ceil(place + reach) - 1)
    return ordered[low] <= found <= ordered[high]


class Refused(Exception):
    """The search engine answered with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Engine:
    """
    A server with the API of OpenSearch that can be stopped and started again on the same port.

    Attributes:
        name: A key of `LAUNCHERS`, which keeps its documents when it is stopped, or ``osmem``, which does not.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def has_data_streams(self) -> bool:
        """Whether a name can be the name of a data stream."""
        return self.name == "opensearch"

    def start(self) -> None:
        """Start the server and return as soon as it answers."""
        if launcher := LAUNCHERS.get(self.name):
            classes, data = str(BUILD / self.name / "*"), str(self._folder / "data")
            launcher = str(Path(__file__).parent / "engines" / launcher)
            found = java()
            assert found is not None
            command = [found, "-Xms512m", "-Xmx1g", "-cp", classes, launcher, str(self.port), data]
        else:
            command = [resolve_binary(), "-addr", f"{HOST}:{self.port}", "-no-ja", "-no-stdin-watch"]
        with (self._folder / "engine.txt").open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(self._answers, bool, START_SECONDS, "the engine does not answer")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "engine.txt").read_text()
        try:
            health = self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
        except (OSError, Refused):
            return False
        return health["status"] in {"yellow", "green"}

    def stop(self) -> None:
        """Stop the server as a deployment does, and wait until it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a request; *body* is text, or a value that is sent as JSON."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
        connection = HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request(method, path, text and text.encode(), {"Content-Type": kind})
            response = connection.getresponse()
            answer = response.read()
            parsed = json.loads(answer) if answer else None
            if response.status >= 400:
                raise Refused(response.status, parsed)
            return parsed
        finally:
            connection.close()

    def put_templates(self) -> None:
        """Install the templates of the package."""
        product: Product = "elasticsearch-7" if self.name == "elasticsearch-7" else "opensearch"
        for path, body in templates("shop", product=product, plain=not self.has_data_streams).items():
            self.ask("PUT", f"/{path}", body)

    def count(self, index: str) -> int:
        """Return the number of documents; 0 if there is no index."""
        try:
            self.ask("POST", f"/{index}/_refresh")
            found: int = self.ask("GET", f"/{index}/_count")["count"]
        except Refused as error:
            if error.status == 404:
                return 0
            raise
        except OSError:
            return -1  # it is down
        return found

    def search(self, index: str, body: Mapping[str, Any]) -> Any:
        """Return the answer to a search."""
        return self.ask("POST", f"/{index}/_search", body)

    def aggregate(self, index: str, **aggregations: Any) -> dict[str, Any]:
        """Return the answers to *aggregations* over all documents."""
        found: dict[str, Any] = self.search(index, {"size": 0, "aggs": aggregations})["aggregations"]
        return found

    def everything(self, index: str) -> list[dict[str, Any]]:
        """Return every document."""
        documents: list[dict[str, Any]] = []
        after: list[Any] | None = None
        while True:
            body = {"size": 5_000, "sort": [{"event_id": "asc"}], **({"search_after": after} if after else {})}
            hits = self.search(index, body)["hits"]["hits"]
            if not hits:
                return documents
            documents += [hit["_source"] for hit in hits]
            after = hits[-1]["sort"]

    def fill(self, index: str, lines: Sequence[Mapping[str, Any] | str]) -> list[dict[str, Any]]:
        """Create a document of each line, with its `event_id` as id; return the result for each line."""
        pieces = []
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line)
            pieces += [json.dumps({"create": {"_id": json.loads(text)["event_id"]}}), text]
        answer = self.ask("POST", f"/{index}/_bulk?refresh=true", "\n".join(pieces) + "\n")
        return [item["create"] for item in answer["items"]]


@contextmanager
def running_engine(name: str, folder: Path) -> Iterator[Engine]:
    """Run a search engine with the templates of the package while the block runs."""
    engine = Engine(name, folder)
    try:
        engine.start()
        engine.put_templates()
        yield engine
    finally:
        engine.stop()
