"""`obs_middleware.logs.access`: only the access line of a request that has a line is dropped."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from conftest import respond
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from loglines import written

from obs_middleware import logging_config
from obs_middleware.testing import parse_line

channels = logging.getLogger("django.channels.server")


def request(status: int = 200) -> Any:
    """Answer a request as a server does that has not yet finished it."""
    return respond(lambda _: HttpResponse(status=status), RequestFactory().get("/shop/"))


def say(status: int) -> None:
    """Write the access line of runserver."""
    level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
    extra = {"status_code": status, "server_time": "now"}
    logging.getLogger("django.server").log(level, '"%s" %s %s', "GET /x HTTP/1.1", str(status), "3", extra=extra)


def said(stream: io.StringIO) -> list[str]:
    """Return the messages that are not request lines."""
    messages = [parse_line(line)["message"] for line in written(stream)]
    return [message for message in messages if not message.startswith("Request took")]


def access(*statuses: int) -> list[str]:
    return [f'"GET /x HTTP/1.1" {status} 3' for status in statuses]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_access_line_without_a_request_goes_out(configured: Any) -> None:
    stream = configured()
    say(200)
    say(404)

    assert said(stream) == access(200, 404)


@pytest.mark.parametrize("status", [200, 304, 404, 500])
def test_the_access_line_of_a_request_with_a_line_is_dropped(configured: Any, status: int) -> None:
    stream = configured()
    request(status)
    say(status)

    assert said(stream) == []


def test_an_access_line_with_another_status_goes_out(configured: Any) -> None:
    """A middleware above ours may answer otherwise."""
    stream = configured()
    request(200)
    say(503)

    assert said(stream) == access(503)


def test_an_access_line_goes_out_if_no_handler_took_the_request_line(configured: Any) -> None:
    stream = configured(level="WARNING")
    request(404)
    say(404)
    request(200)
    say(200)

    assert said(stream) == access(404)


def test_a_line_that_the_settings_leave_out_takes_the_access_line_along(configured: Any) -> None:
    stream = configured()
    with override_settings(OBS_MIDDLEWARE={"EXCLUDE": ["/shop/"]}):
        for status in (200, 404):
            request(status)
            say(status)

    assert stream.getvalue() == ""


def test_the_access_line_of_a_stream_is_dropped_before_its_line_is_out(configured: Any) -> None:
    stream = configured()
    response = respond(lambda _: StreamingHttpResponse(iter([b"a"])), RequestFactory().get("/shop/"))
    say(200)
    assert stream.getvalue() == ""

    assert response.getvalue() == b"a"
    assert (said(stream), len(written(stream))) == ([], 1)


def test_a_debugger_that_gets_the_exception_answers_for_the_same_request(configured: Any) -> None:
    stream = configured()

    def fail(_: Any) -> None:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        respond(fail, RequestFactory().get("/shop/"))
    say(500)
    say(500)

    assert said(stream) == access(500)


def test_colours_are_removed_and_connections_of_websockets_show(configured: Any) -> None:
    stream = configured()
    text = "\x1b[32;1mHTTP %(method)s %(path)s %(status)s\x1b[0m"
    request(200)
    channels.info(text, {"method": "GET", "path": "/shop/", "status": 200})
    channels.info(text, {"method": "GET", "path": "/static/a.css", "status": 304})
    channels.info("WebSocket CONNECT %(path)s [%(client)s]", {"path": "/ws/", "client": None})

    assert said(stream) == ["HTTP GET /static/a.css 304", "WebSocket CONNECT /ws/ [None]"]


def test_the_access_lines_of_runserver_plus_are_found_in_their_text(configured: Any) -> None:
    stream = configured()
    werkzeug = logging.getLogger("werkzeug")
    request(404)
    werkzeug.info('127.0.0.1 - - [now] "\x1b[33mGET /shop/ HTTP/1.1\x1b[0m" 404 -')
    werkzeug.info('127.0.0.1 - - [now] "%s" %s %s', "\x1b[33mGET /shop/ HTTP/1.1\x1b[0m", "404", "-")
    werkzeug.info(" * Debugger is active!")

    assert said(stream) == [" * Debugger is active!"]


def test_a_failure_in_the_filter_shows_the_access_line(configured: Any) -> None:
    stream = configured()
    request(200)
    logging.getLogger("werkzeug").info('"GET / HTTP/1.1" 200 %s', Unprintable())

    assert parse_line(written(stream)[-1])["logger"] == "werkzeug"
    assert "FoldAccessLines" in stream.getvalue()


def test_a_server_can_keep_its_access_lines(configured: Any) -> None:
    assert "django.server" not in logging_config(quiet_servers=False)["loggers"]

    server = logging.getLogger("django.server")
    server.propagate = False  # as in Django's own LOGGING
    server.filters.clear()
    stream = configured(loggers={"django.server": "INFO"})
    request(200)
    say(200)

    assert said(stream) == access(200)
