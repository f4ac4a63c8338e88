"""The setting ``OUTGOING``: what each client sends, to whom, and what is counted."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import aiohttp
import httpx
import pytest
import requests
import urllib3
from certificates import create_certificate
from conftest import Site
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from ports import free_port
from web import CLIENTS, PROXIED, REDIRECTED, Web, serving

from obs_middleware import carry
from obs_middleware.measure.event import Event, current_event
from obs_middleware.testing import CapturedRequests
from obs_middleware.work.outgoing.headers import HEADERS, Hosts

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT: Final = f"00-{TRACE}-{SPAN}-01"

every_client = pytest.mark.parametrize("name", CLIENTS)


@pytest.fixture(name="web", scope="module")
def _shared_web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture(autouse=True)
def _forget(web: Web) -> None:
    web.got.clear()


@pytest.fixture(name="event")
def _event() -> Iterator[Event]:
    """The event of a request that may call ``localhost``, and is current."""
    with override_settings(OBS_MIDDLEWARE={"OUTGOING": ["localhost"]}):
        yield begin()


def begin() -> Event:
    event = Event(0.0, "mine", "GET", "/")
    event.set_trace(TRACE, SPAN, None, 1)
    current_event.set(event)
    return event


def counted(event: Event) -> int:
    assert event.calls is not None
    return event.calls.count


def call(name: str, url: str, headers: dict[str, str] | None = None, **options: Any) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        return CLIENTS[name](url, headers or {}, **options)


# What is sent


@every_client
def test_a_host_of_the_list_gets_the_id_and_the_trace(name: str, web: Web, event: Event) -> None:
    assert call(name, web.url("localhost")) == 200

    assert (web.headers("x-request-id"), web.headers("traceparent")) == (["mine"], [TRACEPARENT])


@every_client
def test_no_other_host_gets_anything(name: str, web: Web, event: Event) -> None:
    call(name, web.url("127.0.0.1"))

    assert (web.headers("x-request-id"), web.headers("traceparent")) == ([None], [None])


@pytest.mark.parametrize("name", REDIRECTED)
def test_a_redirect_takes_nothing_to_another_host(name: str, web: Web, event: Event) -> None:
    elsewhere = urllib.parse.quote(web.url("127.0.0.1"))
    back = urllib.parse.quote(web.url("localhost"))

    call(name, web.url("localhost", f"/to?url={elsewhere}"))
    call(name, web.url("127.0.0.1", f"/to?url={back}"))

    assert web.headers("x-request-id") == ["mine", None, None, "mine"]
    assert web.headers("traceparent") == [TRACEPARENT, None, None, TRACEPARENT]


@every_client
def test_the_headers_of_the_caller_win(name: str, web: Web, event: Event) -> None:
    call(name, web.url("localhost"), {"X-REQUEST-ID": "theirs"})
    call(name, web.url("localhost"), {"Traceparent": "theirs"})

    assert web.headers("x-request-id") == ["theirs", "mine"]
    assert web.headers("traceparent") == [TRACEPARENT, "theirs"]


@pytest.mark.parametrize("name", PROXIED)
def test_behind_a_proxy_the_host_of_the_url_counts(name: str, web: Web) -> None:
    for hosts in (["api.internal"], ["localhost"]):
        with override_settings(OBS_MIDDLEWARE={"OUTGOING": hosts}):
            begin()
            call(name, "http://api.internal/", proxy=web.url("localhost"))

    assert [urllib.parse.urlsplit(target).hostname for target, _ in web.got] == ["api.internal"] * 2
    assert web.headers("x-request-id") == ["mine", None]


@every_client
def test_outside_a_request_nothing_is_sent(name: str, web: Web, event: Event) -> None:
    current_event.set(None)

    call(name, web.url("localhost"))

    assert web.headers("x-request-id") == [None]
    assert counted(event) == 0


@every_client
def test_without_the_setting_nothing_is_sent_and_nothing_counted(name: str, web: Web) -> None:
    event = begin()

    call(name, web.url("localhost"))

    assert web.headers("x-request-id") == [None]
    assert event.calls is None


def test_the_header_has_the_name_of_the_setting(web: Web) -> None:
    with override_settings(OBS_MIDDLEWARE={"OUTGOING": ["localhost"], "REQUEST_ID_HEADER": "X-Correlation-ID"}):
        begin()
        call("requests", web.url("localhost"))

    assert (web.headers("x-correlation-id"), web.headers("x-request-id")) == (["mine"], [None])


def test_without_a_trace_only_the_id_is_sent(web: Web, event: Event) -> None:
    event.trace = None

    call("httpx", web.url("localhost"))

    assert (web.headers("x-request-id"), web.headers("traceparent")) == (["mine"], [None])


def test_the_active_span_of_opentelemetry_is_the_parent(web: Web, event: Event) -> None:
    with TracerProvider().get_tracer("tests").start_as_current_span("a call") as span:
        call("requests", web.url("localhost"))

    (sent,) = web.headers("traceparent")
    assert f"{span.get_span_context().span_id:016x}" in str(sent)


@pytest.mark.parametrize("name", ["requests", "httpx", "aiohttp"])
def test_the_tracestate_goes_with_the_trace(name: str, web: Web) -> None:
    state = "vendor=1,rojo=00f067aa0ba902b7"

    def view(request: HttpRequest) -> HttpResponse:
        call(name, web.url("localhost"))
        call(name, web.url("localhost"), {"traceparent": "theirs"})
        call(name, web.url("127.0.0.1"))
        return HttpResponse()

    headers = {"traceparent": TRACEPARENT, "tracestate": state}
    Site("sync").get(view, headers=headers, OBS_MIDDLEWARE={"OUTGOING": ["localhost"]})
    assert web.headers("tracestate") == [state, None, None]

    web.got.clear()
    for bad in ("x" * 513, "a=1\r\nX-Admin: 1", "ä=1"):
        Site("sync").get(
            lambda request: HttpResponse(call(name, web.url("localhost"))),
            headers={**headers, "tracestate": bad},
            OBS_MIDDLEWARE={"OUTGOING": ["localhost"]},
        )
    assert web.headers("tracestate") == [None] * 3


def test_the_tracestate_of_the_active_span_is_sent(web: Web, event: Event) -> None:
    state = trace.TraceState([("vendor", "1")])
    parent = trace.SpanContext(1, 2, is_remote=True, trace_state=state)
    with trace.use_span(trace.NonRecordingSpan(parent)):
        call("requests", web.url("localhost"))

    assert web.headers("tracestate") == ["vendor=1"]
    assert web.headers("traceparent") == [f"00-{1:032x}-{2:016x}-00"]


def test_an_id_that_could_break_a_header_is_not_sent(web: Web, event: Event) -> None:
    event.request_id = "mine\r\nX-Admin: 1"

    for name in CLIENTS:
        assert call(name, web.url("localhost")) == 200

    assert web.headers("x-request-id") == [None] * len(CLIENTS)


def test_a_request_of_httpx_may_be_sent_again_by_another_request_of_the_site(web: Web, event: Event) -> None:
    """An id that stayed on it would be taken for the caller's own."""
    with httpx.Client() as client:
        request = client.build_request("GET", web.url("localhost"))
        client.send(request)
        begin().request_id = "another"
        client.send(request)

    assert web.headers("x-request-id") == ["mine", "another"]


