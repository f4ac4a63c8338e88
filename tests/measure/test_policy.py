"""`obs_middleware.measure.policy` and `obs_middleware.decorators`: the lines that are kept, and their level."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import async_to_sync
from conftest import Get, Site, respond
from counts import Counts, counts
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.decorators import api_view
from rest_framework.viewsets import ViewSet

from obs_middleware.decorators import exclude, quiet, sample
from obs_middleware.measure.event import RequestEvent
from obs_middleware.measure.policy import Policy, Rule, keeps, level_by_status, rule_of
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests, capture_requests


def event_of_path(
    path: str = "/", *, outcome: str = "ok", seconds: float = 0.1, status: int = 200, rule: Rule | None = None
) -> RequestEvent:
    event = RequestEvent(0.0, "id", "GET", path)
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
def test_what_went_wrong_is_always_written(outcome: str, how: str) -> None:
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
def test_what_is_slow_is_always_written_and_says_so(how: str) -> None:
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


def test_quiet_paths_are_silent_each_for_itself() -> None:
    policy = Policy(quiet=["^/a", "^/b"])

    fates = [policy.decide(event_of_path(path)) for path in ("/a", "/b", "/a", "/b", "/c", "/c")]

    assert fates == ["written", "written", "suppressed", "suppressed", "written", "written"]


# Sampling


def test_sampling_keeps_every_bad_request_and_weighs_the_rest(lines: CapturedRequests) -> None:
    """One in ten of 10,000, and the rate on each line restores the true count within the statistical error."""
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
    # 9,900 trials at 0.1 deviate by 30; six times that is one in a thousand million
    assert abs(sum(1 / line["sample_rate"] for line in good) - 9_900) < 1_800
    count = counted(before)
    assert count["requests"] == 10_000
    assert count["written"] + count["sampled_out"] == 10_000
    assert count["written"] == len(lines)


# Computed once by hand: the BLAKE2b hash of the id in 8 bytes, most significant byte first, as a share of 2**64.
SHARES = {
    "9f8d05b4c6f14e3ab1d2c3e4f5a60718": 0.2087,
    "0": 0.5163,
    "00-4bf92f3577b34da6a3ce929d0e0e4736": 0.6932,
    "é": 0.7934,
    "r-17": 0.8288,
    "abc": 0.8466,
}


@pytest.mark.parametrize("request_id", SHARES)
def test_every_service_and_release_keeps_the_same_ids(request_id: str) -> None:
    """Pinned: with another hash or byte order, services would keep different parts of one trace."""
    assert not keeps(request_id, SHARES[request_id] - 0.0001)
    assert keeps(request_id, SHARES[request_id] + 0.0001)


@given(st.text(max_size=128), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_all_that_a_lower_one_keeps(request_id: str, first: float, second: float) -> None:
    low, high = sorted((first, second))

    assert keeps(request_id, high) or not keeps(request_id, low)
    assert keeps(request_id, 1)
    assert not keeps(request_id, 0)


# Beside the view


@exclude
def excluded(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@quiet
async def quiet_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@sample(0.0)
def sampled(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@method_decorator(exclude, name="dispatch")
class Class(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


@exclude
def excluded_but_failing(request: HttpRequest) -> HttpResponse:
    raise ValueError


class Twin(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


def twins() -> dict[str, list[Any]]:
    """Return pairs of quiet views that are made by the same functions, and so have the same names."""
    dispatched: list[Any] = [method_decorator(quiet, name="dispatch")(type("Twin", (Twin,), {})) for _ in "ab"]
    return {
        "dispatch": [one.as_view() for one in dispatched],
        "as_view": [quiet(Twin.as_view()) for _ in "ab"],
        "api_view": [quiet(api_view()(lambda request: HttpResponse())) for _ in "ab"],
        "partial": [quiet(partial(answer, None)) for _ in "ab"],
    }


def answer(_: Any, request: HttpRequest) -> HttpResponse:
    return HttpResponse()


TWINS = twins()

urlpatterns = [
    path("excluded", excluded),
    path("quiet", quiet_async),
    path("sampled", sampled),
    path("class", Class.as_view()),
    path("failing", excluded_but_failing),
    *(path(f"twins/{kind}/{number}", twin) for kind, made in TWINS.items() for number, twin in enumerate(made)),
]


@pytest.mark.parametrize(
    ("url", "visits", "written"),
    [("/excluded", 2, 0), ("/quiet", 3, 1), ("/sampled", 2, 0), ("/class", 2, 0), ("/failing", 2, 2)],
)
def test_a_decorator_says_it_beside_the_view(
    mode: str, url: str, visits: int, written: int, lines: CapturedRequests
) -> None:
    with override_settings(ROOT_URLCONF=__name__):
        if mode == "sync":
            client = Client(raise_request_exception=False)
            for _ in range(visits):
                client.get(url)
        else:
            async_client = AsyncClient(raise_request_exception=False)
            for _ in range(visits):
                async_to_sync(async_client.get)(url)

    assert len(lines) == written


@pytest.mark.parametrize("kind", TWINS)
def test_quiet_views_are_silent_each_for_itself_whatever_made_them(
    kind: str, get: Get, lines: CapturedRequests
) -> None:
    urls = [f"/twins/{kind}/0", f"/twins/{kind}/1"]
    with override_settings(ROOT_URLCONF=__name__):
        for url in urls * 3:
            get(url)

    assert [line["path"] for line in lines] == urls


class Answering(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class AnsweringAsync(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class AnsweringItems(ViewSet):  # type: ignore[misc]  # has no types
    authentication_classes = ()

    def list(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


def by_name(*decorators: Any) -> Any:
    return method_decorator(decorators[0] if len(decorators) == 1 else decorators, name="dispatch")


@pytest.mark.parametrize("base", [Answering, AnsweringAsync, AnsweringItems])
@pytest.mark.parametrize(
    "marked",
    [
        exclude,
        by_name(exclude),
        by_name(sample(1.0), exclude),
        by_name(exclude, sample(1.0)),
        lambda view: exclude(sample(1.0)(view)),
        lambda view: by_name(sample(1.0))(by_name(exclude)(view)),
        lambda view: by_name(exclude)(type("Sub", (by_name(sample(1.0))(view),), {})),
        lambda view: by_name(sample(0.0))(type("Sub", (by_name(sample(1.0))(view),), {})),
        lambda view: sample(0.0)(type("Sub", (sample(1.0)(view),), {})),
        lambda view: type("Sub", (exclude(view),), {}),
    ],
)
def test_a_class_is_marked_however_it_is_said(
    mode: str, base: Any, marked: Callable[[Any], Any], lines: CapturedRequests
) -> None:
    view: Any = marked(type("Marked", (base,), {}))
    actions = ({"get": "list"},) if issubclass(base, ViewSet) else ()
    urls = type(
        "urls", (), {"urlpatterns": [path("own", view.as_view(*actions)), path("base", base.as_view(*actions))]}
    )
    with override_settings(ROOT_URLCONF=urls):
        for url in ("/own", "/base"):
            response = Client().get(url) if mode == "sync" else async_to_sync(AsyncClient().get)(url)
            assert response.status_code == 200

    assert [line["path"] for line in lines] == ["/base"]


@pytest.mark.parametrize("said", [quiet, by_name(quiet)])
def test_subclasses_of_a_quiet_class_are_silent_each_for_itself(said: Any, get: Get, lines: CapturedRequests) -> None:
    base: Any = said(type("Base", (Answering,), {}))
    views: dict[str, Any] = {name: type(name, (base,), {}) for name in "AB"}
    urls = type("urls", (), {"urlpatterns": [path(name, view.as_view()) for name, view in views.items()]})
    with override_settings(ROOT_URLCONF=urls):
        for url in ("/A", "/B") * 3:
            get(url)

    assert [line["path"] for line in lines] == ["/A", "/B"]


def test_a_method_that_was_marked_as_a_function_is_found() -> None:
    class Site:
        @exclude
        def index(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    assert rule_of(Site().index) == Rule(exclude=True)


@pytest.mark.parametrize("decorate", [exclude, quiet, sample(0.5)])
@pytest.mark.parametrize("view", [Policy().decide, staticmethod(answer), classmethod(answer), Policy, len, None])
def test_what_cannot_be_marked_says_so_at_once(decorate: Any, view: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be marked|is not a view"):
        decorate(view)


def test_decorators_add_up_and_do_not_wrap() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert sample(0.5)(quiet(view)) is view
    rule = rule_of(view)
    assert rule is not None
    assert rule.rate == 0.5
    assert rule.quiet is not None
    assert rule_of(object()) is None


def test_a_mark_that_comes_late_counts_too() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    sample(0.5)(view)
    rule_of(view)
    exclude(view)

    assert rule_of(view) == Rule(exclude=True, rate=0.5)


def test_a_view_that_cannot_be_hashed_is_marked_like_any_other() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]  # Python's own way to say so

        def __call__(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    assert rule_of(exclude(Unhashable())) == Rule(exclude=True)


def test_a_view_may_be_sampled_more_than_the_site() -> None:
    assert Policy(sample_rate=0.0).decide(event_of_path(rule=Rule(rate=1.0))) == "written"


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        sample(rate)


@pytest.mark.django_db  # closing a response closes old connections
def test_a_stream_is_decided_about_at_its_end(lines: CapturedRequests) -> None:
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


# Level and logger


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


def test_the_level_of_a_line_is_as_configured(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"LEVEL": "status"}):
        for url in ("/ok/", "/nowhere/", "/unavailable/"):
            get(url)
    get("/nowhere/")

    assert [line["level"] for line in lines] == ["info", "warning", "error", "info"]


def by_duration(status: int, duration_seconds: float, outcome: str) -> str:
    return "error" if duration_seconds >= 0 else "info"


def failing_level(status: int, duration_seconds: float, outcome: str) -> int:
    raise BaseException("no")


@pytest.mark.parametrize(
    ("level", "expected"),
    [(by_duration, "error"), (lambda *_: 30, "warning"), (lambda *_: "nonsense", "info"), (failing_level, "info")],
    ids=["name", "number", "nonsense", "failing"],
)
def test_a_callable_decides_the_level_and_may_fail(
    get: Get, level: Any, expected: str, lines: CapturedRequests
) -> None:
    with override_settings(OBS_MIDDLEWARE={"LEVEL": level}):
        assert get("/ok/").status_code == 200

    assert [line["level"] for line in lines] == [expected]


def test_a_dotted_path_names_the_callable(site: Site, lines: CapturedRequests) -> None:
    site.get(
        lambda request: HttpResponse(status=404),
        OBS_MIDDLEWARE={"LEVEL": "obs_middleware.measure.policy.level_by_status"},
    )

    assert lines[0]["level"] == "warning"


def test_the_line_can_go_to_a_logger_of_its_own(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"LOGGER": "site.requests"}):
        get("/ok/")

    assert (lines[0]["logger"], lines[0]["status"]) == ("site.requests", 200)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_can_decide_whatever_its_parent_was_doing() -> None:
    policy = Policy(quiet=["^/"])
    with policy._silences._lock:
        child = os.fork()
        if child == 0:
            decided = policy.decide(RequestEvent(0.0, "the-id", "GET", "/"))
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
