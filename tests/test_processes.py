"""`obs_middleware.processes`: a forked process has its own ids, counts, locks and queues."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ports import HOST
from servers.harness import Call, running, send_all

from obs_middleware import processes
from obs_middleware.testing import parse_line


@pytest.fixture(name="called")
def _called(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids in which a hook was called."""
    called: list[int] = []
    monkeypatch.setattr(processes, "_hooks", [lambda: called.append(os.getpid())])
    return called


def test_a_fork_calls_the_hooks_in_the_child_alone(called: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(called != [os.getpid()])

    assert os.waitpid(pid, 0)[1] == 0
    assert called == []


def test_a_fork_that_python_does_not_notice_is_found_by_the_process_id(
    called: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function of somebody else goes on to be called, and the hooks once."""
    foreign: list[str] = []
    uwsgi: Any = SimpleNamespace(post_fork_hook=lambda: foreign.append("called"))
    processes._notice_forks_of_uwsgi(uwsgi)
    monkeypatch.setattr(processes, "_pid", 1)  # that of the parent
    uwsgi.post_fork_hook()
    uwsgi.post_fork_hook()

    assert called == [os.getpid()]
    assert foreign == ["called", "called"]


def test_a_server_without_such_a_function_gets_one(called: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    uwsgi: Any = SimpleNamespace()
    processes._notice_forks_of_uwsgi(uwsgi)
    uwsgi.post_fork_hook()
    assert called == []
    monkeypatch.setattr(processes, "_pid", 1)
    uwsgi.post_fork_hook()

    assert called == [os.getpid()]


UWSGI_SITE = """
import logging
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from obs_middleware import logging_config, stats

urlpatterns = [path("", lambda request: JsonResponse(stats()))]
settings.configure(
    SECRET_KEY="of a test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["obs_middleware"],
    MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware"],
    LOGGING=logging_config(nonblocking=True),
)
application = get_wsgi_application()
logging.info("loaded")  # so that the thread of the handler runs in the parent
"""

UWSGI_RUNNER = """
import os, sys
os.execv({program!r}, ["uwsgi", *sys.argv[1:]])
"""


@pytest.mark.skipif(shutil.which("uwsgi") is None, reason="uWSGI is not installed")
@pytest.mark.parametrize("option", ["", "--py-call-osafterfork"])
def test_the_workers_of_uwsgi_write_their_lines_under_their_own_ids(tmp_path: Path, option: str) -> None:
    (tmp_path / "uwsgi_site.py").write_text(UWSGI_SITE)
    (tmp_path / "uwsgi_runner.py").write_text(UWSGI_RUNNER.format(program=shutil.which("uwsgi")))
    command = [
        "uwsgi_runner",
        *("--http-socket", f"{HOST}:{{port}}", "--master", "--processes", "2", "--enable-threads", "--die-on-term"),
        *("--need-app", "--module", "uwsgi_site", "--pythonpath", str(tmp_path), *([option] if option else [])),
        *(argument for path in sys.path if path for argument in ("--pythonpath", path)),
    ]
    with running(command, output=tmp_path, cwd=tmp_path) as server:
        answers = send_all(server, [Call("GET", "/")] * 40, clients=4)
        server.stop()
    # uWSGI sends stdout to stderr.
    lines = [parse_line(line) for line in server.errors().splitlines() if line.startswith("{")]

    assert {answer.status for answer in answers} == {200}
    requests = [line for line in lines if line["message"].startswith("Request took")]
    assert len(requests) == 40
    assert len({line["event_id"] for line in lines}) == len({line["request_id"] for line in requests}) + 1 == 41