HOSTS: Final = ["api.internal", ".Example.com", "10.0.0.7", "[2001:DB8::1]"]


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("api.internal", True),
        ("API.Internal.", True),
        ("v2.api.internal", False),
        ("example.com", True),
        ("www.example.com", True),
        ("a.b.EXAMPLE.COM", True),
        ("badexample.com", False),
        ("example.com.evil.org", False),
        ("10.0.0.7", True),
        ("10.0.0.70", False),
        ("2001:db8::1", True),
        ("[2001:db8::1]", True),
        ("", False),
    ],
)
def test_a_host_is_compared_by_its_name_alone(host: str, listed: bool) -> None:
    assert (host in Hosts(HOSTS)) is listed
    assert host not in Hosts([])


# What is counted


@every_client
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_call_is_counted_once_whatever_its_host(name: str, host: str, web: Web, event: Event) -> None:
    call(name, web.url(host))

    assert counted(event) == 1
    assert event.calls is not None
    assert 0 < event.calls.seconds < 20


@every_client
def test_a_call_over_tls_is_counted_once(name: str, event: Event, tmp_path: Path) -> None:
    with serving(create_certificate(tmp_path)) as web:
        call(name, web.url("localhost"))

        assert web.headers("x-request-id") == ["mine"]
    assert counted(event) == 1


@pytest.mark.parametrize("name", REDIRECTED)
def test_each_hop_of_a_redirect_is_counted(name: str, web: Web, event: Event) -> None:
    call(name, web.url("localhost", "/to?url=/"))

    assert counted(event) == 2


@every_client
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_call_that_finds_no_server_is_counted(name: str, scheme: str, event: Event) -> None:
    with pytest.raises(Exception, match=r"(?i)connect|refused"):
        call(name, f"{scheme}://127.0.0.1:{free_port()}/")

    assert counted(event) == 1


@every_client
def test_a_call_without_an_answer_is_counted(name: str, web: Web, event: Event) -> None:
    with pytest.raises(Exception, match=r"(?i)disconnect|closed|aborted"):
        call(name, web.url("localhost", "/drop"))

    # urllib3 says no to retries here, and httpx never tries again. aiohttp does, and tells nobody.
    assert counted(event) == 1
    assert len(web.got) == (2 if name == "aiohttp" else 1)


