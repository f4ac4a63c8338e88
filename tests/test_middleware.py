"""`obs_middleware.middleware`: sync and async, the line of plain and failed requests, the id on responses."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import re
import threading
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, call, patch

import pytest
from asgiref.sync import iscoroutinefunction
from conftest import Get, Site, respond
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from testproject import middleware
from testproject.middleware import Plain, Tagged

from obs_middleware.measure.event import current_event, event_of
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

OURS = "obs_middleware.middleware.TimingMiddleware"


def around(*, above: tuple[str, ...] = (), below: tuple[str, ...] = ()) -> list[str]:
    """Return ``MIDDLEWARE`` with layers of `testproject.middleware` around `TimingMiddleware`."""
    return [
        *(f"testproject.middleware.{name}" for name in above),
        OURS,
        *(f"testproject.middleware.{name}" for name in below),
    ]


# The seed contract


@pytest.mark.parametrize(
    "request_", [Mock(), object(), MagicMock(), HttpRequest()], ids=["mock", "object", "magic", "bare"]
)
@pytest.mark.parametrize(
    "response", [Mock(), object(), MagicMock(), None, HttpResponse()], ids=["mock", "object", "magic", "none", "plain"]
)
def test_the_seed_contract_holds_for_any_request_and_response(request_: Any, response: Any) -> None:
    """The clock is read twice, ``logging.info`` gets one argument, and the same response comes back."""
    get_response = AsyncMock(return_value=response)

    with patch("time.perf_counter", side_effect=[1.0, 1.1234]) as clock, patch("logging.info") as info:
        returned = asyncio.run(TimingMiddleware(get_response)(request_))

    assert returned is response
    assert get_response.await_args == call(request_)
    assert clock.call_count == 2
    assert info.call_args_list == [call("Request took 0.1234 seconds")]


def test_the_clock_and_the_log_are_looked_up_in_the_module() -> None:
    with patch("obs_middleware.middleware.time") as time, patch("obs_middleware.middleware.logging") as log:
        time.perf_counter.side_effect = [5.0, 7.5]
        asyncio.run(TimingMiddleware(AsyncMock())(Mock()))

    assert log.info.call_args_list == [call("Request took 2.5000 seconds")]


def test_call_is_a_coroutine_function_and_the_next_layer_is_kept() -> None:
    get_response = AsyncMock()

    assert inspect.iscoroutinefunction(TimingMiddleware.__call__)
    assert TimingMiddleware(get_response).get_response is get_response
    assert TimingMiddleware(get_response=get_response).get_response is get_response


def test_the_record_is_of_the_root_logger_at_info(get: Get, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    get("/ok/")

    (record,) = [record for record in caplog.records if record.getMessage().startswith("Request took")]
    assert (record.name, record.levelname, record.args) == ("root", "INFO", ())


# Sync and async


def test_the_instance_is_async_if_the_next_layer_is() -> None:
    async def async_layer(request: Any) -> HttpResponse:
        return HttpResponse()

    def sync_layer(request: Any) -> HttpResponse:
        return HttpResponse()

    asynchronous, synchronous = TimingMiddleware(async_layer), TimingMiddleware(sync_layer)

    assert iscoroutinefunction(asynchronous)
    assert not iscoroutinefunction(synchronous)
    assert isinstance(synchronous, TimingMiddleware)
    assert type(synchronous) is type(TimingMiddleware(sync_layer))
    assert isinstance(synchronous(RequestFactory().get("/")), HttpResponse)
    assert isinstance(asyncio.run(asynchronous(AsyncRequestFactory().get("/"))), HttpResponse)


@pytest.mark.parametrize(
    ("get_response", "is_async"),
    [
        (AsyncMock(return_value=HttpResponse()), True),
        (MagicMock(return_value=HttpResponse()), False),
        (functools.partial(AsyncMock(return_value=HttpResponse())), True),
    ],
    ids=["AsyncMock", "MagicMock", "partial"],
)
def test_the_next_layer_may_be_any_callable(get_response: Any, is_async: bool, lines: CapturedRequests) -> None:
    returned = respond(get_response, RequestFactory().get("/"))

    assert inspect.isawaitable(returned) is is_async
    response = asyncio.run(_wait(returned)) if is_async else returned
    assert response.status_code == 200
    assert len(lines) == 1


async def _wait(awaitable: Any) -> Any:
    return await awaitable


def test_a_lambda_that_returns_a_coroutine_is_awaited(lines: CapturedRequests) -> None:
    async def view(request: Any) -> HttpResponse:
        return HttpResponse(status=201)

    response = asyncio.run(_wait(TimingMiddleware(lambda request: view(request))(RequestFactory().get("/"))))

    assert response.status_code == 201
    assert [line["status"] for line in lines] == [201]


def test_an_exception_of_an_unmarked_async_layer_is_one_line(lines: CapturedRequests) -> None:
    async def view(request: Any) -> HttpResponse:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        asyncio.run(_wait(TimingMiddleware(lambda request: view(request))(RequestFactory().get("/"))))

    assert [(line["status"], line["error_type"]) for line in lines] == [(500, "ValueError")]


def test_a_missing_next_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"get_response must be provided\."):
        TimingMiddleware(None)  # type: ignore[arg-type]  # the mistake under test


def test_a_subclass_without_its_own_call_is_native_in_both_modes(
    mode: str, site: Site, lines: CapturedRequests
) -> None:
    site.get(lambda request: HttpResponse(), MIDDLEWARE=["testproject.middleware.Plain"])

    assert Plain.seen[-1] is (mode == "async")
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("Overriding", (False, True)),
        ("OverridingSync", (True, False)),
        ("OverridingSyncAround", (True, False)),
        ("OfNoBody", (True, False)),
        ("OverridingSyncBelowAsync", (True, False)),
        ("Mixed", (False, True)),
    ],
)
def test_a_subclass_with_its_own_call_is_never_bypassed(
    name: str, flags: tuple[bool, bool], site: Site, lines: CapturedRequests
) -> None:
    response = site.get(lambda request: HttpResponse(), MIDDLEWARE=[f"testproject.middleware.{name}"])

    assert (response.status_code, response["X-Own"]) == (200, "yes")
    assert len(lines) == (name != "OverridingSync")
    cls = getattr(middleware, name)
    assert (cls.sync_capable, cls.async_capable) == flags


def test_the_modes_that_a_subclass_declares_are_kept() -> None:
    class SyncAlone(TimingMiddleware):
        async_capable = False

    class Both(TimingMiddleware):
        sync_capable = async_capable = True

        def __call__(self, request: Any) -> Any:
            return super().__call__(request)

    class Inherits(Both):
        pass

    class InheritsAlone(SyncAlone):
        pass

    assert (SyncAlone.sync_capable, SyncAlone.async_capable) == (True, False)
    assert (InheritsAlone.sync_capable, InheritsAlone.async_capable) == (True, False)
    assert (Both.sync_capable, Both.async_capable) == (Inherits.sync_capable, Inherits.async_capable) == (True, True)


def test_a_subclass_may_take_further_arguments(lines: CapturedRequests) -> None:
    class Extra(TimingMiddleware):
        def __init__(self, get_response: Any, extra: str, *, more: int) -> None:
            super().__init__(get_response)
            self.given = (extra, more)

    instance = Extra(lambda request: HttpResponse(), "extra", more=1)
    response: Any = instance(RequestFactory().get("/"))

    assert response.status_code == 200
    assert instance.given == ("extra", 1)
    assert len(lines) == 1


def test_a_registry_of_subclasses_does_not_see_twins(lines: CapturedRequests) -> None:
    response: Any = Tagged(lambda request: HttpResponse())(RequestFactory().get("/"))

    assert response.status_code == 200
    assert Tagged.known == ["mine"]
    assert len(lines) == 1


def test_a_tracer_may_replace_the_call(site: Site, monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests) -> None:
    """Tracers such as ddtrace wrap the call of each middleware in a function that returns the same result."""
    body = TimingMiddleware.__call__

    @functools.wraps(body)
    async def traced(self: TimingMiddleware, request: Any) -> Any:
        return await body(self, request)

    monkeypatch.setattr(TimingMiddleware, "__call__", traced)

    assert site.get(lambda request: HttpResponse()).status_code == 200
    assert len(lines) == 1


def test_no_thread_is_changed_and_no_loop_is_made(mode: str, site: Site) -> None:
    """The view runs in the thread of the caller: on the event loop under ASGI, without a loop under WSGI."""
    seen: list[Any] = []

    def note() -> HttpResponse:
        try:
            seen.append((threading.get_ident(), asyncio.get_running_loop()))
        except RuntimeError:
            seen.append((threading.get_ident(), None))
        return HttpResponse()

    if mode == "sync":
        site.get(lambda request: note(), MIDDLEWARE=[OURS])
        assert seen == [(threading.get_ident(), None)]
        return

    async def view(request: HttpRequest) -> HttpResponse:
        return note()

    async def visit() -> None:
        note()
        with override_settings(MIDDLEWARE=[OURS], ROOT_URLCONF=_urls(view)):
            await AsyncClient().get("/")

    asyncio.run(visit())
    assert seen[0] == seen[1]


def _urls(view: Any) -> Any:
    from django.urls import path  # noqa: PLC0415 -- only for this helper

    return type("urls", (), {"urlpatterns": [path("", view)]})


def test_a_client_inside_a_running_loop_is_served(lines: CapturedRequests) -> None:
    async def visit() -> int:
        return int(await asyncio.to_thread(lambda: Client().get("/ok/").status_code))

    assert asyncio.run(visit()) == 200
    assert len(lines) == 1


# The line


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_page_is_one_line_with_all_its_facts(get: Get, suffix: str, lines: CapturedRequests) -> None:
    response = get(f"/ok{suffix}/?secret=1", headers={"X-Request-ID": "abc-123"})

    (line,) = lines
    seconds = line["duration_seconds"]
    text = re.fullmatch(r"Request took (\d+\.\d{4}) seconds", line["message"])
    assert text is not None
    assert abs(float(text[1]) - seconds) <= 0.0000511  # one measurement, rounded twice
    assert seconds > 0
    assert (line["level"], line["logger"]) == ("info", "root")
    assert (line["method"], line["path"]) == ("GET", f"/ok{suffix}/")
    assert (line["route"], line["view"]) == (f"ok{suffix}/", f"ok{suffix}")
    assert (line["status"], line["outcome"]) == (200, "ok")
    assert line["request_id"] == response["X-Request-ID"] == "abc-123"
    assert line["response_bytes"] == 2
    assert "secret" not in str(line)


@pytest.mark.parametrize(
    ("url", "status", "outcome", "error_type"),
    [
        ("/fail/", 500, "error", "ValueError"),
        ("/fail-async/", 500, "error", "ValueError"),
        ("/nothing/", 500, "error", "ValueError"),
        ("/unavailable/", 503, "error", None),
        ("/nowhere/", 404, "ok", None),
        ("/fail/404/", 404, "ok", None),
        ("/fail-async/404/", 404, "ok", None),
        ("/fail/403/", 403, "ok", "django.core.exceptions.PermissionDenied"),
        ("/fail/400/", 400, "ok", "django.core.exceptions.BadRequest"),
        ("/fail/suspicious/", 400, "ok", "django.core.exceptions.SuspiciousOperation"),
        ("/redirect/", 302, "ok", None),
    ],
)
@pytest.mark.parametrize("debug", [False, True], ids=["live", "debug"])
def test_a_request_that_goes_wrong_is_one_line(
    get: Get, url: str, status: int, outcome: str, error_type: str | None, debug: bool, lines: CapturedRequests
) -> None:
    """Django's own record of the failure is folded into the line, with its exception and its level."""
    with override_settings(DEBUG=debug):
        get(url)

    (line,) = lines
    assert lines.logs == []
    assert (line["status"], line["outcome"], line.get("error_type")) == (status, outcome, error_type)
    is_error = status >= 500 or url == "/fail/suspicious/"
    assert line["level"] == ("error" if is_error else "info")
    assert ("stack_trace" in line) is (is_error and error_type is not None)


