"""`obs_middleware.logs.sinks.sigterm`: the queue is written before the server's own handler of SIGTERM runs."""

from __future__ import annotations

import io
import signal
import threading
from typing import Any

import pytest
from queued import PATIENCE, Gate, Make, log

from obs_middleware.logs.handlers import NonBlockingHandler


def test_sigterm_empties_the_queue_before_the_server_hears_of_it(make: Make, gate: Gate, on_sigterm: Any) -> None:
    heard: list[list[str]] = []
    on_sigterm(lambda *_: heard.append(gate.lines()))
    make(gate, flush_on_sigterm=True)
    log("one", "two")
    assert gate.waiting.wait(PATIENCE)
    gate.opened.set()
    signal.raise_signal(signal.SIGTERM)
    log("three")

    assert heard == [["one", "two"]]
    assert gate.lines() == ["one", "two", "three"]


def test_sigterm_still_ends_a_process_that_does_not_handle_it(
    make: Make, on_sigterm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sigterm(signal.SIG_DFL)
    output = io.StringIO()
    make(output, flush_on_sigterm=True)
    log("one")
    sent: list[Any] = []
    raise_signal = signal.raise_signal
    monkeypatch.setattr("signal.raise_signal", lambda number: sent.append((number, signal.getsignal(number))))
    raise_signal(signal.SIGTERM)

    assert output.getvalue() == "one\n"
    assert sent == [(signal.SIGTERM, signal.SIG_DFL)]


@pytest.mark.parametrize(("before", "asked"), [(signal.SIG_IGN, True), (signal.SIG_DFL, False)])
def test_sigterm_is_left_alone_where_it_is_ignored_or_nobody_asked(
    make: Make, on_sigterm: Any, before: Any, asked: bool
) -> None:
    on_sigterm(before)
    make(io.StringIO(), flush_on_sigterm=asked)

    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_is_left_alone_outside_the_main_thread(make: Make, on_sigterm: Any) -> None:
    def before(*_: Any) -> None:
        raise NotImplementedError

    on_sigterm(before)
    thread = threading.Thread(target=make, args=[io.StringIO()], kwargs={"flush_on_sigterm": True})
    thread.start()
    thread.join()

    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_reaches_the_server_when_the_handler_is_no_more(on_sigterm: Any) -> None:
    heard: list[int] = []
    on_sigterm(lambda number, _: heard.append(number))
    NonBlockingHandler(stream=io.StringIO(), flush_on_sigterm=True).close()
    signal.raise_signal(signal.SIGTERM)

    assert heard == [signal.SIGTERM]