@pytest.mark.parametrize(
    ("path", "error", "hops"),
    [
        ("/to?url=/to", aiohttp.TooManyRedirects, 2),
        ("/to?url=http%3A//%5B", aiohttp.InvalidUrlRedirectClientError, 1),
        ("/none", aiohttp.ClientResponseError, 1),
    ],
)
def test_a_call_of_aiohttp_that_is_given_up_counts_the_hops_that_were_made(
    path: str, error: type[Exception], hops: int, web: Web, event: Event
) -> None:
    async def get() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            with pytest.raises(error):
                await session.get(web.url("localhost", path), max_redirects=2)

    asyncio.run(get())

    assert (len(web.got), counted(event)) == (hops, hops)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_call_after_the_line_is_not_counted_but_has_the_id(name: str, web: Web, event: Event) -> None:
    event.done = True

    call(name, web.url("localhost"))

    assert counted(event) == 0
    assert web.headers("x-request-id") == ["mine"]


def test_the_line_has_the_figures(site: Site, web: Web, lines: CapturedRequests) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        call("requests", web.url("localhost"))
        with ThreadPoolExecutor() as pool:
            pool.submit(carry(call), "urllib", web.url("127.0.0.1")).result()
        return HttpResponse()

    site.get(view, headers={"traceparent": f"00-{TRACE}-{SPAN}-00"}, OBS_MIDDLEWARE={"OUTGOING": ["localhost"]})

    (line,) = lines
    assert line["http_calls"] == 2
    assert 0 < line["http_seconds"] < line["duration_seconds"]
    assert web.headers("x-request-id") == [line["request_id"], None]
    assert web.headers("traceparent") == [f"00-{TRACE}-{line['span_id']}-00", None]


def test_async_views_are_counted_too(web: Web, lines: CapturedRequests) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        async with httpx.AsyncClient(trust_env=False) as client, aiohttp.ClientSession() as session:
            await asyncio.gather(client.get(web.url("localhost")), session.get(web.url("localhost")))
        return HttpResponse()

    Site("async").get(view, OBS_MIDDLEWARE={"OUTGOING": ["localhost"]})

    assert lines[0]["http_calls"] == 2
    assert web.headers("x-request-id") == [lines[0]["request_id"]] * 2


@pytest.mark.parametrize(("outgoing", "figures"), [([], (0, 0)), (None, (None, None))])
def test_an_empty_list_counts_and_none_does_nothing(
    outgoing: Any, figures: Any, site: Site, lines: CapturedRequests
) -> None:
    site.get(lambda request: HttpResponse(), OBS_MIDDLEWARE={"OUTGOING": outgoing})

    assert (lines[0].get("http_calls"), lines[0].get("http_seconds")) == figures


def test_calls_of_many_requests_on_one_connection_are_each_on_their_own_line(web: Web, event: Event) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(web.url("localhost"))
        second = begin()
        second.request_id = "second"
        session.get(web.url("localhost"))

    assert (counted(event), counted(second)) == (1, 1)
    assert web.headers("x-request-id") == ["mine", "second"]


# No harm


def test_a_failure_of_ours_does_not_reach_the_call(
    web: Web, event: Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(HEADERS, "to", fail)

    for name in CLIENTS:
        assert call(name, web.url("localhost")) == 200

    assert [record.name for record in caplog.records if record.levelname == "WARNING"] == ["obs_middleware"]
    assert counted(event) == len(CLIENTS)


def test_the_originals_come_back() -> None:
    def patched() -> list[Callable[..., Any]]:
        return [
            http.client.HTTPConnection.endheaders,
            http.client.HTTPConnection.getresponse,
            urllib3.connection.HTTPSConnection.connect,
            httpx.HTTPTransport.handle_request,
            httpx.AsyncHTTPTransport.handle_async_request,
            aiohttp.ClientSession.__init__,
            aiohttp.ClientRequest.send,
        ]

    before = patched()
    for _ in range(2):
        with override_settings(OBS_MIDDLEWARE={"OUTGOING": []}):
            assert not set(patched()) & set(before)
        assert patched() == before


def test_a_client_that_is_imported_later_is_followed_and_none_is_imported_for_it(web: Web) -> None:
    code = f"""
import sys
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["obs_middleware"], OBS_MIDDLEWARE={{"OUTGOING": ["localhost"]}})
django.setup()
assert not {{"httpx", "urllib3", "requests", "aiohttp"}} & set(sys.modules)

from importlib.util import find_spec
from obs_middleware.measure.event import Event, current_event
current_event.set(Event(0.0, "mine", "GET", "/"))
find_spec("httpx"), find_spec("no_such_module")  # a look is not an import
import httpx
httpx.get({web.url("localhost")!r}, trust_env=False)
import requests
requests.get({web.url("localhost")!r})
import asyncio, inspect, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        await session.get({web.url("localhost")!r})
asyncio.run(main())
from urllib3.connection import HTTPSConnection
print(current_event.get().calls.count, HTTPSConnection.connect.__module__, len(inspect.getsource(httpx)) > 0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr == ""
    assert done.stdout.split()[0::2] == ["3", "True"]
    assert web.headers("x-request-id") == ["mine"] * 3
