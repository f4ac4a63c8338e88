"""`obs_middleware.measure.waiting`: the time before the request reached Django, as a proxy's header says."""

from __future__ import annotations

from time import perf_counter, time

import pytest
from conftest import Site
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from hypothesis import given
from hypothesis import strategies as st

from obs_middleware.measure import waiting
from obs_middleware.measure.waiting import seconds_waited
from obs_middleware.testing import CapturedRequests

NOW = 1_733_000_000.5


@pytest.fixture(autouse=True)
def _clocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second passes from the begin of the request until its header is read."""
    if "site" not in request.fixturenames:
        monkeypatch.setattr(waiting, "time", lambda: NOW + 0.5)
        monkeypatch.setattr(waiting, "perf_counter", lambda: 100.5)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("t=1733000000.250", 0.25),  # nginx: t=${msec}
        ("1733000000.25", 0.25),
        ("1733000000250", 0.25),  # Heroku, HAProxy: %[date(0,ms)]
        ("t=1733000000250", 0.25),
        ("t=1733000000250000", 0.25),  # Apache: t=%t
        ("1733000000250000000", 0.25),
        ("1733000000250.125", 0.249875),
        ("t=1733000000.500", 0.0),
        ("t=1732999999.000, t=1733000000.400", 0.1),  # the last proxy
        (" t=1733000000.4 ", 0.1),
        ("t=1732996400.500", 3600.0),
    ],
)
def test_the_time_of_the_header_is_read(value: str, seconds: float) -> None:
    assert seconds_waited(value, 100.0) == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize(
    "value",
    [
        "t=1733000000.501",  # later than the request
        "t=1732996400.400",  # more than an hour
        "1733000000",  # whole seconds are wrong by up to one
        "t=1733000000",
        "Root=1-674b5e80-12456789abcdef012345678",
        "",
        "t=",
        "t=-1733000000.25",
        "t=1733000000,25",
        "t=1733000000.25;x",
        "t=nan",
        "1e9",
        "t=\uff11\uff17\uff13\uff13\uff10\uff10\uff10\uff10\uff10\uff10.25",
        "t=1733000000.",
        "9" * 500,
        "99999999999999999999",
        "0.000000000",
        None,
        7,
        b"t=1733000000.25",
    ],
    ids=repr,
)
def test_a_value_that_makes_no_sense_is_ignored(value: object) -> None:
    assert seconds_waited(value, 100.0) is None


@given(st.text(alphabet="t=0123456789., ", max_size=40) | st.text())
def test_no_header_raises(value: str) -> None:
    seconds = seconds_waited(value, perf_counter())

    assert seconds is None or 0 <= seconds <= 3600


def test_the_line_says_how_long_the_request_waited(site: Site, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    settings = {"QUEUE_HEADER": "X-Request-Start"}
    site.get(view, headers={"X-Request-Start": f"t={time() - 2:.3f}"}, OBS_MIDDLEWARE=settings)
    site.get(view, headers={"X-Request-Start": "garbage"}, OBS_MIDDLEWARE=settings)
    site.get(view, OBS_MIDDLEWARE=settings)
    site.get(view, headers={"X-Request-Start": f"t={time() - 2:.3f}"})

    assert 2 <= lines[0]["queue_seconds"] < 60
    assert all("queue_seconds" not in line for line in lines[1:])


def test_the_work_itself_is_no_waiting(site: Site, lines: CapturedRequests) -> None:
    """The header is read when the response is there, or begins."""

    def view(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        before = perf_counter()
        while perf_counter() - before < 0.2:
            pass
        return HttpResponse()

    came = time()
    site.get(view, headers={"X-Request-Start": f"{came:.6f}"}, OBS_MIDDLEWARE={"QUEUE_HEADER": "X-Request-Start"})

    assert lines[0]["queue_seconds"] <= time() - came - 0.2
