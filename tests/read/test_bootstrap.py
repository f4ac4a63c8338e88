"""The bootstrap behind ``diff``."""

from __future__ import annotations

from obs_middleware.read.bootstrap import DRAWS, FIGURES, interval_of, ranks_of


def test_the_interval_leaves_out_half_a_percent_at_each_end() -> None:
    assert interval_of(range(1000, -1, -1)) == (5, 995)


def test_the_same_seed_gives_the_same_ranks() -> None:
    assert ranks_of(50, "before") == ranks_of(50, "before")
    assert ranks_of(50, "before") != ranks_of(50, "after")


def test_the_ranks_lie_around_the_share_of_the_figure() -> None:
    for figure, ranks in ranks_of(1_000, "before").items():
        assert len(ranks) == DRAWS
        assert abs(sum(ranks) / DRAWS - FIGURES[figure]) < 0.01
