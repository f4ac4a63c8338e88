"""
The parts of the road from the file to a percentile: an engine, rsyslog, and what asks the engine.

The engine is the real OpenSearch where `prepare` found what it needs, else osmem-server; ``OBS_ENGINE`` names one.
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
    """Return which engine is used: ``opensearch`` or ``osmem``."""
    chosen = os.environ.get("OBS_ENGINE", "osmem")
    if chosen not in {"opensearch", "osmem", "best"}:
        raise ValueError(f"OBS_ENGINE is {chosen!r}; expected opensearch, osmem or best.")
    if chosen == "best":
        return "opensearch" if (BUILD / "opensearch").is_dir() and java() else "osmem"
    return chosen


def wait_for(
    ask: Callable[[], T], until: Callable[[T], bool], seconds: float, what: str, pause_seconds: float = 0.25
) -> T:
    """Return what *ask* returns as soon as it is as *until* wants it; AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {found!r} after {seconds} seconds"
        time.sleep(pause_seconds)  # between two looks at a condition that has a deadline


def is_percentile(found: float, percent: float, values: Sequence[float], *, slack: float = 0.0) -> bool:
    """
    Return whether *found* lies between the neighbours of the *percent* percentile of *values*.

    Between two neighbours every definition of a percentile interpolates as it likes. A sketch of many values may miss
    the place by *slack*, as a share of their number.
    """
    ordered, place = sorted(values), percent / 100 * len(values)
    reach = 1 + slack * len(values)
    low, high = max(0, math.floor(place - reach)), min(len(values) - 1, math.ceil(place + reach) - 1)
    return ordered[low] <= found <= ordered[high]


class Refused(Exception):
    """The engine answered with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Engine:
    """
    A store with the API of OpenSearch, on one port, that can be stopped and started.

    Attributes:
        name: ``opensearch``, which keeps what it has over a stop, or ``osmem``, which does not.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def has_data_streams(self) -> bool:
        """Whether a name can be that of a data stream."""
        return self.name == "opensearch"

    def start(self) -> None:
        """Start it and return as soon as it answers."""
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
        """Stop it as a deployment does, and wait."""
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
        """Return the answer to a request; *body* is text, or anything that JSON can say."""
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
        """Send the templates of the package where they go."""
        for path, body in templates("shop", opensearch=True, plain=not self.has_data_streams).items():
            self.ask("PUT", f"/{path}", body)

    def count(self, index: str) -> int:
        """Return the number of documents; 0 when the index is not there."""
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
        """Create a document of each line, under its `event_id`; return what was said of each."""
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
    """Paths in the example's configuration, and where they are on this machine."""

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
        """Check the configuration. A mistake in it raises."""
        command, env = self._command("-N1")
        found = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=30)
        assert found.returncode == 0, found.stderr

    def start(self) -> None:
        """Start it."""
        command, env = self._command("-n", "-i", str(self.spool / "pid"))
        with (self.spool / "rsyslog.txt").open("ab") as output:
            self._process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.spool
            )

    def stop(self) -> None:
        """Stop it as a deployment does; what is in its queue stays on the disk."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """End it as a machine that fails does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def forget(self) -> None:
        """Throw away what it knows of the files, so that it reads them again from the start."""
        for path in self.spool.glob("imfile-state*"):
            path.unlink()

    def refused(self) -> list[Any]:
        """Return what the engine refused for good, as the error file has it."""
        path = self.spool / "es-errors.json"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def unparsed(self) -> str:
        """Return the lines that were no JSON."""
        path = self.spool / "unparsed.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it while the block runs."""
        self.start()
        try:
            yield
        finally:
            if self._process is not None:
                self.stop()