def test_the_exception_is_on_the_line_once_with_its_traceback(get: Get, lines: CapturedRequests) -> None:
    get("/fail/")

    (line,) = lines
    assert (line["error_type"], line["error_message"]) == ("ValueError", "no good")
    assert line["stack_trace"].startswith("Traceback (most recent call last):")
    assert line["stack_trace"].count("ValueError: no good") == 1


def test_a_request_that_matches_no_url_has_no_route(get: Get, lines: CapturedRequests) -> None:
    """A request that matches no URL is written once, with status 404 and a null route."""
    get("/nowhere/")

    assert [(line["status"], line["route"], "view" in line) for line in lines] == [(404, None, False)]


def test_the_root_route_is_an_empty_string(get: Get, lines: CapturedRequests) -> None:
    get("/")

    assert [(line["route"], line["view"]) for line in lines] == [("", "testproject.views.ok")]


def test_an_exception_that_reaches_the_middleware_propagates_unchanged(
    mode: str, site: Site, lines: CapturedRequests
) -> None:
    error = ValueError("seen")

    def view(request: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(ValueError, match="seen") as raised:
        site.get(view, DEBUG_PROPAGATE_EXCEPTIONS=True)

    assert raised.value is error
    assert [(line["status"], line["outcome"], line["error_type"]) for line in lines] == [(500, "error", "ValueError")]


@pytest.mark.parametrize(
    ("middleware", "status"),
    [
        (around(below=("sync_only",)), 200),
        (around(above=("sync_only",)), 200),
        (around(above=("sync_only",), below=("sync_only",)), 200),
        (around(below=("unmarked_async",)), 200),
        ([OURS, OURS], 200),
        ([OURS, "django.middleware.common.CommonMiddleware", OURS], 200),
        (around(above=("failing_outside",)), 200),
        (around(below=("failing_outside",)), 500),
        (around(below=("short_circuit",)), 418),
    ],
    ids=[
        "sync below",
        "sync above",
        "sync around",
        "unmarked below",
        "twice",
        "twice apart",
        "outer fails",
        "inner fails",
        "short",
    ],
)
def test_there_is_one_line_with_any_layers_around(
    mode: str, site: Site, middleware: list[str], status: int, lines: CapturedRequests
) -> None:
    if mode == "sync" and "testproject.middleware.unmarked_async" in middleware:
        pytest.skip("Django's sync handler does not support such a layer, with or without the middleware")

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    site.get(view, MIDDLEWARE=middleware)

    assert [line["status"] for line in lines] == [status]


def test_a_request_object_used_again_is_a_new_request(lines: CapturedRequests) -> None:
    middleware: Any = TimingMiddleware(lambda request: HttpResponse())
    request = RequestFactory().get("/")

    middleware(request)
    middleware(request)

    assert len({line["request_id"] for line in lines}) == 2


def test_the_event_stays_on_the_request_and_leaves_the_context(get: Get) -> None:
    response = get("/ok/")

    asked = response.wsgi_request if hasattr(response, "wsgi_request") else response.asgi_request
    event = event_of(asked)
    assert event is not None
    assert event.done
    assert current_event.get() is None


# The id


@pytest.mark.parametrize("given", ["x" * 129, "", "a b", "a\tb", "é", 'a"b', "a;b", "<script>"])
def test_an_id_that_is_not_well_formed_is_replaced(get: Get, given: str, lines: CapturedRequests) -> None:
    response = get("/ok/", headers={"X-Request-ID": given})

    assert lines[0]["request_id"] == response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 32


@pytest.mark.parametrize("given", ["x" * 128, "1", "req_1.2:3=4+5/6@7-8"])
def test_an_id_that_is_well_formed_is_kept(get: Get, given: str, lines: CapturedRequests) -> None:
    get("/ok/", headers={"X-Request-ID": given})

    assert lines[0]["request_id"] == given


@pytest.mark.parametrize(
    "url", ["/ok/", "/nowhere/", "/fail/", "/fail/400/", "/redirect/", "/stream/", "/unavailable/"]
)
def test_the_id_goes_back_on_every_response(get: Get, url: str, lines: CapturedRequests) -> None:
    response = get(url)
    if response.streaming and not response.is_async:
        b"".join(response)

    assert response["X-Request-ID"] == lines[0]["request_id"]


# Settings


def test_ids_of_clients_can_be_refused(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"TRUST_REQUEST_ID": False}):
        get("/ok/", headers={"X-Request-ID": "mine"})

    assert lines[0]["request_id"] != "mine"


