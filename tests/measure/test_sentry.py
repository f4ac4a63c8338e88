"""
`obs_middleware.measure.sentry`: Sentry gets the events that it gets without the package, and no other.

The real SDK patches Django and the logging module for good, so each set-up of the SDK has a process: this file, run
with the set-up's name. It serves all requests, first without the package and then with it, and prints the events.
"""

from __future__ import annotations

import functools
import gc
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import django
import pytest
import sentry_sdk
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from endings.drivers import OURS, Visit, site, visit_asgi, visit_wsgi
from paths import TESTS
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.transport import Transport

from obs_middleware import logging_config
from obs_middleware.measure.sentry import follow_sentry

SDKS: dict[str, dict[str, Any]] = {
    "as installed": {},
    "by the log alone": {"disabled_integrations": [DjangoIntegration]},
}
"""Options of ``sentry_sdk.init``."""

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "by status": {"LEVEL": "status"},
    "info": {"LEVEL": "info"},
    "own logger": {"LOGGER": "shop.requests"},
    "own logger, by status": {"LOGGER": "shop.requests", "LEVEL": "status"},
    "nothing is written": {"SAMPLE_RATE": 0.0},
}
"""Values of ``OBS_MIDDLEWARE``."""

SERVERS = ["wsgi", "asgi", "asgi observed"]


def raising(error: type[Exception]) -> Callable[[], Any]:
    def make() -> Any:
        raise error("the bank is closed")

    return make


def logging_an_error() -> HttpResponse:
    logging.getLogger("shop").error("card refused")
    return HttpResponse()


def chunks() -> Iterator[bytes]:
    yield b"a"
    raise ValueError("the bank is closed")


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"a"
    raise ValueError("the bank is closed")


VIEWS: dict[str, Callable[[], Any]] = {
    "200": lambda: HttpResponse(),
    "404": raising(Http404),
    "500 raised": raising(ValueError),
    "500 answered": lambda: HttpResponse(status=500),
    "suspicious": raising(SuspiciousOperation),
    "a stream breaks": lambda: StreamingHttpResponse(chunks()),
    "the view logs an error": logging_an_error,
}

Events = list[dict[str, Any]]


@functools.cache
def events(sdk: str) -> dict[str, Events]:
    """Return the events of each request, by `key`."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    command = [sys.executable, __file__, sdk]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Events] = json.loads(result.stdout)
    return found


def key(name: str, server: str, view: str) -> str:
    return f"{name} | {server} | {view}"


WITHOUT = "without the package"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("sdk", SDKS)
def test_the_events_are_those_of_the_site_without_the_package(sdk: str, name: str, server: str, view: str) -> None:
    without, ours = (
        [{**event, "breadcrumbs": None} for event in events(sdk)[key(one, server, view)]] for one in (WITHOUT, name)
    )

    assert ours == without


def test_each_failure_is_an_event_with_its_exception() -> None:
    """Otherwise the comparison would hold for a site that reports nothing."""
    for name in SETTINGS:
        for server in SERVERS:
            for view in ("500 raised", "a stream breaks"):
                (event,) = events("as installed")[key(name, server, view)]
                assert event["exception"] == ["ValueError", "the bank is closed"]


def test_the_line_is_a_breadcrumb_of_a_later_event() -> None:
    (event,) = events("as installed")[key("default", "wsgi", "a stream breaks")]

    assert [crumb[:12] for crumb in event["breadcrumbs"]] == ["Request took"]


def test_an_sdk_that_works_otherwise_does_not_stop_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk.scope", SimpleNamespace())

    follow_sentry()


# The process that the tests start


class Kept(Transport):
    """Keeps events instead of sending them."""

    events: ClassVar[list[Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.extend(item.payload.json for item in envelope.items if item.type == "event")


def main(sdk: str) -> None:
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Kept, **SDKS[sdk])
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=["obs_middleware"],
        LOGGING=logging_config(stream="stderr"),
    )
    django.setup()
    for server in SERVERS:
        served("200", server, {})  # imports what a request needs
    gc.freeze()  # each visit collects garbage, which takes as long as the heap is large
    print(
        json.dumps(
            {
                key(name, server, view): served(view, server, ours)
                for name, ours in {WITHOUT: None, **SETTINGS}.items()
                for server in SERVERS
                for view in VIEWS
            }
        )
    )


def served(name: str, server: str, ours: dict[str, Any] | None) -> Events:
    """Serve one request; without the package if *ours*, the settings of the package, is None."""

    def view(request: HttpRequest) -> Any:
        return VIEWS[name]()

    async def async_view(request: HttpRequest) -> Any:
        response = VIEWS[name]()
        if response.streaming:
            response.streaming_content = async_chunks()
        return response

    Kept.events.clear()
    with site(view if server == "wsgi" else async_view, [OURS] if ours is not None else [], OBS_MIDDLEWARE=ours or {}):
        if server == "wsgi":
            visit_wsgi(Visit())
        else:
            visit_asgi(Visit(), outside="observed" in server and ours is not None)
    sentry_sdk.flush()
    return [shown(event) for event in Kept.events]


def shown(event: dict[str, Any]) -> dict[str, Any]:
    exceptions = [[one["type"], one["value"]] for one in event.get("exception", {}).get("values", [])]
    return {
        "exception": exceptions[-1] if exceptions else None,
        "text": event.get("logentry", {}).get("message"),
        "breadcrumbs": [crumb.get("message") for crumb in event.get("breadcrumbs", {}).get("values", [])],
        **{name: event.get(name) for name in ("level", "logger", "transaction")},
    }


if __name__ == "__main__":
    main(sys.argv[1])
