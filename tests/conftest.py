"""Fixtures for all tests: requests under WSGI and under ASGI, and a clean state for each test."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from paths import ROOT
from watched import until

from obs_middleware import counters, failures
from obs_middleware.logs import quiet
from obs_middleware.measure.event import current_event
from obs_middleware.measure.garbage import PAUSES
from obs_middleware.measure.loops import WatchedLoop
from obs_middleware.measure.watching import WATCH, Watch
from obs_middleware.middleware import TimingMiddleware
from obs_middleware.testing import CapturedRequests

Get = Callable[..., Any]
View = Callable[..., Any]


hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

# A file runs in one process. If one of these came last, the other processes would have nothing left to do.
LONGEST_FILES = ("tests/servers/", "tests/no_harm/", "tests/test_platforms.py", "tests/read/commands/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that take longest first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FILES))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """
    Handle SIGINT, which a shell ignores in background jobs, and SIGHUP, which `nohup` ignores.

    Programs that a test starts would inherit both as ignored. A handler in Python is replaced by the default there.
    """
    handlers = {"SIGINT": signal.default_int_handler, "SIGHUP": lambda *_: None}
    for name, handler in handlers.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(name="dist", scope="session")
def _dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and the source archive, built once per run: one worker builds, the others wait at the lock."""
    import fcntl  # noqa: PLC0415 -- not on Windows

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    finished, unfinished = shared / "dist", shared / "dist.unfinished"
    with (shared / "dist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            subprocess.run(
                [sys.executable, "-m", "hatchling", "build", "-d", str(unfinished)],
                cwd=ROOT,
                check=True,
                capture_output=True,
                timeout=120,
            )
            unfinished.rename(finished)
    return finished


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> None:
    """
    Leave the objects that exist before the tests of a module out of later garbage collections.

    Many tests collect garbage after each request, and a collection takes as long as the heap of the whole run is large.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean_house() -> Iterator[None]:
    """Reset the context, the configuration of structlog and logging, and the reported failures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    failures._reported.clear()
    counters._reset()  # tests of sinks drop lines of requests that were never counted
    # In dev mode it warns about a slow machine.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    current_event.set(None)
    yield
    current_event.set(None)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


@pytest.fixture(autouse=True)
def _loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write request lines as in production, although tests are running."""
    monkeypatch.setattr(quiet, "_is_test_run", lambda: False)


@pytest.fixture(name="watched")
def _watched() -> Iterator[None]:
    """
    Let the watching thread find blocked event loops, but no collection of garbage of an earlier test.

    The thread may give a warning after the line, so the next test begins when it has nothing left to say.
    """
    PAUSES.longest = 0.0
    yield
    until(lambda: WATCH.asleep)


@pytest.fixture(autouse=True)
def _unblamed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let the watching thread find no blocked event loop, unless a test asks for it with the fixture `watched`.

    A slow import in any test, or a garbage collection of all that a run has made, would otherwise give it a further
    line.
    """
    if "watched" not in request.fixturenames:
        monkeypatch.setattr(WatchedLoop, "look", _find_nothing)
        monkeypatch.setattr(Watch, "_report_pause", _forget_pause)


def _find_nothing(*_: object) -> None:
    """Return that no loop was blocked."""


def _forget_pause(_: object) -> None:
    """Report no collection of garbage, also if an earlier test has let them be measured."""
    PAUSES.longest = 0.0


@pytest.fixture(name="mode", params=["sync", "async"])
def _mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="get")
def _get(mode: str) -> Get:
    """Send a GET through Django's WSGI or ASGI handler. An exception gives a response with status 500."""
    if mode == "sync":
        return Client(raise_request_exception=False).get
    client = AsyncClient(raise_request_exception=False)

    def get(*args: Any, **kwargs: Any) -> Any:
        return async_to_sync(client.get)(*args, **kwargs)

    return get


@pytest.fixture(name="lines")
def _lines(captured_requests: CapturedRequests) -> CapturedRequests:
    return captured_requests


def respond(view: View, request: Any) -> Any:
    """Call the middleware above *view* with *request*, without a handler of Django."""
    return TimingMiddleware(view)(request)


class Site:
    """A site with one view, for views that only one test needs."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def get(
        self, view: View, url: str = "/", *, route: str = "", headers: dict[str, str] | None = None, **settings: Any
    ) -> Any:
        """Send a GET of *url* to *view*."""

        class urls:  # noqa: N801 -- used as a module
            urlpatterns = [path(route, view)]  # noqa: RUF012 -- Django's form

        with override_settings(ROOT_URLCONF=urls, **settings):
            if self.mode == "sync":
                return Client(raise_request_exception=False).get(url, headers=headers)
            client = AsyncClient(raise_request_exception=False)
            return async_to_sync(client.get)(url, headers=headers)


@pytest.fixture(name="site")
def _site(mode: str) -> Site:
    return Site(mode)
