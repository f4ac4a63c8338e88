"""`obs_middleware.measure.counted_lines`: every request and task is counted once, whatever becomes of its line."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from conftest import Get, Site, respond
from counts import changes, counts
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings
from endings.drivers import OURS, Visit, site, visit_asgi, visit_wsgi
from histogrammed import TASKS, counted, counting, scraped

from obs_middleware.decorators import exclude
from obs_middleware.measure import histograms
from obs_middleware.measure.counted_lines import CountingLineWriter
from obs_middleware.measure.line_writer import LineWriter
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests
from obs_middleware.work import tasks, unit

pytestmark = pytest.mark.django_db  # a response that is closed looks at the connections


@pytest.fixture(name="folder", autouse=True)
def _folder(tmp_path: Path) -> Iterator[Path]:
    with counting(tmp_path):
        yield tmp_path


def labels(name: str = "http_server_request_duration_seconds") -> dict[str, str]:
    """Return the labels of the only histogram, which has counted one."""
    ((found, number),) = counted(name).items()
    assert number == 1
    return dict(found)


def test_without_the_setting_the_writer_is_a_plain_one() -> None:
    with override_settings(OBS_MIDDLEWARE={}):
        assert type(TimingMiddleware(lambda request: HttpResponse())._writer) is LineWriter
    assert type(TimingMiddleware(lambda request: HttpResponse())._writer) is CountingLineWriter


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/ok/", {"http_route": "ok/", "http_response_status_code": "200"}),
        ("/", {"http_route": "/", "http_response_status_code": "200"}),
        ("/shop/item/7/", {"http_route": "shop/item/<int:number>/", "http_response_status_code": "200"}),
        ("/nowhere/", {"http_response_status_code": "404"}),
        ("/unavailable/", {"http_route": "unavailable/", "http_response_status_code": "503", "error_type": "503"}),
        ("/fail/", {"http_route": "fail/", "http_response_status_code": "500", "error_type": "ValueError"}),
        ("/stream/", {"http_route": "stream/", "http_response_status_code": "200"}),
    ],
)
def test_the_labels_are_those_of_the_line(
    url: str, expected: dict[str, str], get: Get, lines: CapturedRequests
) -> None:
    response = get(url)
    if response.streaming:
        response.getvalue() if not response.is_async else None
    response.close()
    del response
    gc.collect()

    assert labels() == {"http_request_method": "GET", "url_scheme": "http", **expected}
    assert lines[0].get("error_type", "503") == expected.get("error_type", "503")


@pytest.mark.parametrize(("method", "label"), [("POST", "POST"), ("QUIT", "_OTHER"), ("X" * 500, "_OTHER")])
def test_a_method_is_one_of_a_few(method: str, label: str) -> None:
    Client().generic(method, "/ok/")

    assert labels()["http_request_method"] == label


def test_an_error_that_django_answers_with_a_4xx_is_an_error() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise SuspiciousOperation("no")

    with site(view, [OURS]):
        visit_wsgi(Visit())

    found = labels()
    assert (found["http_response_status_code"], found["error_type"]) == (
        "400",
        "django.core.exceptions.SuspiciousOperation",
    )


@pytest.mark.parametrize("serve", [visit_wsgi, visit_asgi, lambda visit: visit_asgi(visit, outside=True)])
@pytest.mark.parametrize("error", [None, ValueError("no"), Http404()], ids=["ok", "error", "not found"])
def test_a_request_is_counted_once_on_every_way_out(
    serve: Callable[[Visit], Visit], error: Exception | None, lines: CapturedRequests
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        if error is not None:
            raise error
        return HttpResponse("ok")

    with site(view, [OURS]):
        serve(Visit())

    found = labels()
    assert found["http_route"] == "/"
    assert found["url_scheme"] == "http"
    assert found["http_response_status_code"] == str(lines[0]["status"])
    assert found.get("error_type") == lines[0].get("error_type") or isinstance(error, Http404)


@pytest.mark.parametrize("outside", [False, True], ids=["middleware", "observed"])
def test_a_client_that_leaves_is_counted_and_no_error(outside: bool, lines: CapturedRequests) -> None:
    visit = Visit()

    async def view(request: HttpRequest) -> HttpResponse:
        visit.leave()
        await asyncio.sleep(20)
        raise AssertionError("it should have been cancelled")

    with site(view, [OURS]):
        visit_asgi(visit, outside=outside)

    found = labels()
    assert found["http_response_status_code"] == "499"
    assert "error_type" not in found
    assert lines[0]["outcome"] == "cancelled"


@pytest.mark.parametrize("outside", [False, True], ids=["middleware", "observed"])
def test_a_stream_is_counted_at_its_end(outside: bool) -> None:
    async def view(request: HttpRequest) -> StreamingHttpResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            assert counted() == {}
            raise ValueError("no")

        return StreamingHttpResponse(chunks())

    with site(view, [OURS]):
        visit_asgi(Visit(), outside=outside)

    found = labels()
    assert (found["http_route"], found["error_type"], found["url_scheme"]) == ("/", "ValueError", "http")


@pytest.mark.parametrize(
    "keys",
    [{"EXCLUDE": ["."]}, {"SAMPLE_RATE": 0.0}, {"QUIET": ["."]}],
    ids=lambda keys: next(iter(keys)),
)
def test_requests_whose_line_is_left_out_count_with_their_route(keys: dict[str, Any], get: Get, folder: Path) -> None:
    before = counts()
    with override_settings(OBS_MIDDLEWARE={"METRICS": folder, **keys}):
        for _ in range(3):
            get("/shop/item/7/")

        assert set(counted().values()) == {3}
        assert {dict(found)["http_route"] for found in counted()} == {"shop/item/<int:number>/"}
    assert changes(before)["requests"] == 3


def test_an_excluded_view_counts(site: Site) -> None:
    site.get(exclude(lambda request: HttpResponse()), "/here/", route="here/")

    assert labels()["http_route"] == "here/"


def test_random_traffic_is_counted_as_stats_does(get: Get, folder: Path) -> None:
    urls = ["/ok/", "/nowhere/", "/fail/", "/unavailable/", "/redirect/", "/re/2026/"]
    before = counts()
    with override_settings(OBS_MIDDLEWARE={"METRICS": folder, "SAMPLE_RATE": 0.5, "EXCLUDE": ["redirect"]}):
        for url in random.Random(7).choices(urls, k=100):
            get(url)

        assert sum(counted().values()) == 100
    assert changes(before)["requests"] == 100


@pytest.mark.parametrize(
    ("header", "sent", "expected"),
    [
        (("HTTP_X_FORWARDED_PROTO", "https"), "https", "https"),
        (("HTTP_X_FORWARDED_PROTO", "https"), "https, http", "https"),
        (("HTTP_X_FORWARDED_PROTO", "https"), "http", "http"),
        (("HTTP_X_FORWARDED_PROTO", "https"), None, "http"),
        (None, "https", "http"),
    ],
)
def test_the_scheme_is_that_of_django(header: Any, sent: str | None, expected: str, get: Get) -> None:
    with override_settings(SECURE_PROXY_SSL_HEADER=header):
        response = get("/ok/", headers={} if sent is None else {"X-Forwarded-Proto": sent})
        assert response.wsgi_request.scheme == expected if hasattr(response, "wsgi_request") else True

    assert labels()["url_scheme"] == expected


@pytest.mark.parametrize("request_", [object(), SimpleNamespace(), HttpRequest()], ids=["object", "space", "bare"])
def test_any_object_can_be_a_request(request_: Any, lines: CapturedRequests) -> None:
    respond(lambda request: "a response", request_)

    assert labels() == {"http_request_method": "_OTHER"}
    assert lines.logs == []


def test_a_mock_has_no_labels_of_its_own(lines: CapturedRequests) -> None:
    respond(lambda request: MagicMock(), MagicMock())

    assert labels() == {"http_request_method": "_OTHER"}
    assert lines.logs == []


# Failures


def test_a_directory_that_is_missing_is_reported_once_and_used_when_it_is_there(
    folder: Path, get: Get, lines: CapturedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(histograms, "time", SimpleNamespace(monotonic=lambda: now))
    later = folder / "later"
    with counting(later):
        for _ in range(3):
            assert get("/ok/").status_code == 200
        later.mkdir()
        get("/ok/")
        assert counted() == {}
        now += 61
        get("/ok/")
        assert labels()["http_route"] == "ok/"

    assert len(lines) == 5
    (warning,) = (log for log in lines.logs if log["logger"] == "obs_middleware")
    assert warning["message"].startswith('OBS_MIDDLEWARE["METRICS"] failed, the request was not affected')


def test_a_class_that_has_no_name_is_counted_as_other(lines: CapturedRequests) -> None:
    class Nameless(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]
            raise ValueError("no")

    class Hidden(Exception, metaclass=Nameless):
        pass

    def view(request: Any) -> HttpResponse:
        raise Hidden

    with pytest.raises(Hidden):
        respond(view, RequestFactory().get("/"))

    assert labels()["error_type"] == "_OTHER"


# Tasks


def test_a_task_has_its_name_its_queue_and_its_outcome(lines: CapturedRequests) -> None:
    with tasks.running("shop.send_mail", "t-1", queue="mail"):
        pass
    with pytest.raises(ValueError, match="no"), tasks.running("shop.send_mail", "t-2"):
        raise ValueError("no")
    tasks.end(tasks.begin("shop.send_mail", "t-3"), "retry")

    assert counted(TASKS) == {
        (("task", "shop.send_mail"), ("queue", "mail"), ("outcome", "ok")): 1,
        (("task", "shop.send_mail"), ("outcome", "error"), ("error_type", "ValueError")): 1,
        (("task", "shop.send_mail"), ("outcome", "retry")): 1,
    }
    assert counted() == {}
    assert len(lines) == 3


def test_a_task_may_take_an_hour() -> None:
    event = tasks.begin("shop.export", "t-1")
    assert event is not None
    unit.end(event, seconds=1_000.0)

    buckets = {sample.labels["le"]: sample.value for sample in scraped()[TASKS].samples if "le" in sample.labels}
    assert (buckets["900.0"], buckets["3600.0"]) == (0, 1)
