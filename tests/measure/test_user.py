"""`obs_middleware.measure.user`: the user's id, without a query or access to the session."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import alogin, login
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils.functional import SimpleLazyObject

from obs_middleware.measure.user import user_id, user_reader
from obs_middleware.testing import CapturedRequests, capture_requests


class Visitor:
    """A client with a user, in one of the two modes."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.user = User.objects.create_user("u", password="p")

    def visit(self, view: Any, *, logged_in: bool = True) -> tuple[int, Any]:
        """Visit *view*, and return the number of queries and the response."""
        urls = type("urls", (), {"urlpatterns": [path("", view)]})
        client: Any = Client() if self.mode == "sync" else AsyncClient()
        if logged_in:
            client.force_login(self.user)
        with override_settings(ROOT_URLCONF=urls), CaptureQueriesContext(connection) as queries:
            response = client.get("/") if self.mode == "sync" else async_to_sync(client.get)("/")
        return len(queries), response


@pytest.fixture(name="visitor")
def _visitor(mode: str, db: None) -> Visitor:
    return Visitor(mode)


def test_a_view_that_does_not_ask_for_the_user_costs_no_query(visitor: Visitor, lines: CapturedRequests) -> None:
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    queries, response = visitor.visit(view)

    assert queries == 0
    assert "user_id" not in lines[0]
    assert "Vary" not in response
    assert seen[0].session.accessed is False
    assert isinstance(seen[0].__dict__["user"], SimpleLazyObject)


def test_a_user_that_the_view_asked_for_is_known(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user))

    queries, _ = visitor.visit(view)

    assert queries == 2
    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_a_user_that_auser_fetched_is_known(visitor: Visitor, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(await request.auser()))

    visitor.visit(view)

    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_the_user_is_known_from_a_session_that_was_read(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.session.get("nothing", ""))

    queries, _ = visitor.visit(view)

    assert queries == 1
    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_a_user_who_logs_in_is_known_at_once(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        login(request, visitor.user)
        return HttpResponse()

    async def async_view(request: HttpRequest) -> HttpResponse:
        await alogin(request, visitor.user)
        return HttpResponse()

    visitor.visit(view if visitor.mode == "sync" else async_view, logged_in=False)

    assert lines[0]["user_id"] == str(visitor.user.pk)


def test_an_anonymous_user_has_no_id(visitor: Visitor, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user.is_authenticated))

    visitor.visit(view, logged_in=False)

    assert "user_id" not in lines[0]


def test_a_user_who_may_no_longer_log_in_has_no_id(visitor: Visitor, lines: CapturedRequests) -> None:
    """The session still has the id, but the user was found to be anonymous."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user.is_authenticated))

    client: Any = Client() if visitor.mode == "sync" else AsyncClient()
    client.force_login(visitor.user)
    User.objects.update(is_active=False)
    urls = type("urls", (), {"urlpatterns": [path("", view)]})
    with override_settings(ROOT_URLCONF=urls):
        response = client.get("/") if visitor.mode == "sync" else async_to_sync(client.get)("/")

    assert response.content == b"False"
    assert "user_id" not in lines[0]


@pytest.mark.django_db
@pytest.mark.usefixtures("mode")
def test_the_user_can_be_left_out(visitor: Visitor) -> None:
    with override_settings(OBS_MIDDLEWARE={"USER": False}), capture_requests() as lines:
        visitor.visit(lambda request: HttpResponse(str(request.user)))

    assert "user_id" not in lines[0]


def name_of(user: Any) -> str:
    """Stand for a function of an application."""
    return f"user {user.username}"


def broken(user: Any) -> str:
    raise ValueError(user)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (True, "{0.pk}"),
        ("pk", "{0.pk}"),
        ("email", "u@example.com"),
        ("last_name", None),
        (f"{__name__}.name_of", "user u"),
        (lambda user: user.pk + 1000, "10{0.pk:02}"),
        (lambda user: None, None),
    ],
    ids=["true", "pk", "a field", "an empty field", "a path", "a number", "none"],
)
def test_the_site_chooses_what_stands_for_the_user(setting: Any, expected: str | None, visitor: Visitor) -> None:
    User.objects.update(email="u@example.com")

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.user))

    with override_settings(OBS_MIDDLEWARE={"USER": setting}), capture_requests() as lines:
        queries, response = visitor.visit(view)
        visitor.visit(view, logged_in=False)

    assert (queries, response["Vary"]) == (2, "Cookie")  # both by the view, as without the setting
    assert lines[0].get("user_id") == (None if expected is None else expected.format(visitor.user))
    assert "user_id" not in lines[1]
    assert lines.logs == []


@pytest.mark.parametrize("setting", ["email", f"{__name__}.name_of"])
def test_no_choice_loads_the_user(setting: str, visitor: Visitor) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    def reads_the_session(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.session.get("nothing", ""))

    with override_settings(OBS_MIDDLEWARE={"USER": setting}), capture_requests() as lines:
        counted = [visitor.visit(view)[0], visitor.visit(reads_the_session)[0]]

    assert counted == [0, 1]
    assert ["user_id" in line for line in lines] == [False, False]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "reported"), [("emial", "User has no field 'emial'"), (f"{__name__}.broken", "ValueError: u")]
)
def test_a_choice_that_fails_is_reported_once_and_leaves_the_line_whole(
    setting: str, reported: str, visitor: Visitor
) -> None:
    with override_settings(OBS_MIDDLEWARE={"USER": setting}), capture_requests() as lines:
        for _ in range(2):
            visitor.visit(lambda request: HttpResponse(str(request.user)))

    assert [("user_id" in line, line["status"], "client_ip" in line) for line in lines] == [(False, 200, True)] * 2
    (log,) = lines.logs
    assert log["message"].startswith('OBS_MIDDLEWARE["USER"] failed')
    assert reported in log["stack_trace"]


@pytest.mark.django_db
def test_a_deferred_field_is_not_touched() -> None:
    User.objects.create_user("u", email="u@example.com")
    request = RequestFactory().get("/")
    request.user = User.objects.defer("email").get()
    reader = user_reader("email")
    assert reader is not None

    with CaptureQueriesContext(connection) as queries, capture_requests() as lines:
        assert reader(request) is None
    assert (len(queries), lines.logs) == (0, [])  # it is no mistake of the site


@pytest.mark.django_db
def test_a_deferred_key_and_a_token_are_not_touched() -> None:
    User.objects.create_user("u")
    deferred = User.objects.only("username").get()
    del deferred.__dict__["id"]
    request = RequestFactory().get("/")
    request.user = deferred
    request.auth = "secret-token"  # type: ignore[attr-defined]  # as django-ninja has it

    with CaptureQueriesContext(connection) as queries:
        assert user_id(request) is None
    assert len(queries) == 0


@pytest.mark.parametrize(
    ("user", "expected"),
    [(AnonymousUser(), None), (object(), None), (None, None), (7, None), (type("T", (), {})(), None)],
    ids=["anonymous", "object", "none", "int", "plain"],
)
def test_an_object_that_is_not_a_user_has_no_id(user: Any, expected: str | None) -> None:
    request = RequestFactory().get("/")
    request.user = user

    assert user_id(request) is expected
    assert user_id(object()) is None
