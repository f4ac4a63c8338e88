"""`obs_middleware.measure.ids`: unique ids, also in child processes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware.measure import ids
from obs_middleware.measure.ids import is_request_id, new_event_id, new_request_id


def in_a_child(make: Callable[[], str]) -> str:
    """Call *make* in a forked process, and return its result."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, make().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        made = pipe.read()
    os.waitpid(child, 0)
    return made


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_event_ids_are_renewed_after_a_fork() -> None:
    """Two workers of one parent must not write the same ids."""
    before = new_event_id().split("-")[0]

    assert in_a_child(new_event_id).split("-")[0] != before
    assert new_event_id().split("-")[0] == before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_does_not_reuse_request_ids_in_stock() -> None:
    new_request_id()  # fills the stock
    in_stock = 200
    in_child = in_a_child(lambda: " ".join(new_request_id() for _ in range(in_stock))).split()

    assert len(set(in_child)) == in_stock
    assert not set(in_child) & {new_request_id() for _ in range(in_stock)}


def test_new_ids_are_well_formed_and_different() -> None:
    ids = {new_request_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(is_request_id(one) and len(one) == 32 for one in ids)


def test_the_token_of_the_process_is_random() -> None:
    before = ids._token
    ids._after_fork()

    assert ids._token != before


@given(st.text())
def test_an_accepted_request_id_cannot_break_anything(text: str) -> None:
    if is_request_id(text):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 128
        assert not set(text) & set(" \"'<>\\;,")


@pytest.mark.parametrize(
    "text", ["a;b", "a#1", "105445aa7843bc8bf206b12000100000/1;o=1", "a b", "a'b", "$a", "a`b", "a&b", "a|b"]
)
def test_an_id_that_a_shell_would_read_is_not_used(text: str) -> None:
    assert not is_request_id(text)
