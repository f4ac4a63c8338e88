"""
The programs between a log file and a percentile: rsyslog, and a search engine with its API.

The search engine is OpenSearch if `prepare` could build it, otherwise osmem-server. ``OBS_ENGINE`` chooses one.
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
from typing import Any, Final, NamedTuple, TypeVar

from osmem_server import resolve_binary
from paths import ROOT
from ports import HOST, free_port
from shipping.prepare import java

from obs_middleware.logs.elastic import templates

T = TypeVar("T")

__all__ = [
    "BUILD",
    "ELK",
    "Engine",
    "Refused",
    "Rsyslog",
    "engine_name",
    "is_percentile",
    "running_engine",
    "wait_for",
]

BUILD: Final = ROOT / "build" / "elk"
ELK: Final = ROOT / "examples" / "elk"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0


def engine_name() -> str:
    """Return the name of the search engine: ``opensearch`` or ``osmem``."""
    chosen = os.environ.get("OBS_ENGINE", "osmem")
    if chosen not in {"opensearch", "osmem", "best"}:
        raise ValueError(f"OBS_ENGINE is {chosen!r}; expected opensearch, osmem or best.")
    if chosen == "best":
        return "opensearch" if (BUILD / "opensearch").is_dir() and java() else "osmem"
    return chosen


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
        name: ``opensearch``, which keeps its documents when it is stopped, or ``osmem``, which does not.
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
        if self.name == "opensearch":
            classes, data = str(BUILD / "opensearch" / "*"), str(self._folder / "data")
            launcher = str(Path(__file__).parent / "Engine.java")
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
        for path, body in templates("shop", opensearch=True, plain=not self.has_data_streams).items():
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


class Place(NamedTuple):
    """Paths in the configuration of the example, and the paths that replace them in a test."""

    there: str
    here: str


class Rsyslog:
    """rsyslog as an ordinary process, with the configuration of the example, for the files of one folder."""

    def __init__(self, logs: Path, spool: Path, engine_port: int, index: str) -> None:
        self.spool = spool
        self._base = BUILD / "rsyslog"
        places = [
            Place("/var/log/shop/", f"{logs}/"),
            Place("/var/spool/rsyslog", str(spool)),
            Place('serverport="9200"', f'serverport="{engine_port}"'),
            Place("logs-shop-prod", index),
        ]
        text = (ELK / "rsyslog" / "shop.conf").read_text()
        for place in places:
            assert place.there in text, place.there
            text = text.replace(*place)
        self._config = spool / "rsyslog.conf"
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        (library,) = (self._base / "usr" / "lib").glob("*-linux-gnu")
        daemon = str(self._base / "usr" / "sbin" / "rsyslogd")
        env = {**os.environ, "LD_LIBRARY_PATH": str(library)}
        return [daemon, "-f", str(self._config), "-M", str(library / "rsyslog"), *arguments], env

    def check(self) -> None:
        """Check the configuration; raise if it has a mistake."""
        command, env = self._command("-N1")
        found = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=30)
        assert found.returncode == 0, found.stderr

    def start(self) -> None:
        """Start rsyslog."""
        command, env = self._command("-n", "-i", str(self.spool / "pid"))
        with (self.spool / "rsyslog.txt").open("ab") as output:
            self._process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.spool
            )

    def stop(self) -> None:
        """Stop rsyslog as a deployment does; it keeps its queue on the disk."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill rsyslog, like a machine that fails."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def forget(self) -> None:
        """Delete the read positions, so that rsyslog reads the files again from the start."""
        for path in self.spool.glob("imfile-state*"):
            path.unlink()

    def refused(self) -> list[Any]:
        """Return the rows of the error file: documents that the search engine refused for good."""
        path = self.spool / "es-errors.json"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def unparsed(self) -> str:
        """Return the lines that were not JSON."""
        path = self.spool / "unparsed.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run rsyslog while the block runs."""
        self.start()
        try:
            yield
        finally:
            if self._process is not None:
                self.stop()