def test_the_header_can_be_renamed(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"REQUEST_ID_HEADER": "X-Correlation-ID"}):
        response = get("/ok/", headers={"X-Correlation-ID": "mine"})

    assert lines[0]["request_id"] == response["X-Correlation-ID"] == "mine"
    assert "X-Request-ID" not in response


def test_the_response_can_be_left_alone(get: Get) -> None:
    with override_settings(OBS_MIDDLEWARE={"RESPONSE_HEADER": False}):
        assert "X-Request-ID" not in get("/ok/")


def test_a_disabled_middleware_is_not_in_the_chain(get: Get, lines: CapturedRequests) -> None:
    with override_settings(OBS_MIDDLEWARE={"ENABLED": False}):
        with pytest.raises(MiddlewareNotUsed):
            TimingMiddleware(lambda request: HttpResponse())
        response = get("/ok/")

    assert response.status_code == 200
    assert lines == []


def test_changed_settings_reach_a_running_middleware(lines: CapturedRequests) -> None:
    middleware: Any = TimingMiddleware(lambda request: HttpResponse())
    with override_settings(OBS_MIDDLEWARE={"TRUST_REQUEST_ID": False}):
        middleware(RequestFactory().get("/", headers={"X-Request-ID": "mine"}))
    middleware(RequestFactory().get("/", headers={"X-Request-ID": "mine"}))

    assert [line["request_id"] == "mine" for line in lines] == [False, True]


