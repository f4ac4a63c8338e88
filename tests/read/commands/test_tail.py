"""`obs-middleware tail`: following a log."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from console import COMMAND, DEADLINE, Run, write
from loglines import FORMATS, Event, events


class Tail:
    """A running ``obs-middleware tail`` and its output so far."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "tail", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.text = ""

    def wait_for(self, word: str) -> str:
        deadline = time.monotonic() + DEADLINE
        assert self.process.stdout is not None
        while word not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, self.text
            if select.select([self.process.stdout], [], [], left)[0]:
                piece = os.read(self.process.stdout.fileno(), 65_536)
                assert piece, self.text
                self.text += piece.decode()
        return self.text


@pytest.fixture(name="tail")
def _tail() -> Iterator[Callable[..., Tail]]:
    started: list[Tail] = []

    def start(*arguments: str | Path) -> Tail:
        started.append(Tail(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.send_signal(signal.SIGINT)  # lets it clean up
        one.process.wait(DEADLINE)
        assert one.process.stdout is not None
        one.process.stdout.close()


def short(event: Event) -> str:
    """Return the part of the id that a row has."""
    return str(event["request_id"])[:8]


def test_tail_follows_a_log_across_rotation(tail: Callable[..., Tail], tmp_path: Path) -> None:
    written = events(40)
    log = write(tmp_path / "shop.log", [FORMATS["flat"](event) for event in written[:20]])
    following = tail("-F", log, "-n", "2", "--every", "100ms")
    shown = following.wait_for(short(written[19]))
    assert short(written[18]) in shown
    assert short(written[17]) not in shown

    with log.open("a") as file:
        file.write(FORMATS["ecs"](written[20])[:50])
        file.flush()
        file.write(FORMATS["ecs"](written[20])[50:] + "\nValueError: \x1b[31mno\n")
    following.wait_for(short(written[20]))
    assert "ValueError: \\x1b[31mno" in following.wait_for("ValueError")

    log.rename(tmp_path / "shop.log.1")
    write(log, [FORMATS["flat"](written[21])])
    following.wait_for(short(written[21]))

    with log.open("r+") as file:  # copytruncate
        file.truncate()
        file.write("x\n")
    following.wait_for("\nx\n")
    with log.open("a") as file:
        file.write(FORMATS["logfmt"](written[22]) + "\n")
    following.wait_for(short(written[22]))
    assert re.search(r"-- last \d+ s: \d+ requests .* p95 ", following.wait_for("-- last"))


def test_tail_applies_the_filters(tail: Callable[..., Tail], tmp_path: Path, written: list[Event]) -> None:
    log = write(tmp_path / "shop.log", ["Traceback", *(FORMATS["flat"](event) for event in written)])
    following = tail(log, "-n", "1000", "--status", "5xx", "--every", "100ms")

    shown = following.wait_for("-- last")

    failed = [short(event) for event in written if event["status"] == 500]
    assert [line.split()[-1] for line in shown.splitlines() if not line.startswith("--")] == failed


def test_tail_of_a_pipe_ends_with_it(written: list[Event]) -> None:
    text = "".join(f"{FORMATS['flat'](event)}\n" for event in written)
    result = subprocess.run(
        [*COMMAND, "tail"], input=text, capture_output=True, text=True, check=True, timeout=DEADLINE
    )

    *lines, summary = result.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [short(event) for event in written]
    assert "300 requests" in summary


def test_tail_shows_tracebacks_and_times_in_the_chosen_zone(written: list[Event]) -> None:
    event = written[0] | {"timestamp": "2026-11-02T23:30:00.25Z", "stack_trace": "Traceback:\n  ValueError: no"}
    result = subprocess.run(
        [*COMMAND, "tail", "--tz", "Europe/Amsterdam"],
        input=f"{FORMATS['flat'](event)}\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE,
    )

    line, *trace, _ = result.stdout.splitlines()
    assert line.startswith("00:30:00.250 ")
    assert trace == ["  Traceback:", "    ValueError: no"]


def test_tail_counts_every_failed_outcome(written: list[Event]) -> None:
    """A failed request may have the status 200, because the response had begun."""
    outcomes = ["ok", "error", "stream_error", "lost", "cancelled", "aborted"]
    lines = [
        FORMATS["flat"](event | {"outcome": one, "status": 200})
        for one, event in zip(outcomes, written[:6], strict=True)
    ]
    lines.append(FORMATS["flat"](written[10] | {"outcome": "ok", "status": 503}))

    result = subprocess.run(
        [*COMMAND, "tail"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True, timeout=DEADLINE
    )

    assert "7 requests" in result.stdout
    assert "4 errors (57.1%)" in result.stdout


def test_tail_ends_with_a_summary_when_interrupted(tail: Callable[..., Tail], log: Path) -> None:
    following = tail(log, "--every", "1h")
    following.wait_for("GET")
    following.process.send_signal(signal.SIGINT)

    following.wait_for("-- last")
    assert following.process.wait(DEADLINE) == 130


@pytest.mark.parametrize("arguments", [["-n", "-1"], ["--every", "often"], ["-n", "few"]])
def test_tail_refuses_invalid_options(arguments: list[str], run: Run, log: Path) -> None:
    assert run("tail", log, *arguments)[0] == 2
