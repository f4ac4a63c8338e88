"""`obs_middleware.measure.garbage`: the pauses by garbage collection."""

from __future__ import annotations

import gc

from obs_middleware.measure.garbage import Pauses


def collect() -> None:
    gc.unfreeze()  # another fixture has frozen the objects of the test run
    gc.collect()
    gc.freeze()


def test_a_collection_is_measured_while_it_is_watched() -> None:
    pauses = Pauses()
    collect()
    assert pauses.seconds == 0

    pauses.watch()
    pauses.watch()
    try:
        collect()
        once = pauses.seconds
        assert 0 < pauses.longest <= once
    finally:
        pauses.leave()
    collect()

    assert pauses.seconds == once


def test_nothing_is_left_behind() -> None:
    before = list(gc.callbacks)
    pauses = Pauses()
    pauses.watch()
    pauses.leave()
    pauses.leave()

    assert gc.callbacks == before


def test_a_collection_that_began_before_is_not_measured() -> None:
    pauses = Pauses()
    pauses._note("stop", {})

    assert pauses.seconds == 0