def test_another_setting_changes_nothing() -> None:
    middleware: Any = TimingMiddleware(lambda request: HttpResponse())
    with patch.object(type(middleware), "configure") as configure, override_settings(LANGUAGE_CODE="fr"):
        assert settings.LANGUAGE_CODE == "fr"

    configure.assert_not_called()


# No harm


@pytest.mark.parametrize("where", ["begin", "finish"])
def test_a_failure_of_the_package_leaves_the_response_and_a_line(where: str, lines: CapturedRequests) -> None:
    target = "middleware.new_request_id" if where == "begin" else "measure.facts.normal_address"
    real = ["given"]

    def once() -> str:
        if real:
            real.pop()
            raise RuntimeError("ours")
        return "second"

    effect: Any = once if where == "begin" else RuntimeError("ours")
    with patch(f"obs_middleware.{target}", side_effect=effect):
        response = respond(lambda request: HttpResponse(), RequestFactory().get("/"))

    assert response.status_code == 200
    assert len(lines) == 1
    assert [line["logger"] for line in lines.logs] == ["obs_middleware"]


def test_django_stores_a_header_as_the_middleware_does() -> None:
    """A canary for ``ResponseHeaders._store``. If it fails, set the header by item in `obs_middleware.middleware`."""
    response, other = HttpResponse(), HttpResponse()
    response.headers["X-Request-ID"] = "the-id"
    other.headers._store["x-request-id"] = ("X-Request-ID", "the-id")

    assert other.headers._store == response.headers._store
    assert other["x-request-id"] == "the-id"
    assert other.serialize_headers() == response.serialize_headers()
