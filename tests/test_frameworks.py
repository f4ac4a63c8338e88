"""Route, view and user with i18n, the admin, Django REST framework and django-ninja."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from conftest import respond
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from hypothesis import given, settings
from hypothesis import strategies as st
from ninja import NinjaAPI
from ninja.security import HttpBearer
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import APIView

from obs_middleware.testing import CapturedRequests, capture_requests

SECRET = "hunter2"


class Token(BaseAuthentication):  # type: ignore[misc]  # it has no types
    def authenticate(self, request: Any) -> Any:
        given = request.headers.get("Authorization", "")
        return (User.objects.get(), given) if given == SECRET else None


class Items(APIView):  # type: ignore[misc]  # it has no types
    authentication_classes = (Token,)
    permission_classes = ()

    def get(self, request: Any, number: int) -> Response:
        if number == 0:
            raise APIException("not today")
        return Response({"user": str(request.user)})


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> Any:
        return token or None


api = NinjaAPI(urls_namespace="tests", docs_url=None, openapi_url=None)


@api.get("/items/{number}", auth=Bearer())
def item(request: HttpRequest, number: int) -> dict[str, int]:
    return {"number": number}


@api.get("/async/{number}")
async def async_item(request: HttpRequest, number: int) -> dict[str, int]:
    return {"number": number}


urlpatterns = [
    path("rest/items/<int:number>/", Items.as_view(), name="items"),
    path("ninja/", api.urls),
    path("admin/", admin.site.urls),
    *i18n_patterns(path("hello/", lambda request: HttpResponse(), name="hello")),
    path("a/", include(([path("b/", include(([path("<slug:s>/", Items.as_view(), name="deep")], "b")))], "a"))),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture(name="visit", params=["sync", "async"])
def _visit(request: pytest.FixtureRequest) -> Any:
    if request.param == "sync":
        return Client(raise_request_exception=False).get
    return async_to_sync(AsyncClient(raise_request_exception=False).get)


@pytest.mark.parametrize(
    ("url", "status", "route", "view"),
    [
        ("/rest/items/7/", 200, "rest/items/<int:number>/", "items"),
        ("/rest/items/0/", 500, "rest/items/<int:number>/", "items"),
        ("/rest/items/x/", 404, None, None),
        ("/ninja/async/7", 200, "ninja/async/<number>", "tests:async_item"),
        ("/ninja/items/7", 401, "ninja/items/<number>", "tests:item"),
        ("/ninja/async/x", 422, "ninja/async/<number>", "tests:async_item"),
        ("/en/hello/", 200, "en/hello/", "hello"),
        ("/de/hello/", 200, "de/hello/", "hello"),
        ("/admin/nothing/", 302, "admin/(?P<url>.*)$", "admin:django.contrib.admin.sites.catch_all_view"),
    ],
)
def test_the_route_is_the_declared_pattern(
    visit: Any, url: str, status: int, route: str | None, view: str | None, lines: CapturedRequests
) -> None:
    with override_settings(MIDDLEWARE=WITH_LOCALE, LANGUAGES=[("en", "English"), ("de", "German")]):
        visit(url)

    (line,) = lines
    assert (line["status"], line["route"], line.get("view")) == (status, route, view)
    assert lines.logs == []


WITH_LOCALE = [
    "obs_middleware.middleware.TimingMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def test_a_user_of_django_rest_framework_is_known_and_its_token_is_not(visit: Any, lines: CapturedRequests) -> None:
    user = User.objects.create_user("u")
    with CaptureQueriesContext(connection) as queries:
        visit("/rest/items/7/", headers={"Authorization": SECRET})

    assert len(queries) == 1
    assert lines[0]["user_id"] == str(user.pk)
    assert SECRET not in json.dumps(lines)


def test_a_failing_view_of_django_rest_framework_still_has_its_user(visit: Any, lines: CapturedRequests) -> None:
    user = User.objects.create_user("u")
    visit("/rest/items/0/", headers={"Authorization": SECRET})

    assert (lines[0]["status"], lines[0]["outcome"], lines[0]["user_id"]) == (500, "error", str(user.pk))


def test_the_token_of_ninja_is_never_on_the_line(visit: Any, lines: CapturedRequests) -> None:
    visit("/ninja/items/7", headers={"Authorization": f"Bearer {SECRET}"})

    assert (lines[0]["status"], "user_id" in lines[0]) == (200, False)
    assert SECRET not in json.dumps(lines)


@settings(max_examples=50)
@given(st.text(), st.text(), st.text(), st.text())
def test_a_hostile_request_is_one_bounded_line(path_: str, header: str, query: str, cookie: str) -> None:
    """Any text that a client sends gives one line and a valid id, and no failure."""
    request = HttpRequest()
    request.method, request.path = "GET", path_
    request.META = {
        "REMOTE_ADDR": header,
        "HTTP_X_REQUEST_ID": header,
        "HTTP_TRACEPARENT": header,
        "HTTP_X_FORWARDED_FOR": header,
        "HTTP_USER_AGENT": header,
        "HTTP_COOKIE": cookie,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": header,
    }
    everything = {"FIELDS": ["user_agent", "host", "query", "referrer"], "HEADERS": ["Cookie"], "TRUSTED_PROXIES": 1}
    with override_settings(OBS_MIDDLEWARE=everything), capture_requests() as lines:
        response = respond(lambda request: HttpResponse(), request)

    assert response.status_code == 200
    assert (len(lines), lines.logs) == (1, [])
    assert response["X-Request-ID"] == lines[0]["request_id"]
