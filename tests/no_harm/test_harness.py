"""The suite can fail: it notices each harm, done by a middleware that does nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from hostile import Nameless
from no_harm import (
    harmful,
    subject,
    test_chain,
    test_exceptions,
    test_process,
    test_requests,
    test_responses,
    test_streams,
)
from no_harm.world import World, counted_hops

Test = Callable[..., None]

OF_A_MEMBER: list[tuple[str, Any]] = [
    ("AsksForTheUser", test_requests.test_a_logged_in_client_costs_no_query_if_the_user_is_not_needed),
    ("AsksForTheUser", test_requests.test_the_session_is_not_accessed),
    ("AsksForTheUser", test_requests.test_a_lazy_user_stays_lazy),
    ("Varies", test_requests.test_no_response_begins_to_vary_by_cookie),
]
OF_A_WORLD: list[tuple[str, Any]] = [
    ("ReadsTheBody", test_requests.test_a_view_reads_a_body_that_is_larger_than_the_memory_limit),
    (
        "Varies",
        lambda world: test_responses.test_a_response_is_the_same_except_for_the_headers_it_may_add(
            world, test_responses.VIEWS["ok"], "get"
        ),
    ),
    ("Exposes", test_responses.test_headers_that_are_exposed_to_scripts_stay_exposed),
    ("Exposes", test_responses.test_nothing_is_exposed_to_scripts_that_the_site_did_not_expose),
    ("Copies", test_responses.test_the_response_is_the_object_that_the_view_returned),
    ("Consumes", test_streams.test_a_stream_is_not_touched_before_the_server_asks),
    ("Consumes", test_streams.test_a_stream_is_produced_no_faster_than_the_server_sends),
    ("Keeps", test_process.test_no_request_and_no_response_is_kept_alive),
    ("Keeps", test_process.test_nothing_grows_over_two_hundred_requests),
    ("Translates", test_exceptions.test_a_propagated_exception_is_the_one_that_was_raised),
    ("ChangesThreads", lambda world: _hops(world)),
]


def _hops(world: World) -> None:
    test_chain.test_no_request_changes_threads_because_of_it(world, test_chain.ok)


@pytest.fixture(name="notices")
def _notices(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Return whether a test fails with a harmful middleware as the one under test."""
    monkeypatch.setattr(harmful, "kept", [])

    def notices(harm: str, test: Test, *arguments: Any) -> bool:
        monkeypatch.setattr(subject, "MIDDLEWARE", (f"no_harm.harmful.{harm}",))
        monkeypatch.setattr(subject, "IS_FIRST", True)
        try:
            test(*arguments)
        except (AssertionError, RuntimeError):
            return True
        return False

    return notices


@pytest.mark.parametrize(("harm", "test"), OF_A_MEMBER)
def test_harm_to_a_logged_in_client_is_noticed(harm: str, test: Test, db: None, notices: Callable[..., bool]) -> None:
    world = World("sync")
    member = User.objects.create_user("member")
    world.client.force_login(member)

    assert notices(harm, test, world, member, test_requests.Recorder())


@pytest.mark.parametrize(("harm", "test"), OF_A_WORLD)
def test_harm_to_any_request_is_noticed(harm: str, test: Test, notices: Callable[..., bool]) -> None:
    assert notices(harm, test, World("sync"))


def test_harm_to_lazy_objects_is_noticed(notices: Callable[..., bool]) -> None:
    test = test_requests.test_a_lazy_attribute_of_the_request_stays_lazy

    assert notices("EvaluatesLazies", test, World("sync"), test_requests.Recorder())


def test_an_access_to_the_host_is_noticed(notices: Callable[..., bool]) -> None:
    test = test_requests.test_a_health_check_with_any_host_passes

    assert notices("AsksForTheHost", test, World("sync"), test_requests.Recorder())


def test_a_body_that_is_read_is_noticed(notices: Callable[..., bool]) -> None:
    test = test_requests.test_a_body_that_nobody_reads_is_not_read

    assert notices("ReadsTheBody", test, World("sync"), test_requests.Recorder(), "application/json")


def test_a_file_that_is_not_left_to_the_server_is_noticed(
    notices: Callable[..., bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notices(
        "Consumes", test_streams.test_a_file_goes_out_through_the_wrapper_of_the_server, tmp_path, monkeypatch
    )


def test_a_swallowed_exit_is_noticed(notices: Callable[..., bool]) -> None:
    assert notices("Swallows", test_exceptions.test_an_exception_that_ends_the_process_passes_unchanged, SystemExit)


def test_a_swallowed_cancellation_is_noticed(notices: Callable[..., bool]) -> None:
    assert notices("Swallows", test_exceptions.test_a_request_whose_client_has_left_is_cancelled)


def test_a_cleared_context_is_noticed(notices: Callable[..., bool]) -> None:
    assert notices("ClearsTheContext", test_process.test_context_that_was_bound_at_process_start_is_not_cleared)


def test_hops_are_counted_without_any_middleware_too() -> None:
    """A sync view under ASGI always changes threads, so a count of 0 would mean a broken counter."""
    world = World("async")

    with world.site(test_chain.ok, judged=False):
        world.send()
        with counted_hops() as hops:
            world.send()

    assert "SyncToAsync" in hops


def test_objects_are_counted_while_one_refuses_to_tell_its_class() -> None:
    kept = [Nameless()]

    assert test_process.objects() > len(kept)


def test_objects_of_coverage_are_not_counted() -> None:
    def collector(module: str) -> Any:
        made = type("Collector", (), {"lock_data": lambda self: None, "__module__": module})()
        made.data_lock = threading.Lock()
        return made

    tracer, own = collector("coverage.collector"), collector("not_coverage")
    before = test_process.objects()
    kept = [(one.lock_data, one.data_lock.acquire) for one in (tracer for _ in range(100))]
    uncounted = test_process.objects() - before
    kept += [(one.lock_data, one.data_lock.acquire) for one in (own for _ in range(100))]
    counted = test_process.objects() - before - uncounted

    assert len(kept) == 200
    # The list and its pairs count; of the methods, only those of an object of ours.
    assert uncounted < 150
    assert counted > 250
