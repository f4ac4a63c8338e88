"""`obs_middleware.measure.request_id`: ids from the application, also beside packages that make ids themselves."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from typing import Any

import pytest
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from conftest import Site
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from obs_middleware import get_request_id
from obs_middleware.asgi import observed
from obs_middleware.testing import CapturedRequests

logger = logging.getLogger("site")
OURS = "obs_middleware.middleware.TimingMiddleware"

numbers = itertools.count(1)


def from_path(request: HttpRequest) -> str:
    return f"of{request.path}".replace("/", "-")


def numbered() -> str:
    return f"id-{next(numbers)}"


def long_id() -> str:
    return "x" * 129


def broken(request: HttpRequest) -> str:
    raise LookupError("no id")


def view(request: HttpRequest) -> HttpResponse:
    logger.info("inside")
    return HttpResponse(f"{get_request_id()} {request.request_id}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("setting", [f"{__name__}.from_path", from_path], ids=["path", "callable"])
def test_the_application_makes_the_id(setting: Any, site: Site, lines: CapturedRequests) -> None:
    response = site.get(view, OBS_MIDDLEWARE={"REQUEST_ID": setting})

    assert [line["request_id"] for line in (*lines, *lines.logs)] == ["of-", "of-"]
    assert (response["X-Request-ID"], response.content) == ("of-", b"of- of-")


def test_a_callable_needs_no_argument_and_may_return_another_object(site: Site, lines: CapturedRequests) -> None:
    for setting in (numbered, "uuid.uuid4"):
        for _ in range(2):
            site.get(view, OBS_MIDDLEWARE={"REQUEST_ID": setting})

    first, second, third, fourth = (line["request_id"] for line in lines)
    assert (first[:3], int(second[3:])) == ("id-", int(first[3:]) + 1)
    assert uuid.UUID(third) != uuid.UUID(fourth)


def test_a_trusted_id_of_the_client_comes_first(site: Site, lines: CapturedRequests) -> None:
    for trusts in (True, False):
        site.get(
            view,
            headers={"X-Request-ID": "sent"},
            OBS_MIDDLEWARE={"REQUEST_ID": from_path, "TRUST_REQUEST_ID": trusts},
        )

    assert [line["request_id"] for line in lines] == ["sent", "of-"]


@pytest.mark.parametrize(
    ("setting", "reported"),
    [
        (broken, "LookupError: no id"),
        (lambda: None, "returned None"),
        (lambda: "", "returned ''"),
        (lambda: "two words", "returned 'two words'"),
        (lambda: "a\r\nSet-Cookie: b", "returned 'a\\r\\nSet-Cookie: b'"),
        (long_id, f"returned '{'x' * 129}'"),
    ],
    ids=["raises", "none", "empty", "blank", "header injection", "long"],
)
def test_a_callable_without_a_usable_id_is_reported_once(
    setting: Any, reported: str, site: Site, lines: CapturedRequests
) -> None:
    responses = [site.get(view, OBS_MIDDLEWARE={"REQUEST_ID": setting}) for _ in range(2)]

    ids = [line["request_id"] for line in lines]
    assert [len(one) for one in ids] == [32, 32]
    assert [response["X-Request-ID"] for response in responses] == ids
    (complaint,) = [log for log in lines.logs if log["logger"] == "obs_middleware"]
    assert complaint["message"].startswith('OBS_MIDDLEWARE["REQUEST_ID"] failed')
    assert reported in complaint["stack_trace"]


@pytest.mark.parametrize("trusts", [True, False])
def test_an_observed_request_has_one_id(trusts: bool, lines: CapturedRequests) -> None:
    settings_of = {"REQUEST_ID": from_path, "TRUST_REQUEST_ID": trusts}
    with override_settings(OBS_MIDDLEWARE=settings_of, ROOT_URLCONF=urls()):
        application = observed(ASGIHandler())
        answers = [visit(application, sent) for sent in ([], [(b"x-request-id", b"sent")])]

    expected = ["of-", "sent" if trusts else "of-"]
    assert [line["request_id"] for line in lines] == expected
    assert [line["request_id"] for line in lines.logs] == expected
    assert [header_of(answer, b"x-request-id") for answer in answers] == [[one.encode()] for one in expected]
    assert [body_of(answer) for answer in answers] == [f"{one} {one}".encode() for one in expected]


# django-guid calls a function of asyncio that Python 3.14 deprecates.
@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning")
def test_django_guid_and_this_package_have_one_id(site: Site, lines: CapturedRequests) -> None:
    get_guid = pytest.importorskip("django_guid").get_guid  # it has no version for Python 3.12 with Django 6
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "django_guid"], DJANGO_GUID={}):
        responses = [
            site.get(
                lambda request: HttpResponse(get_guid()),
                headers=headers,
                MIDDLEWARE=["django_guid.middleware.guid_middleware", OURS],
                OBS_MIDDLEWARE={"REQUEST_ID": "django_guid.get_guid", "TRUST_REQUEST_ID": False},
            )
            for headers in ({}, {"Correlation-ID": str(uuid.uuid4())}, {"X-Request-ID": "of-a-proxy"})
        ]

    for line, response in zip(lines, responses, strict=True):
        assert line["request_id"] == response["X-Request-ID"] == response["Correlation-ID"]
        assert line["request_id"] == response.content.decode()
    assert len({line["request_id"] for line in lines}) == 3
    assert "obs_middleware" not in {log["logger"] for log in lines.logs}


@pytest.mark.parametrize("observes", [False, True], ids=["plain", "observed"])
@pytest.mark.parametrize("trusts", [True, False], ids=["trusting", "strict"])
def test_asgi_correlation_id_and_this_package_have_one_id(
    trusts: bool, observes: bool, lines: CapturedRequests
) -> None:
    seen: list[str | None] = []

    def sees(request: HttpRequest) -> HttpResponse:
        seen.append(correlation_id.get())
        return HttpResponse()

    ours = {"REQUEST_ID": correlation_id.get, "TRUST_REQUEST_ID": trusts, "RESPONSE_HEADER": False}
    with override_settings(OBS_MIDDLEWARE=ours, ROOT_URLCONF=urls(sees)):
        django = ASGIHandler()
        application = CorrelationIdMiddleware(observed(django) if observes else django)  # type: ignore[arg-type]  # Starlette's types are narrower
        sent = uuid.uuid4().hex.encode()
        answers = [visit(application, headers) for headers in ([], [(b"x-request-id", sent)])]

    ids = [line["request_id"] for line in lines]
    assert (ids, ids[1]) == (seen, sent.decode())
    assert [header_of(answer, b"x-request-id") for answer in answers] == [[one.encode()] for one in ids]
    assert lines.logs == []


def urls(handler: Any = view) -> Any:
    return type("urls", (), {"urlpatterns": [path("", handler)]})


def visit(application: Any, headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """Send a GET to *application*, and return the messages that the server got."""
    sent: list[dict[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()  # the client stays
        asked = True
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers],
    }
    asyncio.run(application(scope, receive, send))
    return sent


def header_of(answer: list[dict[str, Any]], name: bytes) -> list[bytes]:
    return [value for key, value in answer[0]["headers"] if key.lower() == name]


def body_of(answer: list[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in answer[1:])
