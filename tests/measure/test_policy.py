"""`obs_middleware.measure.policy`: the lines that are written, and their level."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from typing import Any
from unittest.mock import patch

import pytest
from conftest import Get, respond
from counts import Counts, counts
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware.measure.event import Event
from obs_middleware.measure.policy import Policy, Rule, keeps, level_by_status, sampling_key
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests, capture_requests


def event_of_path(
    path: str = "/", *, outcome: str = "ok", seconds: float = 0.1, status: int = 200, rule: Rule | None = None
) -> Event:
    event = Event(0.0, "id", "GET", path)
    event.outcome, event.duration_seconds, event.status, event.rule = outcome, seconds, status, rule
    return event


def counted(before: Counts) -> Counts:
    after = counts()
    return {
        name: after[name] - before[name] for name in ("requests", "written", "excluded", "suppressed", "sampled_out")
    }


# Exclude


def test_an_excluded_path_is_not_written_whatever_its_query(get: Get) -> None:
    before = counts()
    with override_settings(OBS_MIDDLEWARE={"EXCLUDE": [r"^/ok/$"]}), capture_requests() as lines:
        get("/ok/?x=1")
        get("/ok-async/")

    assert [line["path"] for line in lines] == ["/ok-async/"]
    assert counted(before) == {"requests": 2, "written": 1, "excluded": 1, "suppressed": 0, "sampled_out": 0}


@pytest.mark.parametrize("outcome", ["error", "cancelled", "aborted", "stream_error", "lost"])
@pytest.mark.parametrize("how", ["exclude", "quiet", "sample", "rule"])
def test_a_request_that_went_wrong_is_always_written(outcome: str, how: str) -> None:
    policy = {
        "exclude": Policy(exclude=["."]),
        "quiet": Policy(quiet=["."]),
        "sample": Policy(sample_rate=0.0),
        "rule": Policy(),
    }[how]
    rule = Rule(exclude=True) if how == "rule" else None

    for _ in range(3):
        assert policy.decide(event_of_path(outcome=outcome, rule=rule)) == "written"


@pytest.mark.parametrize("how", ["exclude", "quiet", "sample_rate"])
def test_a_slow_request_is_always_written_and_marked(how: str) -> None:
    policy = Policy(**{how: ["."] if how != "sample_rate" else 0.0}, slow_seconds=1.0)  # type: ignore[arg-type]  # by name
    policy.decide(event_of_path())
    slow, quick = event_of_path(seconds=1.0), event_of_path(seconds=0.99)

    assert (policy.decide(slow), slow.line_fields) == ("written", {"slow": True})
    assert policy.decide(quick) != "written"
    assert quick.line_fields is None


def test_a_slow_request_is_marked_on_its_line(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"SLOW_SECONDS": 0.000001}):
        get("/ok/")
    with override_settings(OBS_MIDDLEWARE={"SLOW_SECONDS": 1000}):
        get("/ok/")

    assert [line.get("slow") for line in lines] == [True, None]


# Quiet


def test_a_thousand_health_checks_are_one_line_and_the_failing_one_has_its_own(lines: CapturedRequests) -> None:
    answers = iter([200] * 500 + [503] + [200] * 500)
    before = counts()
    with override_settings(OBS_MIDDLEWARE={"QUIET": [r"^/healthz$"], "QUIET_SECONDS": 300}):
        middleware: Any = TimingMiddleware(lambda request: HttpResponse(status=next(answers)))
        with patch("obs_middleware.measure.policy.time.monotonic", return_value=0.0):
            for _ in range(1000):
                middleware(RequestFactory().get("/healthz"))
        with patch("obs_middleware.measure.policy.time.monotonic", return_value=300.0):
            middleware(RequestFactory().get("/healthz"))

    assert [(line["status"], line.get("suppressed")) for line in lines] == [(200, None), (503, None), (200, 998)]
    assert counted(before) == {"requests": 1001, "written": 3, "excluded": 0, "suppressed": 998, "sampled_out": 0}


def test_each_quiet_path_is_silent_on_its_own() -> None:
    policy = Policy(quiet=["^/a", "^/b"])

    fates = [policy.decide(event_of_path(path)) for path in ("/a", "/b", "/a", "/b", "/c", "/c")]

    assert fates == ["written", "written", "suppressed", "suppressed", "written", "written"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_can_decide_whatever_its_parent_was_doing() -> None:
    policy = Policy(quiet=["^/"])
    with policy._silences._lock:
        child = os.fork()
        if child == 0:
            decided = policy.decide(Event(0.0, "the-id", "GET", "/"))
            os._exit(0 if decided == "written" else 1)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            time.sleep(0.01)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("The child waits for a lock that nobody holds.")

    assert status == 0


# Sampling


def test_sampling_keeps_every_bad_request_and_weighs_the_rest(lines: CapturedRequests) -> None:
    """One in ten of 10,000 is written. The rate on each line restores the true count within the statistical error."""
    before = counts()

    def view(request: HttpRequest) -> HttpResponse:
        number = int(request.GET["n"])
        return HttpResponse(status=500 if number % 100 == 0 else 200)

    with override_settings(OBS_MIDDLEWARE={"SAMPLE_RATE": 0.1}):
        middleware: Any = TimingMiddleware(view)
        for number in range(10_000):
            middleware(RequestFactory().get("/", {"n": number}))

    bad = [line for line in lines if line["status"] == 500]
    good = [line for line in lines if line["status"] == 200]
    assert len(bad) == 100
    assert all("sample_rate" not in line for line in bad)
    assert {line["sample_rate"] for line in good} == {0.1}
    # The standard deviation of 9,900 trials at 0.1 is 30. Six times that happens once in a thousand million runs.
    assert abs(sum(1 / line["sample_rate"] for line in good) - 9_900) < 1_800
    count = counted(before)
    assert count["requests"] == 10_000
    assert count["written"] + count["sampled_out"] == 10_000
    assert count["written"] == len(lines)


# Computed once by hand: the BLAKE2b hash of the id in 8 bytes, most significant byte first, as a share of 2**64. First
# without a key, then with that of the secret "one": its BLAKE2b hash in 32 bytes for the person "obs_middleware".
SHARES = {
    "9f8d05b4c6f14e3ab1d2c3e4f5a60718": 0.2087,
    "0": 0.5163,
    "00-4bf92f3577b34da6a3ce929d0e0e4736": 0.6932,
    "é": 0.7934,
    "r-17": 0.8288,
    "abc": 0.8466,
}


SHARES_OF_SECRET = {
    "9f8d05b4c6f14e3ab1d2c3e4f5a60718": 0.3917,
    "é": 0.8860,
    "r-17": 0.1364,
}


@pytest.mark.parametrize(("secret", "shares"), [("", SHARES), ("one", SHARES_OF_SECRET)])
def test_every_service_and_release_keeps_the_same_ids(secret: str, shares: dict[str, float]) -> None:
    """Pinned: with another hash, key or byte order, services would keep different parts of one trace."""
    for request_id, share in shares.items():
        assert not keeps(request_id, share - 0.0001, sampling_key(secret))
        assert keeps(request_id, share + 0.0001, sampling_key(secret))


def sampled_out(**settings: Any) -> frozenset[str]:
    """Return the ids, of 40 that a client chose, of which no request has a line."""
    with override_settings(**settings), capture_requests() as lines:
        middleware: Any = TimingMiddleware(lambda request: HttpResponse(status=404))
        ids = [f"scan{number}" for number in range(40)]
        for request_id in ids * 3:
            middleware(RequestFactory().get("/wp-admin/", headers={"X-Request-ID": request_id}))
    return frozenset(ids) - {line["request_id"] for line in lines}


def test_a_client_cannot_choose_an_id_that_is_left_out() -> None:
    half = {"SAMPLE_RATE": 0.5}
    one = sampled_out(SECRET_KEY="one", OBS_MIDDLEWARE=half)
    other = sampled_out(SECRET_KEY="other", OBS_MIDDLEWARE=half)

    assert one != other
    assert 0 < len(one) < 40  # a request is kept or left out by its id, or a trace would have holes


def test_services_with_different_keys_keep_the_same_traces_if_they_share_a_secret() -> None:
    shared = {"SAMPLE_RATE": 0.5, "SAMPLE_SECRET": "shared"}
    one = sampled_out(SECRET_KEY="one", OBS_MIDDLEWARE=shared)

    assert one == sampled_out(SECRET_KEY="other", OBS_MIDDLEWARE=shared)
    assert one == sampled_out(SECRET_KEY="shared", OBS_MIDDLEWARE={"SAMPLE_RATE": 0.5})


@given(st.text(max_size=128), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_all_that_a_lower_one_keeps(request_id: str, first: float, second: float) -> None:
    low, high = sorted((first, second))

    assert keeps(request_id, high) or not keeps(request_id, low)
    assert keeps(request_id, 1)
    assert not keeps(request_id, 0)


def test_a_view_may_be_sampled_more_than_the_site() -> None:
    assert Policy(sample_rate=0.0).decide(event_of_path(rule=Rule(rate=1.0))) == "written"


@pytest.mark.django_db  # closing a response closes old connections
def test_the_decision_about_a_stream_is_made_at_its_end(lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"x", b"y"]))

    with override_settings(OBS_MIDDLEWARE={"EXCLUDE": ["."]}):
        whole = respond(view, RequestFactory().get("/"))
        list(whole.streaming_content)
        left = respond(view, RequestFactory().get("/"))
        left.close()

    assert [line["outcome"] for line in lines] == ["aborted"]


def test_a_cancelled_request_is_written_though_it_is_excluded(lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise asyncio.CancelledError

    async def visit() -> None:
        with pytest.raises(asyncio.CancelledError):
            await respond(view, RequestFactory().get("/"))

    with override_settings(OBS_MIDDLEWARE={"EXCLUDE": ["."], "SAMPLE_RATE": 0}):
        asyncio.run(visit())

    assert [(line["status"], line["outcome"]) for line in lines] == [(499, "cancelled")]


# Level


@pytest.mark.parametrize(
    ("status", "outcome", "level"),
    [
        (200, "ok", "info"),
        (302, "ok", "info"),
        (404, "ok", "warning"),
        (429, "ok", "info"),
        (499, "cancelled", "info"),
        (500, "error", "error"),
        (503, "error", "error"),
        (200, "stream_error", "error"),
        (200, "aborted", "info"),
        (None, "ok", "info"),
    ],
)
def test_the_level_follows_the_status(status: int | None, outcome: str, level: str) -> None:
    assert logging.getLevelName(level_by_status(status, 0.1, outcome)).lower() == level
