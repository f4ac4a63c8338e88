"""The development servers, as programs: a request shows once, also if it never reaches the middleware."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from desk import WITH_US, environment, make_project
from ports import HOST
from servers.harness import Server, running


class Development(NamedTuple):
    """
    A development server.

    Attributes:
        command: The arguments of ``python -m``.
        settings: What is added to the settings of the project.
        logger: The logger of its access lines.
        files: Further files of the project.
    """

    command: Sequence[str]
    settings: str
    logger: str
    files: Mapping[str, str] = {}


RUNSERVER: Final = ("django", "runserver", "--noreload", "{port}")

CHANNELS: Final = """
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

application = ProtocolTypeRouter({"http": get_asgi_application()})
"""

SERVERS: Final = {
    "runserver": Development(RUNSERVER, "", "django.server"),
    "runserver of daphne and Channels": Development(
        RUNSERVER,
        'INSTALLED_APPS[:0] = ["daphne", "channels"]\n',
        "django.channels.server",
        {"desk/asgi.py": CHANNELS},
    ),
    "runserver_plus": Development(
        # Its --noreload raises a KeyError with Werkzeug 3.1.
        ("django", "runserver_plus", "--reloader-type", "stat", "{port}"),
        'INSTALLED_APPS += ["django_extensions"]\n',
        "werkzeug",
    ),
}

STATUS: Final = {
    "/": 200,
    "/static/desk.css": 200,
    "/nowhere/": 404,
    "/static/missing.css": 404,
    "/stream/": 200,
    "/excluded/": 404,
    "/static/desk.css?again": 200,
    "/fail/": 500,
}
"""The requests in their order. A static file follows a page on the same connection, and so in the same thread."""


@contextmanager
def _serving(name: str, folder: Path) -> Iterator[Server]:
    """Serve the project after all requests have been answered."""
    development = SERVERS[name]
    output = folder / "output"
    output.mkdir()
    settings = 'OBS_MIDDLEWARE = {"EXCLUDE": ["/excluded/"]}\n' + development.settings
    project = make_project(folder / "project", WITH_US, settings, files=development.files)
    with running(development.command, output=output, cwd=project, env=environment()) as server:
        with closing(HTTPConnection(HOST, server.port, timeout=30)) as connection:
            for path, status in STATUS.items():
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                assert response.status == status
                if response.getheader("Connection") == "close":
                    connection.close()
        yield server


@pytest.mark.parametrize("name", SERVERS)
def test_every_request_shows_once(name: str, tmp_path: Path) -> None:
    with _serving(name, tmp_path) as server:
        if name == "runserver":
            with server.connect() as connection:
                connection.sendall(b"\x16\x03\x01\x02\x00\x01\n")  # the start of TLS
                while connection.recv(1024):
                    pass
            server.wait_for_line(message="You're accessing the development server over HTTPS")
        server.wait_for_line(path="/fail/", message="Request took")
        server.stop()
        lines = server.lines_so_far()

    of_requests = {line["path"]: line["status"] for line in lines if line["message"].startswith("Request took")}
    assert of_requests == {"/": 200, "/nowhere/": 404, "/stream/": 200, "/fail/": 500}

    access = [line for line in lines if line["logger"] == SERVERS[name].logger]
    found = [match[1] for line in access if (match := re.search(r" (/\S*)", line["message"]))]
    assert found == ["/static/desk.css", "/static/missing.css", "/static/desk.css?again"]
    assert [line["message"] for line in access if {"request", "server_time"} & line.keys()] == []
    assert sum("over HTTPS" in line["message"] for line in lines) == (name == "runserver")
    assert [line for line in server.errors().splitlines() if "/static/" in line or "GET" in line] == []
