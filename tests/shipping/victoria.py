"""VictoriaLogs, and its answers to queries in LogsQL."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from paths import ROOT
from ports import HOST, free_port
from shipping import golang
from shipping.parts import START_SECONDS, STOP_SECONDS, Refused, wait_for

__all__ = ["EXAMPLE", "VictoriaLogs", "asked", "running_victoria"]

EXAMPLE: Final = ROOT / "examples" / "victorialogs"

_QUERY: Final = re.compile(r"^### ([^\n]+\?)$.*?^```logsql\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def asked() -> dict[str, str]:
    """Return the query of each question on the page of the example."""
    return dict(_QUERY.findall((EXAMPLE / "README.md").read_text()))


class VictoriaLogs:
    """A server that can be stopped and started again on the same port, with the same documents."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def otlp_url(self) -> str:
        """The address that takes log records of OpenTelemetry."""
        return f"http://{HOST}:{self.port}/insert/opentelemetry/v1/logs"

    def start(self) -> None:
        """Start the server and return as soon as it answers."""
        program = golang.built(golang.VICTORIA_LOGS)
        assert program is not None
        # It drops lines that are older than the retention, and those of the tests are of a fixed day.
        command = [str(program), f"-storageDataPath={self._folder / 'data'}", "-retentionPeriod=100y"]
        with (self._folder / "victoria.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [*command, f"-httpListenAddr={HOST}:{self.port}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_for(self._answers, bool, START_SECONDS, "VictoriaLogs does not answer", pause_seconds=0.05)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "victoria.txt").read_text()
        try:
            return self.post("/health", "") == b"OK"
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server as a deployment does, and wait until it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def ask(self, query: str) -> list[dict[str, str]]:
        """Return the rows that *query* finds: all values are texts."""
        self.post("/internal/force_flush", "")
        answer = self.post("/select/logsql/query", urlencode({"query": query}))
        return [json.loads(line) for line in answer.splitlines()]

    def count(self, query: str = "*") -> int:
        """Return the number of lines that *query* finds."""
        (row,) = self.ask(f"{query} | stats count() as lines")
        return int(row["lines"])

    def post(self, path: str, body: str, kind: str = "application/x-www-form-urlencoded") -> bytes:
        """Return the answer to a request; raise `Refused` if it is an error."""
        connection = HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request("POST", path, body.encode(), {"Content-Type": kind})
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 400:
                raise Refused(response.status, answer.decode())
            return answer
        finally:
            connection.close()


@contextmanager
def running_victoria(folder: Path) -> Iterator[VictoriaLogs]:
    """Run VictoriaLogs while the block runs; it keeps its data in *folder*."""
    server = VictoriaLogs(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
