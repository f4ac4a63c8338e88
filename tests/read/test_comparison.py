"""The comparison behind ``diff``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from obs_middleware.read.answers import FEW, Keys, Quantiles, Ranked
from obs_middleware.read.comparison import DRAWS, FIGURES, Change, compare, interval_of, ranks_of


class Listed:
    """A side whose durations are in lists: route -> durations."""

    def __init__(self, durations: Mapping[str, Sequence[float]], error: float = 0.0) -> None:
        self._durations: dict[Keys, list[float]] = {(route,): sorted(one) for route, one in durations.items()}
        self._error = error

    def ranking(self, by: Sequence[str]) -> dict[Keys, Ranked]:
        return {keys: Ranked(keys, sum(one)) for keys, one in self._durations.items()}

    def figures(self, by: Sequence[str], groups: Sequence[Ranked]) -> dict[Keys, Quantiles]:
        found = {}
        for group in groups:
            durations = self._durations[group.keys]
            values = {name: durations[int(share * (len(durations) - 1))] for name, share in FIGURES.items()}
            found[group.keys] = Quantiles(len(durations), **values)
        return found

    def durations_at(
        self, by: Sequence[str], group: Ranked, ranks: Mapping[str, Sequence[float]]
    ) -> dict[str, list[float]]:
        durations = self._durations[group.keys]
        last = len(durations) - 1
        return {figure: [durations[round(rank * last)] for rank in one] for figure, one in ranks.items()}

    def rank_error(self, share: float) -> float:
        return self._error


BEFORE = [0.1 + number / 10_000 for number in range(400)]


def changes_of(before: Listed, after: Listed, limit: int | None = None) -> dict[tuple[str | None, str], Change]:
    return {(one.keys[0], one.figure): one for one in compare(before, after, ("route",), limit)}


def test_a_shift_of_all_durations_is_found_and_chance_is_not() -> None:
    before = Listed({"slower": BEFORE, "same": BEFORE})
    after = Listed({"slower": [one + 0.1 for one in BEFORE], "same": BEFORE})

    found = changes_of(before, after)

    assert {key for key, one in found.items() if one.real} == {("slower", figure) for figure in FIGURES}
    shift = found["slower", "p50"]
    assert shift.before is not None
    assert shift.after is not None
    assert shift.low is not None
    assert shift.high is not None
    assert shift.low < shift.after - shift.before < shift.high
    assert 0.09 < shift.low < shift.high < 0.11


def test_an_error_of_the_ranks_makes_the_interval_wider() -> None:
    exact, blurred = (
        changes_of(Listed({"a": BEFORE}, error), Listed({"a": BEFORE}, error))["a", "p50"] for error in (0.0, 0.1)
    )

    assert exact.low is not None
    assert exact.high is not None
    assert blurred.low is not None
    assert blurred.high is not None
    assert blurred.high - blurred.low > 1.2 * (exact.high - exact.low)


@pytest.mark.parametrize(("n", "known"), [(FEW - 1, False), (FEW, True)])
def test_a_side_with_few_requests_gives_no_verdict(n: int, known: bool) -> None:
    for before, after in ((BEFORE, BEFORE[:n]), (BEFORE[:n], BEFORE)):
        change = changes_of(Listed({"a": before}), Listed({"a": after}))["a", "p99"]

        assert (change.real is not None) is known
        assert (change.n_before, change.n_after) == (len(before), len(after))


def test_a_group_on_one_side_has_no_figures_on_the_other() -> None:
    change = changes_of(Listed({"old": BEFORE}), Listed({"new": BEFORE}))["new", "p50"]

    assert (change.n_before, change.n_after, change.before, change.real) == (0, len(BEFORE), None, None)
    assert change.after is not None


def test_groups_come_in_the_order_of_the_larger_time_on_either_side() -> None:
    before = Listed({"a": [1.0], "b": [5.0], "c": [2.0]})
    after = Listed({"a": [9.0], "b": [1.0], "d": [2.0]})

    assert [*dict.fromkeys(route for route, _ in changes_of(before, after))] == ["a", "b", "c", "d"]
    assert {route for route, _ in changes_of(before, after, 2)} == {"a", "b"}


def test_the_interval_leaves_out_half_a_percent_at_each_end() -> None:
    assert interval_of(range(1000, -1, -1)) == (5, 995)


def test_the_same_seed_gives_the_same_ranks() -> None:
    assert ranks_of(50, "before") == ranks_of(50, "before")
    assert ranks_of(50, "before") != ranks_of(50, "after")


def test_the_ranks_lie_around_the_share_of_the_figure() -> None:
    for figure, ranks in ranks_of(1_000, "before").items():
        assert len(ranks) == DRAWS
        assert abs(sum(ranks) / DRAWS - FIGURES[figure]) < 0.01


def test_a_rank_with_an_error_stays_a_share() -> None:
    for ranks in ranks_of(1_000, "before", lambda _: 0.5).values():
        assert 0.0 <= min(ranks) < max(ranks) <= 1.0
