"""The aggregations of the figures, and the buckets of the answers."""

from __future__ import annotations

import pytest

from obs_middleware.read.answers import Quantiles
from obs_middleware.read.index.formulas import Figures, bins_of, weight_of

NAMES = {"duration_seconds": "event.duration", "sample_rate": "obs.sample_rate"}


def test_a_group_that_has_gone_since_it_was_found_has_no_durations() -> None:
    assert Figures(NAMES).quantiles_of({"doc_count": 0}) == Quantiles(0)


def test_only_lines_with_a_sample_rate_are_counted_by_rate() -> None:
    assert "rates" not in Figures(NAMES).weighted({})
    assert "rates" in Figures(NAMES, sampled=True).weighted({})


def test_a_line_with_a_sample_rate_counts_more_than_once() -> None:
    rates = [{"key": 0.5, "doc_count": 2}, {"key": 1.0, "doc_count": 3}, {"key": 7.0, "doc_count": 4}]

    assert weight_of({"doc_count": 10, "rates": {"buckets": rates}}) == pytest.approx(10 + 2)


def test_the_bars_of_several_histograms_are_the_same() -> None:
    empty = [{"doc_count": 0}] * 48
    first, second = ([*empty[:at], {"doc_count": 1}, *empty[at + 1 :]] for at in (24, 26))

    histograms = bins_of([first, second])

    assert [[one.count for one in histogram] for histogram in histograms] == [[1, 0, 0], [0, 0, 1]]
    assert histograms[0][0].low == 1.0
    assert bins_of([empty]) == ()
