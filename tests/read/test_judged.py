"""A figure of two samples that is compared by ranks."""

from __future__ import annotations

import random

import pytest

from benchmarks.reading.simulate import SHAPES, called
from obs_middleware.read.judged import Judged

ERROR = 0.01


def judged(before: list[float], after: list[float], share: float = 0.5, slack: tuple[int, int] = (0, 0)) -> Judged:
    ranked = tuple(dict(enumerate(sorted(one), 1)) for one in (before, after))
    return Judged(share, (len(before), len(after)), slack, (ranked[0], ranked[1]))


BEFORE = [0.1 + number / 10_000 for number in range(400)]


def test_a_shift_is_found_in_both_directions_and_no_shift_is_not() -> None:
    later = [one + 0.05 for one in BEFORE]

    assert judged(BEFORE, later).direction(ERROR) == 1
    assert judged(later, BEFORE).direction(ERROR) == -1
    assert judged(BEFORE, BEFORE).direction(ERROR) == 0


def test_the_interval_contains_the_shift() -> None:
    low, high = judged(BEFORE, [one + 0.05 for one in BEFORE]).interval(ERROR)

    assert low is not None
    assert high is not None
    assert 0.04 < low < 0.05 < high < 0.06


def test_durations_that_are_all_equal_are_no_change() -> None:
    assert judged([0.1] * 400, [0.1] * 300).direction(ERROR) == 0


def test_a_rank_that_may_be_off_makes_the_interval_wider_or_takes_it_away() -> None:
    exact, blurred, blind = (judged(BEFORE, BEFORE, slack=(slack, slack)).interval(ERROR) for slack in (0, 20, 200))

    assert exact[0] is not None
    assert exact[1] is not None
    assert blurred[0] is not None
    assert blurred[1] is not None
    assert blurred[1] - blurred[0] > exact[1] - exact[0] + 0.007
    assert blind == (None, None)


def test_a_small_side_can_show_that_it_is_slower_but_not_that_it_is_faster() -> None:
    small = BEFORE[::20]

    assert judged(BEFORE, small, 0.95).direction(ERROR) is None
    assert judged(BEFORE, [one + 1 for one in small], 0.95).direction(ERROR) == 1
    assert judged(BEFORE, [one / 10 for one in small], 0.95).direction(ERROR) is None
    assert judged(BEFORE, [], 0.5).direction(ERROR) is None


@pytest.mark.parametrize("sizes", [(1_000, 20), (20, 1_000), (1_000, 100), (300, 300), (50, 5_000)])
def test_without_a_change_at_most_one_verdict_in_a_hundred_is_wrong(sizes: tuple[int, int]) -> None:
    """Plus three standard errors of the simulation; `make simulate-diff` is the large one."""
    pairs = 1_000
    found = called(random.Random(5), sizes, pairs, [*SHAPES.values()])

    for figure, counts in found.items():
        for faster, slower in counts:
            assert faster + slower <= ERROR * pairs + 3 * (ERROR * pairs) ** 0.5, figure


def test_a_p95_that_is_half_as_slow_again_is_found_in_a_thousand_requests() -> None:
    found = called(random.Random(6), (1_000, 1_000), 500, [SHAPES["lognormal, sigma 0.75"]], 1.5)

    assert found["p95"][0][1] >= 0.95 * 500
