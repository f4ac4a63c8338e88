"""The layers around the middleware: hooks, threads, event loops, and test clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.urls import path
from endings.drivers import site
from no_harm import props
from no_harm.world import World, counted_hops, stream

HOOKS = ["no_harm.props.Hooks", "no_harm.props.InnerHooks"]


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def ok_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def failing(request: HttpRequest) -> HttpResponse:
    raise ValueError("no good")


def hello(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, "hello.html", {"name": "you"})


def _hops(world: World, view: Any, **options: Any) -> list[list[str]]:
    """Return the hops of a request without the middleware, and of one with it."""
    counts = []
    for judged in (False, True):
        with world.site(view, judged=judged, **options):
            world.send()  # the first request loads what it needs
            with counted_hops() as hops:
                world.send()
        counts.append(hops)
    return counts


@pytest.mark.parametrize("view", [ok, failing, hello], ids=["plain", "failing", "template"])
def test_no_request_changes_threads_because_of_it(world: World, view: Any) -> None:
    bare, judged = _hops(world, world.view(view))

    assert judged == bare


def test_an_async_site_with_sync_views_changes_threads_no_more_often_than_without_it() -> None:
    bare, judged = _hops(World("async"), ok)

    assert judged == bare


def test_a_stream_changes_threads_no_more_often_than_without_it(world: World) -> None:
    bare, judged = _hops(world, stream(world, [b"one", b"two"], []))

    assert judged == bare


def test_above_and_below_a_sync_only_layer_it_changes_threads_no_more_often(world: World) -> None:
    bare, judged = _hops(world, world.view(ok), below=["no_harm.props.sync_only"])

    assert judged == bare


def test_a_sync_only_layer_below_it_works(world: World) -> None:
    bare, judged = world.compare(world.view(ok), below=["no_harm.props.sync_only"])

    assert judged == bare
    assert props.seen == ["sync only"]


def test_a_sync_only_layer_above_it_works(world: World) -> None:
    bare, judged = world.compare(world.view(ok), above=["no_harm.props.sync_only"])

    assert judged == bare
    assert props.seen == ["sync only"]


@pytest.mark.parametrize("view", [ok, failing, hello], ids=["plain", "failing", "template"])
def test_the_hooks_of_other_middleware_are_called_in_order(world: World, view: Any) -> None:
    calls = []
    answers = []
    for judged in (False, True):
        answers.append(world.visit(world.view(view), judged=judged, above=HOOKS[:1], below=HOOKS[1:]))
        calls.append(props.seen.copy())

    assert answers[0] == answers[1]
    assert calls[0] == calls[1]
    assert len(calls[1]) >= 6


@pytest.mark.parametrize("hook", ["outer view", "inner view", "outer exception", "inner exception"])
def test_a_hook_of_another_middleware_may_answer_in_place_of_the_view(world: World, hook: str) -> None:
    view = world.view(ok if "view" in hook else failing)
    calls = []
    answers = []
    for judged in (False, True):
        props.hooks[hook] = lambda: HttpResponse("instead", status=418)
        answers.append(world.visit(view, judged=judged, above=HOOKS[:1], below=HOOKS[1:]))
        calls.append(props.seen.copy())

    assert answers[0] == answers[1]
    assert calls[0] == calls[1]
    assert answers[1].status == 418


def test_a_request_that_chooses_its_own_urls_is_routed_by_them(world: World) -> None:
    props.hooks["urls"] = type("urls", (), {"urlpatterns": [path("own/", world.view(ok))]})

    bare, judged = world.compare(world.view(failing), url="/own/", below=["no_harm.props.OwnUrls"])

    assert judged == bare
    assert judged.content == b"ok"


def test_test_clients_see_the_same_as_without_it(world: World) -> None:
    seen = []
    for judged in (False, True):
        with world.site(world.view(hello), judged=judged, route="a/"):
            world.send("/a/")
            response = world.response
            seen.append(
                (
                    response.context["name"],
                    [template.name for template in response.templates],
                    response.resolver_match.route,
                    response.exc_info,
                    type(response),
                    response.request["PATH_INFO" if world.mode == "sync" else "path"],
                )
            )

    assert seen[0] == seen[1]


def test_a_sync_client_works_inside_a_running_loop() -> None:
    world = World("sync")

    async def visit() -> int:
        return int(Client().get("/").status_code)

    with world.site(ok, judged=True):
        status = asyncio.run(visit())

    assert status == 200


def test_a_request_of_a_request_factory_is_answered(mode: str, world: World) -> None:
    with site(world.view(ok), world.chain(judged=True)):
        handler = BaseHandler()
        handler.load_middleware(is_async=mode == "async")
        if mode == "sync":
            response: Any = handler.get_response(RequestFactory().get("/"))
        else:
            response = async_to_sync(handler.get_response_async)(AsyncRequestFactory().get("/"))
        response.close()

    assert (response.status_code, response.content) == (200, b"ok")


def test_a_request_inside_a_request_is_answered(world: World) -> None:
    """The view sends a request to its own site, as batch endpoints do."""

    def outer(request: HttpRequest) -> HttpResponse:
        if request.GET:
            return HttpResponse("inner")
        return HttpResponse(Client().get("/?inner=1").content + b" and outer")

    bare, judged = world.compare(outer)

    assert judged == bare
    assert judged.content == b"inner and outer"


def test_an_async_view_under_wsgi_is_answered() -> None:
    bare, judged = World("sync").compare(ok_async)

    assert judged == bare
    assert judged.content == b"ok"
