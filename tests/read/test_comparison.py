"""The comparison behind ``diff``."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from obs_middleware.read.answers import Group, Keys, Quantiles, Ranked, SliceCount
from obs_middleware.read.comparison import ERROR, QUANTILES, Change, Comparison, compare, least_requests

START = dt.datetime(2026, 11, 2, 10, tzinfo=dt.UTC)


@dataclass
class Listed:
    """
    A side whose durations are in lists, a request a second in each group.

    Attributes:
        durations: Route -> durations in the order of time.
        errors: Route -> failed requests; None if that is not known.
        rate: The sample rate of all lines.
        timed: Whether lines have a time.
    """

    durations: Mapping[str, Sequence[float]]
    errors: Mapping[str, int | None] = field(default_factory=dict)
    error: float = 0.0
    rate: float = 1.0
    timed: bool = True

    def ranking(self, by: Sequence[str]) -> dict[Keys, Ranked]:
        return {(route,): Ranked((route,), sum(one), n=len(one)) for route, one in self.durations.items()}

    def figures(self, by: Sequence[str], groups: Sequence[Ranked]) -> dict[Keys, Group]:
        found = {}
        for group in groups:
            route = str(group.keys[0])
            durations = sorted(self.durations[route])
            values = {name: durations[int(share * (len(durations) - 1))] for name, share in QUANTILES.items()}
            found[group.keys] = Group(
                group.keys,
                round(len(durations) / self.rate),
                self.errors.get(route, 0),
                sum(durations),
                None,
                Quantiles(len(durations), p50=values["p50"], p95=values["p95"], p99=values["p99"]),
            )
        return found

    def durations_at(self, by: Sequence[str], ranks: Mapping[Ranked, Sequence[int]]) -> dict[Keys, dict[int, float]]:
        return {
            group.keys: {rank: sorted(self.durations[str(group.keys[0])])[rank - 1] for rank in wanted}
            for group, wanted in ranks.items()
        }

    def rank_error(self, share: float) -> float:
        return self.error

    def span(self) -> tuple[dt.datetime, dt.datetime] | None:
        longest = max(map(len, self.durations.values()))
        return (START, START + dt.timedelta(seconds=longest)) if self.timed else None

    def slices(
        self, by: Sequence[str], medians: Mapping[Ranked, float], every: dt.timedelta
    ) -> dict[Keys, dict[int, SliceCount]]:
        found: dict[Keys, dict[int, SliceCount]] = {}
        for group, median in medians.items():
            here: dict[int, list[float]] = {}
            for second, duration in enumerate(self.durations[str(group.keys[0])]):
                here.setdefault(int(second // every.total_seconds()), []).append(duration)
            found[group.keys] = {
                number: SliceCount(len(some) / self.rate, len(some), sum(one > median for one in some))
                for number, some in here.items()
            }
        return found


def drawn(n: int, seed: int, factor: float = 1.0) -> list[float]:
    dice = random.Random(seed)
    return [factor * dice.lognormvariate(-3, 0.7) for _ in range(n)]


BEFORE = drawn(400, 1)


def verdicts(found: Comparison) -> dict[tuple[str | None, str], str]:
    return {(one.keys[0], one.figure): one.verdict for one in found.changes}


def compared(before: Listed, after: Listed, limit: int | None = None) -> dict[tuple[str | None, str], Change]:
    return {(one.keys[0], one.figure): one for one in compare(before, after, ("route",), limit).changes}


def test_a_slower_group_is_found_and_chance_is_not() -> None:
    before = Listed({"slow": drawn(400, 1), "same": drawn(400, 2)})
    after = Listed({"slow": drawn(400, 3, 2.0), "same": drawn(400, 4)})

    there, back = (verdicts(compare(*sides, ("route",))) for sides in ((before, after), (after, before)))

    assert {key for key, verdict in there.items() if verdict == "slower"} == {("slow", "p50"), ("slow", "p95")}
    assert {key for key, verdict in back.items() if verdict == "faster"} == {("slow", "p50"), ("slow", "p95")}
    assert {verdict for (route, _), verdict in there.items() if route == "same"} <= {"chance", "too few"}


def test_without_a_change_hardly_any_of_many_figures_gets_a_verdict() -> None:
    """Sixty routes with 1,000 and 20 requests: a run with any false verdict has a probability of 1 %."""
    wrong = 0
    for run in range(20):
        before, after = (
            Listed({f"r{number}": drawn(n, 1_000 * run + 100 * n + number) for number in range(60)}, timed=False)
            for n in (1_000, 20)
        )
        wrong += any(change.real for change in compare(before, after, ("route",)).changes)

    assert wrong <= 1


def test_too_few_is_said_for_each_figure() -> None:
    found = verdicts(compare(Listed({"a": drawn(1_000, 1)}), Listed({"a": drawn(100, 2)}), ("route",)))

    assert [found["a", figure] for figure in QUANTILES] == ["chance", "too few", "too few"]


def test_a_change_without_a_verdict_is_neither_real_nor_chance() -> None:
    found = compared(Listed({"a": BEFORE}), Listed({"a": BEFORE[:2]}))

    assert {found["a", figure].real for figure in QUANTILES} == {None}
    assert compared(Listed({"a": BEFORE}), Listed({"a": BEFORE}))["a", "p50"].real is False


def test_an_error_of_the_ranks_makes_the_interval_wider() -> None:
    exact, blurred = (
        compared(Listed({"a": BEFORE}, error=error), Listed({"a": BEFORE}, error=error))["a", "p50"]
        for error in (0.0, 0.1)
    )

    assert exact.low is not None
    assert exact.high is not None
    assert blurred.low is not None
    assert blurred.high is not None
    assert blurred.high - blurred.low > 1.2 * (exact.high - exact.low)


def test_a_group_on_one_side_has_no_figures_on_the_other() -> None:
    found = compared(Listed({"old": BEFORE}), Listed({"new": BEFORE}))

    change = found["new", "p50"]
    assert (change.n_before, change.n_after, change.before, change.verdict) == (0, len(BEFORE), None, "too few")
    assert change.after is not None
    assert found["new", "errors"].verdict == "too few"
    assert (found["new", "volume"].verdict, found["old", "volume"].verdict) == ("more", "fewer")


def test_groups_come_in_the_order_of_the_larger_time_on_either_side() -> None:
    before = Listed({"a": [1.0], "b": [5.0], "c": [2.0]})
    after = Listed({"a": [9.0], "b": [1.0], "d": [2.0]})

    assert [*dict.fromkeys(route for route, _ in compared(before, after))] == ["a", "b", "c", "d"]
    assert {route for route, _ in compared(before, after, 2)} == {"a", "b"}


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(4, 40, "more"), (40, 4, "fewer"), (20, 24, "chance"), (0, 0, "chance"), (None, 4, "unknown")],
)
def test_error_rates_have_their_own_verdict(before: int | None, after: int | None, verdict: str) -> None:
    old, new = (Listed({"a": BEFORE}, {"a": errors}) for errors in (before, after))
    change = compared(old, new)["a", "errors"]

    assert change.verdict == verdict
    assert change.after == (None if after is None else after / len(BEFORE))


def test_errors_need_enough_requests_and_no_estimates() -> None:
    few, sampled = Listed({"a": BEFORE[:3]}, {"a": 1}), Listed({"a": BEFORE}, {"a": 10}, rate=0.5)

    assert compared(few, few)["a", "errors"].verdict == "too few"
    assert compared(Listed({"a": BEFORE}), sampled)["a", "errors"].verdict == "sampled"


def test_a_side_that_failed_completely_is_judged_from_few_requests() -> None:
    """A canary: five of five failed, after none of 400."""
    assert compared(Listed({"a": BEFORE}), Listed({"a": BEFORE[:5]}, {"a": 5}))["a", "errors"].verdict == "more"


def test_the_volume_is_that_of_the_time_that_a_side_spans() -> None:
    before = Listed({"a": [0.1] * 1_000, "all": [0.1] * 1_000})
    after = Listed({"a": [0.1] * 20, "all": [0.1] * 100})

    found = compared(before, after)

    assert (found["all", "volume"].verdict, found["a", "volume"].verdict) == ("chance", "fewer")
    assert (found["all", "volume"].before, found["a", "volume"].after) == pytest.approx((1.0, 0.2))


def test_without_times_the_volume_is_not_known() -> None:
    assert compared(Listed({"a": BEFORE}, timed=False), Listed({"a": BEFORE}))["a", "volume"].verdict == "unknown"


def test_waves_are_reported_with_their_groups() -> None:
    wave = sorted(BEFORE)

    found = compare(Listed({"a": wave, "b": BEFORE}), Listed({"a": BEFORE, "b": BEFORE}), ("route",))

    assert found.waves == (("a",),)
    assert compare(Listed({"b": BEFORE}), Listed({"b": BEFORE}), ("route",)).waves == ()


def test_more_figures_need_more_requests() -> None:
    assert [least_requests(share, ERROR) for share in QUANTILES.values()] == [5, 71, 351]
    assert least_requests(0.95, ERROR / 60) > 100
