"""What each shipper does while its file is rotated and while it is stopped: every line arrives, and arrives once."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from shipping import golang
from shipping.parts import ELK, Engine, wait_for
from shipping.shippers import Collector, Rsyslog, Shipper, SyslogNg
from shipping.victoria import EXAMPLE, VictoriaLogs, running_victoria

from obs_middleware.logs.schemas import Translation, schema_named

pytestmark = pytest.mark.shipping

ARRIVE_SECONDS = 90.0
NEEDS_GO = pytest.mark.skipif(
    any(golang.built(program) is None for program in golang.PROGRAMS),
    reason="no Go here, or too old a one, or `make test-elk` has not built the programs in Go",
)
TRACE = (
    'Traceback (most recent call last):\n  File "shop.py", line 3, in pay\n\traise BankError("kapot")\nBankError: kapot'
)
TEXTS = ["Request took 0.1000 seconds", "Zażółć gęślą jaźń, 日本語, 🫖", 'a "quoted" \\ text\twith a tab']


class Pipe(NamedTuple):
    """
    A shipper between a folder and a store.

    Attributes:
        file: The file that the site writes.
        shipper: The shipper, which is not running yet.
        arrived: Returns how often each `event_id` is in the store.
        stored: Returns the fields of the line with this `event_id`: `message` and `error.stack_trace`.
    """

    file: Path
    shipper: Shipper
    arrived: Callable[[], Counter[str]]
    stored: Callable[[str], tuple[str, str | None]]

    def write(self, numbers: range) -> None:
        """Append lines, as the site does."""
        with self.file.open("a", encoding="utf-8") as file:
            file.writelines(f"{line(number)}\n" for number in numbers)

    def holds(self, numbers: Sequence[int]) -> None:
        """
        Wait until the lines are there, and assert that each is there once, and nothing else.

        Call it once more when the shipper has ended: then nothing can come twice any more.
        """
        expected = Counter(f"line-{number}" for number in numbers)
        ran = self.shipper.is_running

        def arrived() -> Counter[str]:
            assert self.shipper.is_running == ran, self.shipper.output
            return self.arrived()

        found = wait_for(arrived, lambda found: not expected - found, ARRIVE_SECONDS, "lines")
        assert found == expected
        assert self.shipper.unparsed() == ""


def line(number: int) -> str:
    """Return a line; every tenth one has a traceback."""
    schema = schema_named("ecs")
    assert schema is not None
    failure = {"error_type": "BankError", "error_message": "kapot", "stack_trace": TRACE} if number % 10 == 0 else {}
    fields = {
        "timestamp": f"2026-11-02T10:00:{number // 100 % 60:02}.{number:06}Z",
        "level": "error" if failure else "info",
        "logger": "root",
        "message": TEXTS[number % len(TEXTS)],
        "event_id": f"line-{number}",
        "service": "shop",
        "request_id": f"request-{number}",
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "route": "checkout/",
        "status": 500 if failure else 200,
        "outcome": "error" if failure else "ok",
        "duration_seconds": 0.1,
        **failure,
    }
    return json.dumps(Translation(schema)("", "", fields), ensure_ascii=False)


@pytest.fixture(name="victoria")
def _victoria(tmp_path: Path) -> Iterator[VictoriaLogs]:
    with running_victoria(tmp_path) as server:
        yield server


@pytest.fixture(name="spool")
def _spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def engine_pipe(engine: Engine, index: str, logs: Path, shipper: Shipper) -> Pipe:
    def arrived() -> Counter[str]:
        documents = engine.everything(index) if engine.count(index) > 0 else []
        return Counter(document.get("event_id", "no id") for document in documents)

    def stored(event_id: str) -> tuple[str, str | None]:
        (hit,) = engine.search(index, {"query": {"term": {"event_id": event_id}}})["hits"]["hits"]
        return hit["_source"]["message"], hit["_source"].get("error", {}).get("stack_trace")

    return Pipe(logs / "app.json", shipper, arrived, stored)


def victoria_pipe(victoria: VictoriaLogs, logs: Path, shipper: Shipper) -> Pipe:
    def arrived() -> Counter[str]:
        rows = victoria.ask("* | stats by (event_id) count() as times")
        return Counter({row.get("event_id", "no id"): int(row["times"]) for row in rows})

    def stored(event_id: str) -> tuple[str, str | None]:
        (row,) = victoria.ask(f'event_id:="{event_id}" | fields _msg, "error.stack_trace"')
        return row["_msg"], row.get("error.stack_trace") or None

    return Pipe(logs / "app.json", shipper, arrived, stored)


@pytest.fixture(name="pipe", params=["rsyslog", "syslog-ng", pytest.param("collector", marks=NEEDS_GO)])
def _pipe(request: pytest.FixtureRequest, index: str, logs: Path, spool: Path) -> Pipe:
    if request.param == "collector":
        victoria: VictoriaLogs = request.getfixturevalue("victoria")
        example = ELK / "otel-collector" / "collector.yaml"
        return victoria_pipe(victoria, logs, Collector(example, logs, spool, victoria.port))
    engine: Engine = request.getfixturevalue("engine")
    shipper = {"rsyslog": Rsyslog, "syslog-ng": SyslogNg}[request.param](logs, spool, engine.port, index)
    return engine_pipe(engine, index, logs, shipper)


def test_its_configuration_has_no_mistake_and_nothing_that_is_deprecated(pipe: Pipe) -> None:
    said = pipe.shipper.check()
    pipe.write(range(10))
    with pipe.shipper.running():
        pipe.holds(range(10))

    assert "deprecated" not in (said + pipe.shipper.output).lower()


def test_every_line_arrives_once_and_whole_while_the_file_is_renamed(pipe: Pipe) -> None:
    """As logrotate does it; a compressed file lies beside it, and its lines are not to be read again."""
    old = gzip.compress("".join(f"{line(number)}\n" for number in range(900, 1_000)).encode())
    pipe.file.with_name("app.json.2.gz").write_bytes(old)
    pipe.write(range(100))
    with pipe.shipper.running():
        pipe.holds(range(100))
        pipe.write(range(100, 150))
        pipe.file.rename(pipe.file.with_name("app.json.1"))
        pipe.write(range(150, 250))
        pipe.holds(range(250))
        for number in (*range(6), 10, 200):
            trace = TRACE if number % 10 == 0 else None
            assert pipe.stored(f"line-{number}") == (TEXTS[number % len(TEXTS)], trace)
    pipe.holds(range(250))


def test_lines_that_were_written_while_it_was_stopped_arrive_once(pipe: Pipe) -> None:
    pipe.write(range(100))
    with pipe.shipper.running():
        pipe.holds(range(100))
    pipe.write(range(100, 200))
    with pipe.shipper.running():
        pipe.holds(range(200))
    with pipe.shipper.running():
        pipe.write(range(200, 210))
        pipe.holds(range(210))
    pipe.holds(range(210))


def test_lines_of_a_file_that_was_copied_and_truncated_arrive_once(pipe: Pipe) -> None:
    pipe.write(range(100))
    with pipe.shipper.running():
        pipe.holds(range(100))
        shutil.copy(pipe.file, pipe.file.with_name("app.json.1"))
        with pipe.file.open("r+b") as file:
            file.truncate()
        pipe.write(range(100, 150))
        pipe.holds(range(150))
    pipe.holds(range(150))


@NEEDS_GO
def test_the_collector_fills_the_native_fields_of_a_record(victoria: VictoriaLogs, logs: Path, spool: Path) -> None:
    pipe = victoria_pipe(victoria, logs, Collector(EXAMPLE / "collector.yaml", logs, spool, victoria.port))
    pipe.write(range(10, 12))
    with pipe.shipper.running():
        pipe.holds(range(10, 12))

    failed, fine = victoria.ask("* | sort by (_time)")
    assert failed["_time"] == "2026-11-02T10:00:00.00001Z"
    assert (failed["trace_id"], failed["span_id"]) == (f"{11:032x}", f"{11:016x}")
    assert (failed["severity_number"], fine["severity_number"]) == ("17", "9")
    assert failed["_stream"] == '{service.name="shop"}'


@NEEDS_GO
def test_the_collector_keeps_lines_while_victorialogs_is_down(victoria: VictoriaLogs, logs: Path, spool: Path) -> None:
    """Also over a restart of its own: they wait on the disk."""
    pipe = victoria_pipe(victoria, logs, Collector(EXAMPLE / "collector.yaml", logs, spool, victoria.port))
    victoria.stop()
    pipe.write(range(100))
    with pipe.shipper.running():
        wait_for(lambda: pipe.shipper.output, lambda text: "connection refused" in text, ARRIVE_SECONDS, "no failure")
    with pipe.shipper.running():
        victoria.start()
        pipe.holds(range(100))
    pipe.holds(range(100))


@NEEDS_GO
def test_victorialogs_stores_a_line_again_that_is_sent_again(victoria: VictoriaLogs) -> None:
    """As the page says, which also says how to load a file without the collector."""
    page = (EXAMPLE / "README.md").read_text()
    (path,) = re.findall(r"curl -X POST -T app.json 'http://127.0.0.1:9428(/[^']*)'", page)
    (query,) = re.findall(r"`(\* \| stats by \(event_id\)[^`]*)`", page)
    for number in (1, 2, 1):
        victoria.post(path, f"{line(number)}\n", "application/x-ndjson")

    assert victoria.ask(query) == [{"event_id": "line-1", "times": "2"}]
    (row,) = victoria.ask('event_id:="line-2"')
    assert row["_msg"] == TEXTS[2]
