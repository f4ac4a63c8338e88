"""The parts of a duration, and what is called chance."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from obs_middleware.read.bands import STREAMED, Band, Bands
from obs_middleware.read.why import REST, UNCLEAR, is_by_chance, parts_of

seconds = st.floats(0, 1e6)
NAMES = ["db_seconds", "http_seconds", "blocked_seconds", STREAMED, "bank_seconds", "mail_seconds"]


def of(duration: float, *blocks: str, **means: float) -> dict[str, float]:
    """Return the parts that are not 0, without the unit in their names."""
    found = parts_of(Band(1, duration, means), blocks)
    return {name.removesuffix("_seconds"): value for name, value in found.items() if value > 1e-9}


@given(seconds, st.fixed_dictionaries(dict.fromkeys(NAMES, seconds)))
def test_the_parts_are_never_more_than_the_duration(duration: float, means: dict[str, float]) -> None:
    parts = parts_of(Band(1, duration, means), ["bank_seconds", "mail_seconds"])

    assert min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(duration)


def test_a_timed_block_may_contain_the_queries_or_not() -> None:
    """60 of 100 ms are queries. A block of 80 ms contains at least 40 - 20 ms that are none, and nobody knows more."""
    assert of(0.1, "bank_seconds", db_seconds=0.06, bank_seconds=0.08) == pytest.approx(
        {"db": 0.06, "bank": 0.02, UNCLEAR: 0.02}
    )


def test_a_timed_block_around_an_outgoing_call_is_not_counted_twice() -> None:
    assert of(0.1, "stripe_seconds", http_seconds=0.048, stripe_seconds=0.05) == pytest.approx(
        {"http": 0.048, "stripe": 0.002, UNCLEAR: 0.048, REST: 0.002}
    )


def test_timed_blocks_without_other_parts_are_certain() -> None:
    assert of(0.1, "a_seconds", "b_seconds", a_seconds=0.05, b_seconds=0.03) == pytest.approx(
        {"a": 0.05, "b": 0.03, REST: 0.02}
    )


def test_an_outgoing_call_that_blocks_the_event_loop_is_not_counted_twice() -> None:
    assert of(0.5, http_seconds=0.3, blocked_seconds=0.35, db_seconds=0.05) == pytest.approx(
        {"db": 0.05, "http": 0.3, "blocked": 0.05, REST: 0.1}
    )


def test_queries_that_run_beside_each_other_are_cut() -> None:
    assert of(0.1, db_seconds=0.3, http_seconds=0.2) == pytest.approx({"db": 0.1})


def test_streaming_is_what_the_queries_of_the_stream_leave() -> None:
    assert of(1.0, db_seconds=0.3, **{STREAMED: 0.8}) == pytest.approx(
        {"db": 0.3, STREAMED.removesuffix("_seconds"): 0.5, REST: 0.2}
    )


def bands_of(slow: list[float], ordinary: list[float]) -> Bands:
    """Return the bands of requests with these seconds in the database."""
    middle = sum([*slow, *ordinary]) / (len(slow) + len(ordinary))
    above = [{"db_seconds": sum(one > middle for one in values)} for values in (slow, ordinary)]
    return Bands(Band(len(slow), above=above[0]), Band(len(ordinary), above=above[1]))


@pytest.mark.parametrize("n_slow", [2, 5, 20, 100])
def test_a_part_without_a_connection_to_slowness_is_called_chance(n_slow: int) -> None:
    """At most one in a hundred is not; that many more than 30 of 2,000 have a probability of less than 1 %."""
    dice = random.Random(4)

    def values(number: int) -> list[float]:
        return [dice.lognormvariate(0, 1.5) for _ in range(number)]

    sure = sum(not is_by_chance("db_seconds", bands_of(values(n_slow), values(5 * n_slow))) for _ in range(2_000))

    assert sure <= 30


def test_a_part_of_all_slow_requests_and_of_no_other_is_not_chance_from_three_requests_on() -> None:
    assert is_by_chance("db_seconds", bands_of([1.0] * 2, [0.1] * 10))
    assert not is_by_chance("db_seconds", bands_of([1.0] * 3, [0.1] * 15))


def test_one_request_explains_nothing_about_the_others() -> None:
    assert is_by_chance("db_seconds", bands_of([*[0.1] * 29, 60.0], [0.1] * 150))


def test_the_rest_is_judged_by_the_number_of_requests() -> None:
    assert is_by_chance(REST, Bands(Band(2), Band(10)))
    assert not is_by_chance(REST, Bands(Band(3), Band(15)))
