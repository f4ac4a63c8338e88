"""`obs_middleware.measure.seen`: how much of a time counts, and what the line says of it."""

from __future__ import annotations

import pytest

from obs_middleware.measure.event import Event
from obs_middleware.measure.seen import Hold, Seen

TICK = 0.025


def held(*looks: float) -> Hold:
    hold = Hold("code", 10.0, TICK)
    for look in looks:
        hold.add(10.0 + look)
    return hold


def test_a_hold_lasts_from_the_first_look_to_the_last() -> None:
    assert held(0.025, 0.05, 0.1).seconds == pytest.approx(0.1)


def test_a_time_in_which_nobody_looked_counts_as_one_tick() -> None:
    """The process was suspended, the machine slept, or another thread kept the global lock."""
    assert held(0.025, 5.0, 5.025).seconds == pytest.approx(0.075)
    assert held(0.025, 3_600.0).seconds == pytest.approx(0.05)


def test_a_time_in_which_the_watching_thread_waited_for_a_processor_counts() -> None:
    hold = held(0.025)
    hold.add(10.525, waited=0.45)

    assert hold.seconds == pytest.approx(0.525)


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    assert held(0.025, -1.0).seconds == pytest.approx(0.025)


def test_a_garbage_collection_does_not_count() -> None:
    hold = held(0.025)
    hold.add(10.1, paused=0.07)

    assert hold.seconds == pytest.approx(0.03)


def test_code_that_waits_for_a_processor_does_not_hold_the_loop_meanwhile() -> None:
    hold = held()
    hold.add(10.1, ran=0.01)
    hold.add(11.1, ran=0.9)  # nobody looked, but it did run

    assert hold.seconds == pytest.approx(0.91)


def test_a_line_that_is_written_while_the_loop_is_held_counts_until_then() -> None:
    hold = held(0.025)

    assert hold.length(10.06) == pytest.approx(0.06)
    assert hold.length(10.0) == pytest.approx(0.025)  # the end was read before the last look
    assert hold.length(15.0) == pytest.approx(0.05)  # nobody looked since


def test_the_end_of_a_hold_is_final() -> None:
    known, unknown = held(0.025), held(0.025)
    known.end(10.04)
    unknown.end()

    assert known.length(99.0) == pytest.approx(0.04)
    assert unknown.length(99.0) == pytest.approx(0.025)
    assert known.is_over
    assert unknown.is_over


def test_the_longest_hold_is_kept() -> None:
    seen = Seen()
    long, short = held(0.1), held(0.05)
    for hold in (short, long, short):
        seen.note(hold)

    assert seen.hold is long
    seen.forget(short)
    assert seen.hold is long
    seen.forget(long)
    assert seen.hold is None


def test_the_line_has_what_was_seen() -> None:
    event = Event(9.0, "id")
    event.duration_seconds = 1.05
    event.seen = Seen()
    hold = held(0.025)
    hold.place = "shop/views.py:7 in pay"
    event.seen.hold = hold
    event.seen.slow_at = "shop/views.py:9 in wait"

    line = event.line()

    assert line["blocked_seconds"] == pytest.approx(0.05)
    assert (line["blocked_at"], line["slow_at"]) == ("shop/views.py:7 in pay", "shop/views.py:9 in wait")


def test_a_line_has_none_of_the_fields_without_a_reason() -> None:
    event = Event(9.0, "id")
    event.seen = Seen()

    assert not {"blocked_seconds", "blocked_at", "slow_at"} & set(event.line())
