"""What chance does to counts and ranks: exact probabilities, compared with plain counting."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from math import comb

import pytest

from benchmarks.reading.simulate import correlated, has_waves
from obs_middleware.read.chance import at_least, chance_of_shares, levels, nearest_ranks, strictest_level, waves

ERROR = 0.01


def exactly(k: int, population: int, marked: int, drawn: int) -> float:
    """Return the hypergeometric probability of *k* or more, from its definition."""
    possible = range(max(k, 0, drawn + marked - population), min(marked, drawn) + 1)
    cases = (comb(marked, i) * comb(population - marked, drawn - i) for i in possible)
    return float(Fraction(sum(cases), comb(population, drawn)))


def test_a_probability_is_that_of_the_definition_and_never_too_small() -> None:
    dice = random.Random(1)
    for _ in range(500):
        population = dice.randint(1, 80)
        marked, drawn = dice.randint(0, population), dice.randint(0, population)
        k = dice.randint(-1, population + 1)
        expected = exactly(k, population, marked, drawn)

        assert expected * (1 - 1e-9) <= at_least(k, population, marked, drawn) <= min(expected * 1.001, 1.0) + 1e-12


def test_a_limit_saves_terms_and_never_changes_the_side() -> None:
    dice = random.Random(2)
    for _ in range(500):
        population = dice.randint(1, 80)
        marked, drawn = dice.randint(0, population), dice.randint(0, population)
        k, limit = dice.randint(-1, population + 1), 10 ** -dice.uniform(0, 6)
        whole = at_least(k, population, marked, drawn)

        assert (at_least(k, population, marked, drawn, limit) <= limit) == (whole <= limit)


def test_the_probability_of_ranks_is_the_share_of_all_orders_of_two_samples() -> None:
    """Without a change all orders of the pooled values are equally probable: count them."""
    n_above, n_below, above, below = 5, 6, 4, 2
    orders = [*itertools.combinations(range(n_above + n_below), n_above)]
    larger = 0
    for places in orders:
        others = sorted({*range(n_above + n_below)} - {*places})
        larger += others[below - 1] > places[above - 1]

    assert at_least(above, n_above + n_below, n_above, above + below - 1) == pytest.approx(larger / len(orders))


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("error", [ERROR / 2, ERROR / 200])
def test_without_a_change_a_verdict_is_as_improbable_as_stated(share: float, error: float) -> None:
    sizes = (20, 50, 100, 300, 1_000, 5_000)
    found = 0
    for n_above, n_below in itertools.product(sizes, sizes):
        ranks = nearest_ranks(share, n_above, n_below, error)
        if ranks is not None:
            found += 1
            above, below = ranks
            assert below / n_below < share + 1 / n_below
            assert above / n_above > share
            assert exactly(above, n_above + n_below, n_above, above + below - 1) <= error
    assert found


def test_the_ranks_are_the_nearest_ones() -> None:
    """A rank nearer to the median on either side is more probable than the error."""
    above, below = nearest_ranks(0.5, 1_000, 1_000, ERROR / 2) or (0, 0)

    assert exactly(above - 1, 2_000, 1_000, above + below - 1) > ERROR / 2
    assert exactly(above, 2_000, 1_000, above + below - 1) > 0.5 * ERROR / 2


@pytest.mark.parametrize(("share", "least"), [(0.5, 5), (0.95, 71), (0.99, 351)])
def test_a_sample_that_is_too_small_has_no_such_rank(share: float, least: int) -> None:
    assert nearest_ranks(share, least, least, ERROR / 2) is not None
    assert all(nearest_ranks(share, n, n, ERROR / 2) is None for n in range(least))


def test_a_small_sample_may_have_a_rank_below_but_none_above() -> None:
    assert nearest_ranks(0.99, 1_000, 20, ERROR / 2) is not None
    assert nearest_ranks(0.99, 20, 1_000, ERROR / 2) is None


def test_shares_are_compared_by_fishers_exact_test() -> None:
    more, fewer = chance_of_shares((1, 10), (7, 10))

    assert more == pytest.approx(exactly(7, 20, 8, 10), rel=1e-3)
    assert fewer == pytest.approx(1 - exactly(8, 20, 8, 10), rel=1e-3)


def test_levels_become_stricter_with_the_number_of_figures() -> None:
    assert levels(ERROR, 0) == levels(ERROR, 1) == [ERROR]
    assert levels(ERROR, 6) == pytest.approx([ERROR / 6, ERROR / 3, ERROR * 4 / 6, ERROR])


@pytest.mark.parametrize(("found", "expected"), [(0, 1 / 6), (1, 1 / 6), (2, 2 / 6), (3, 2 / 6), (4, 4 / 6), (6, 1)])
def test_many_discoveries_loosen_the_level(found: int, expected: float) -> None:
    assert strictest_level(ERROR, 6, lambda _: found) == pytest.approx(ERROR * expected)


def test_waves_are_found_and_independent_durations_give_no_warning() -> None:
    dice = random.Random(3)

    assert sum(has_waves(correlated(dice, 200, 0.95)) for _ in range(100)) >= 99
    assert sum(has_waves(correlated(dice, 200, 0.0)) for _ in range(500)) <= 2


def test_weak_waves_are_found_in_all_series_together() -> None:
    even, uneven = [(40, 20)] * 20, [(40, 20 + 4 * (-1) ** (place // 2)) for place in range(20)]

    assert waves([even] * 20) == (set(), False)
    assert waves([uneven] * 20) == (set(), True)
    assert waves([]) == (set(), False)


def test_slices_with_few_requests_are_merged() -> None:
    slices = [(1, place // 50) for place in range(100)]

    assert waves([slices]) == ({0}, True)
    assert waves([slices[:4]]) == (set(), False)
