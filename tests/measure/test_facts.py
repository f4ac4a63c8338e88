"""`obs_middleware.measure.facts`: the route, and the facts that the settings ask for."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from conftest import Get, respond
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from testproject.middleware import OtherUrls

from obs_middleware.testing import CapturedRequests


def test_the_route_is_right_in_every_kind_of_urlconf(get: Get, lines: CapturedRequests) -> None:
    for url in ("/shop/item/7/", "/re/2026/", "/ok/", "/"):
        get(url)

    assert [(line["route"], line["view"]) for line in lines] == [
        ("shop/item/<int:number>/", "shop:item"),
        ("^re/(?P<number>[0-9]{4})/$", "testproject.views.item"),
        ("ok/", "ok"),
        ("", "testproject.views.ok"),
    ]


def test_the_route_comes_from_a_urlconf_that_a_middleware_chose(mode: str, lines: CapturedRequests) -> None:
    def view(request: HttpRequest, name: str) -> HttpResponse:
        return HttpResponse()

    other = type("other", (), {"urlpatterns": [path("tenant/<slug:name>/", view, name="tenant")]})
    OtherUrls.urlconf = other
    with override_settings(
        MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware", "testproject.middleware.other_urls"]
    ):
        if mode == "sync":
            Client().get("/tenant/a/")
        else:
            async_to_sync(AsyncClient().get)("/tenant/a/")

    assert (lines[0]["route"], lines[0]["view"]) == ("tenant/<slug:name>/", "tenant")


def test_a_script_prefix_is_not_part_of_the_route(lines: CapturedRequests) -> None:
    Client().get("/ok/", SCRIPT_NAME="/mounted")

    assert (lines[0]["path"], lines[0]["route"]) == ("/mounted/ok/", "ok/")


def test_the_address_is_on_the_line(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"TRUSTED_PROXIES": 1}):
        get("/ok/", headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.7"})
    with override_settings(OBS_MIDDLEWARE={"TRUSTED_PROXIES": ["127.0.0.0/8"]}):
        get("/ok/", headers={"X-Forwarded-For": "203.0.113.8"})
    get("/ok/", headers={"X-Forwarded-For": "203.0.113.9"})

    assert [line["client_ip"] for line in lines] == ["203.0.113.7", "203.0.113.8", "127.0.0.1"]


def test_the_address_can_be_left_out(get: Get, lines: CapturedRequests) -> None:
    for proxies in (0, 1):
        with override_settings(OBS_MIDDLEWARE={"CLIENT_IP": False, "TRUSTED_PROXIES": proxies}):
            get("/ok/", headers={"X-Forwarded-For": "203.0.113.7"})

    assert ["client_ip" in line for line in lines] == [False, False]


def test_a_field_that_fails_is_left_out(lines: CapturedRequests) -> None:
    class Odd(HttpRequest):
        @property
        def scheme(self) -> str:
            raise ValueError("no")

    request = Odd()
    request.META["HTTP_USER_AGENT"] = "curl"
    with override_settings(OBS_MIDDLEWARE={"FIELDS": ["scheme", "user_agent"]}):
        response = respond(lambda request: HttpResponse(), request)

    assert response.status_code == 200
    assert (lines[0]["status"], lines[0]["user_agent"]) == (200, "curl")
    assert [log["logger"] for log in lines.logs] == ["obs_middleware"]


def enrich(request: HttpRequest, response: HttpResponse | None) -> dict[str, Any]:
    return {"tenant": "t1", "status": "mine", "size": None if response is None else len(response.content)}


def enrich_badly(request: HttpRequest, response: HttpResponse | None) -> dict[str, Any]:
    raise GeneratorExit


def test_a_project_can_enrich_the_line(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENRICH": enrich}):
        get("/ok/")

    assert (lines[0]["tenant"], lines[0]["app_status"], lines[0]["size"]) == ("t1", "mine", 2)


def test_an_enrichment_that_fails_is_reported_once(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENRICH": enrich_badly}):
        assert get("/ok/").status_code == get("/ok/").status_code == 200

    assert len(lines) == 2
    assert [log["logger"] for log in lines.logs] == ["obs_middleware"]


def test_a_url_is_resolved_only_once(monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests) -> None:
    from django.urls import resolvers  # noqa: PLC0415 -- patched below

    calls: list[str] = []
    original = resolvers.URLResolver.resolve

    def counted(self: Any, path: str) -> Any:
        calls.append(path)
        return original(self, path)

    monkeypatch.setattr(resolvers.URLResolver, "resolve", counted)
    Client().get("/shop/item/7/")

    assert calls.count("/shop/item/7/") == 1
