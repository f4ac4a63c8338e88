"""`obs_middleware.decorators`: functions, classes and methods can be marked, and the marks are found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from conftest import Get
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.decorators import api_view
from rest_framework.viewsets import ViewSet

from obs_middleware.decorators import exclude, quiet, sample
from obs_middleware.measure.policy import Policy, Rule, rule_of
from obs_middleware.testing import CapturedRequests


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
def test_a_decorated_view_is_written_as_its_decorator_says(
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
def test_each_quiet_view_is_silent_on_its_own_even_if_names_are_equal(
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
def test_a_class_can_be_marked_in_every_way(
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
def test_each_subclass_of_a_quiet_class_is_silent_on_its_own(said: Any, get: Get, lines: CapturedRequests) -> None:
    base: Any = said(type("Base", (Answering,), {}))
    views: dict[str, Any] = {name: type(name, (base,), {}) for name in "AB"}
    urls = type("urls", (), {"urlpatterns": [path(name, view.as_view()) for name, view in views.items()]})
    with override_settings(ROOT_URLCONF=urls):
        for url in ("/A", "/B") * 3:
            get(url)

    assert [line["path"] for line in lines] == ["/A", "/B"]


def test_the_mark_of_a_method_is_found() -> None:
    class Site:
        @exclude
        def index(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    assert rule_of(Site().index) == Rule(exclude=True)


@pytest.mark.parametrize("decorate", [exclude, quiet, sample(0.5)])
@pytest.mark.parametrize("view", [Policy().decide, staticmethod(answer), classmethod(answer), Policy, len, None])
def test_an_object_that_cannot_be_marked_is_refused_at_once(decorate: Any, view: Any) -> None:
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


def test_a_later_mark_counts_too() -> None:
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


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        sample(rate)
