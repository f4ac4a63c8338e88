"""A middleware may add its own headers to a response, and change nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
)
from django.middleware.gzip import GZipMiddleware
from django.template.response import TemplateResponse
from no_harm import props
from no_harm.world import Answer, World, stream

USUAL = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
]
SIGNED_SESSION = {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}


def _raise(error: BaseException) -> Any:
    raise error


VIEWS = {
    "ok": lambda request: HttpResponse("hello"),
    "json": lambda request: JsonResponse({"a": 1}),
    "created": lambda request: HttpResponse("made", status=201, headers={"Location": "/1/"}),
    "redirect": lambda request: HttpResponseRedirect("/there/"),
    "not modified": lambda request: HttpResponseNotModified(),
    "empty": lambda request: HttpResponse(status=204),
    "cookies": lambda request: _with_cookies(HttpResponse("hello")),
    "own headers": lambda request: HttpResponse(
        "hello", headers={"Vary": "Accept", "ETag": '"1"', "Cache-Control": "a"}
    ),
    "timed": lambda request: HttpResponse("hello", headers={"Server-Timing": "db;dur=5"}),
    "unavailable": lambda request: HttpResponse("later", status=503),
    "not found": lambda request: _raise(Http404("nothing here")),
    "failing": lambda request: _raise(ValueError("no good")),
}


def _with_cookies(response: HttpResponse) -> HttpResponse:
    response.set_cookie("a", "1", max_age=60, httponly=True)
    response.delete_cookie("b")
    return response


@pytest.mark.parametrize("method", ["get", "head", "options", "post"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_response_is_the_same_except_for_the_headers_it_may_add(world: World, view: Any, method: str) -> None:
    bare, judged = world.compare(world.view(view), method=method)

    assert judged == bare


def test_the_response_is_the_object_that_the_view_returned(world: World) -> None:
    response = HttpResponse("hello")

    world.visit(world.view(lambda request: response), above=["no_harm.props.Probe"])

    assert props.seen == [response]
    assert props.seen[0] is response


def test_headers_that_are_exposed_to_scripts_stay_exposed(world: World) -> None:
    """Cross-origin scripts read only the headers named in ``Access-Control-Expose-Headers``."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Access-Control-Expose-Headers": "X-Total, X-Page"})

    world.visit(world.view(view))

    exposed = world.response.headers["Access-Control-Expose-Headers"]
    assert {"X-Total", "X-Page"} <= set(re.split(r",\s*", exposed))


def test_nothing_is_exposed_to_scripts_that_the_site_did_not_expose(world: World) -> None:
    world.visit(world.view(lambda request: HttpResponse()))

    assert "Access-Control-Expose-Headers" not in world.response.headers


def test_a_second_request_with_the_etag_is_answered_304_as_without_it(world: World) -> None:
    below = ["django.middleware.http.ConditionalGetMiddleware"]
    view = world.view(lambda request: HttpResponse("hello"))
    etag = world.visit(view, judged=False, below=below).headers["ETag"]

    bare, judged = world.compare(view, below=below, headers={"If-None-Match": etag})

    assert judged == bare
    assert (judged.status, judged.content) == (304, b"")


@pytest.mark.parametrize("place", ["above", "below"])
@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "stream"])
def test_a_compressed_response_is_the_same_to_the_byte(
    world: World, place: str, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GZipMiddleware adds random padding against BREACH.
    monkeypatch.setattr(GZipMiddleware, "max_random_bytes", 0)
    view = (
        stream(world, [b"hello" * 100, b"world" * 100], [])
        if streaming
        else world.view(lambda request: HttpResponse("hello" * 100))
    )

    bare, judged = world.compare(
        view, headers={"Accept-Encoding": "gzip"}, **{place: ["django.middleware.gzip.GZipMiddleware"]}
    )

    assert judged == bare
    assert judged.headers["Content-Encoding"] == "gzip"


def _post_with_token(world: World, view: Any, *, judged: bool, token: bool) -> Answer:
    world.client = world.new_client(enforce_csrf_checks=True)
    with world.site(view, judged=judged, below=["django.middleware.csrf.CsrfViewMiddleware"]):
        if token:
            world.client.cookies["csrftoken"] = "a" * 32
        return world.send(method="post", data={"csrfmiddlewaretoken": "a" * 32} if token else {})


@pytest.mark.parametrize("token", [False, True], ids=["without token", "with token"])
def test_forged_forms_are_refused_and_others_accepted_as_without_it(world: World, token: bool) -> None:
    view = world.view(lambda request: HttpResponse(request.POST.get("csrfmiddlewaretoken", "")))

    bare, judged = (_post_with_token(world, view, judged=judged, token=token) for judged in (False, True))

    assert judged == bare
    assert judged.status == (200 if token else 403)


def test_a_session_is_kept_from_request_to_request_as_without_it(world: World) -> None:
    def view(request: Any) -> HttpResponse:
        request.session["count"] = request.session.get("count", 0) + 1
        return HttpResponse(str(request.session["count"]))

    answers = []
    for judged in (False, True):
        world.client = world.new_client()
        below = ["django.contrib.sessions.middleware.SessionMiddleware"]
        with world.site(world.view(view), judged=judged, below=below, **SIGNED_SESSION):
            answers.append([world.send() for _ in range(3)])

    assert answers[0] == answers[1]
    assert [answer.content for answer in answers[1]] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("url", ["/page/", "/page", "/nowhere/", "/page/?lang=%ff"])
def test_the_usual_middleware_of_django_answers_as_without_it(world: World, url: str) -> None:
    def view(request: Any) -> HttpResponse:
        messages.info(request, "seen")
        request.session["seen"] = True
        return HttpResponse(f"hello {request.user.is_anonymous}")

    bare, judged = world.compare(
        world.view(view), url=url, route="page/", below=USUAL, headers={"Accept-Language": "de"}, **SIGNED_SESSION
    )

    assert judged == bare


def test_a_template_response_is_rendered_once_with_its_callbacks(world: World) -> None:
    def view(request: HttpRequest) -> TemplateResponse:
        response = TemplateResponse(request, "hello.html", {"name": "you"})
        response.add_post_render_callback(lambda _: props.seen.append("rendered"))
        return response

    bare, judged = world.compare(world.view(view))

    assert judged == bare
    assert judged.content == b"Hello you"
    assert props.seen == ["rendered"]


def test_a_template_that_fails_is_answered_as_without_it(world: World) -> None:
    class Broken:
        @property
        def value(self) -> str:
            raise ValueError("in a template")

    bare, judged = world.compare(
        world.view(lambda request: TemplateResponse(request, "hello.html", {"broken": Broken()}))
    )

    assert judged == bare
    assert judged.status == 500
