"""The connection to a search engine: credentials, TLS and failures."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import create_certificate
from console import Run
from loglines import FORMATS, events
from shipping.parts import Engine

Answer = Callable[[BaseHTTPRequestHandler, bytes], tuple[int, bytes]]
INDEX = "logs-shop-prod"
VARIABLES = ("OBS_MIDDLEWARE_USER", "OBS_MIDDLEWARE_PASSWORD", "OBS_MIDDLEWARE_API_KEY")


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def serving(answer: Answer, certificate: Path | None = None) -> Iterator[str]:
    """Serve on the loopback what *answer* makes of a request and its body; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = answer(self, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 -- the names of http.server

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever does not trust the certificate hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def errors(status: int, reason: str) -> tuple[int, bytes]:
    """Return an error in the format of a search engine."""
    cause = {"type": "some_exception", "reason": reason}
    return status, json.dumps({"error": {**cause, "root_cause": [cause]}, "status": status}).encode()


@pytest.fixture(name="certificate", scope="module")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(name="lines", scope="module")
def _lines(engine: Engine) -> Engine:
    """The search engine with a hundred requests in `INDEX`."""
    engine.fill(INDEX, [FORMATS["ecs"](event) for event in events(100)])
    return engine


ALLOWED = {
    "Basic " + base64.b64encode("ann:p@ss:wörd".encode()).decode(): "ann",
    "ApiKey " + base64.b64encode(b"id:secret").decode(): "the key",
}
NOT_ALLOWED = "Basic " + base64.b64encode(b"bob:builder").decode()


@pytest.fixture(name="guarded")
def _guarded(lines: Engine, certificate: Path) -> Iterator[str]:
    """The URL of a proxy in front of the search engine, at a path, with TLS, for one user and one key."""

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        said = request.headers.get("Authorization")
        if said == NOT_ALLOWED:
            return errors(403, "no permissions for [indices:data/read/search]")
        if said not in ALLOWED:
            return errors(401, "missing authentication credentials")
        assert request.path.startswith("/es/")
        connection = HTTPConnection("127.0.0.1", lines.port, timeout=30)
        try:
            connection.request(
                request.command, request.path.removeprefix("/es"), body, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    with serving(answer, certificate) as url:
        yield f"{url}/es"


# Who asks


def test_a_user_in_the_url(run: Run, guarded: str, certificate: Path) -> None:
    url = guarded.replace("https://", "https://ann:p%40ss%3Aw%C3%B6rd@")

    code, out, err = run("stats", "--opensearch", url, "--index", INDEX, "--ca-certs", certificate)

    assert (code, err) == (0, "")
    assert f"100 request lines of {guarded}/{INDEX}" in out
    assert "p%40ss" not in out


def test_a_user_with_a_password_from_the_environment(
    run: Run, guarded: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ["--opensearch", guarded, "--index", INDEX, "--ca-certs", certificate]
    monkeypatch.setenv("OBS_MIDDLEWARE_PASSWORD", "p@ss:wörd")

    assert run("stats", *there, "--user", "ann")[0] == 0
    monkeypatch.setenv("OBS_MIDDLEWARE_USER", "ann")
    assert run("stats", *there)[0] == 0
    monkeypatch.setenv("OBS_MIDDLEWARE_PASSWORD", "wrong")
    message = f"obs-middleware: {guarded}: 401 Unauthorized: the user 'ann' is unknown, or the password is wrong\n"
    assert run("stats", *there) == (2, "", message)


@pytest.mark.parametrize("key", ["id:secret", base64.b64encode(b"id:secret").decode()])
def test_an_api_key_from_the_environment_or_a_file(
    key: str, run: Run, guarded: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = ["--opensearch", guarded, "--index", INDEX, "--ca-certs", certificate]
    (tmp_path / "key").write_text(f"{key}\n")

    assert run("stats", *there, "--api-key", tmp_path / "key")[0] == 0
    monkeypatch.setenv("OBS_MIDDLEWARE_API_KEY", key)
    assert run("stats", *there)[0] == 0
    monkeypatch.setenv("OBS_MIDDLEWARE_API_KEY", "other")
    assert "401 Unauthorized: the API key is unknown" in run("stats", *there)[2]


def test_nobody_is_a_message(run: Run, guarded: str, certificate: Path) -> None:
    code, out, err = run("stats", "--opensearch", guarded, "--index", INDEX, "--ca-certs", certificate)

    assert (code, out) == (2, "")
    assert err == f"obs-middleware: {guarded}: 401 Unauthorized: pass --user or --api-key\n"


def test_who_may_not_read_is_a_message(run: Run, guarded: str, certificate: Path) -> None:
    url = guarded.replace("https://", "https://bob:builder@")
    code, out, err = run("stats", "--opensearch", url, "--index", INDEX, "--ca-certs", certificate)

    assert (code, out) == (2, "")
    assert err == f"obs-middleware: {guarded}: 403 Forbidden: the user 'bob' may not read {INDEX}\n"


# TLS


def test_a_certificate_that_nobody_signed_is_not_trusted(run: Run, guarded: str) -> None:
    url = guarded.replace("https://", "https://ann:p%40ss%3Aw%C3%B6rd@")
    code, out, err = run("stats", "--opensearch", url, "--index", INDEX)

    assert (code, out) == (2, "")
    assert (
        err == f"obs-middleware: {guarded}: self-signed certificate: pass the issuer's certificate, --ca-certs FILE\n"
    )


def test_any_certificate_is_trusted_with_a_warning(run: Run, guarded: str) -> None:
    url = guarded.replace("https://", "https://ann:p%40ss%3Aw%C3%B6rd@")
    code, out, err = run("stats", "--opensearch", url, "--index", INDEX, "--insecure")

    assert code == 0
    assert "100 requests" in out
    assert err == f"obs-middleware: {guarded}: the certificate is not checked (--insecure)\n"


# What goes wrong


def there(url: str) -> list[str]:
    return ["--opensearch", url, "--index", INDEX]


def test_nobody_there_is_a_message(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    assert run("stats", *there(url)) == (2, "", f"obs-middleware: {url}: cannot be reached: Connection refused\n")


def test_an_answer_that_breaks_off_is_a_message(run: Run) -> None:
    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        code, _, err = run("stats", *there(url))
        thread.join()

    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"obs-middleware: {url}: cannot be reached: Remote end closed connection")


def test_another_server_is_a_message(run: Run) -> None:
    with serving(lambda *_: (200, b'{"hello": "world"}')) as url:
        message = f"obs-middleware: {url}: the answer is not from Elasticsearch or OpenSearch: check the URL\n"

        assert run("stats", *there(url)) == (2, "", message)


def test_no_answer_in_time_is_a_message(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        message = f"obs-middleware: {url}: no complete answer within 0.2 s: allow more time, for example --timeout 5m\n"

        assert run("stats", *there(url), "--timeout", "200ms") == (2, "", message)


def test_the_timeout_is_for_an_answer_that_comes_in_drops(run: Run) -> None:
    """No part of the answer takes long."""
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n")
            while not done.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        try:
            code, _, err = run("stats", *there(url), "--timeout", "300ms")
        finally:
            done.set()
            thread.join()

    assert (code, err.count("\n")) == (2, 1)
    assert "no complete answer within 0.3 s" in err


def test_the_timeout_is_for_all_answers_together(run: Run) -> None:
    """Each of the pages of documents comes at once, but there is no end of them."""
    asked = 0

    def endless(request: BaseHTTPRequestHandler, _: bytes) -> tuple[int, bytes]:
        nonlocal asked
        asked += 1
        if "_field_caps" in request.path:
            return 200, json.dumps(CAPABILITIES).encode()
        hit = {"_source": {"message": "x"}, "sort": [asked]}
        return 200, json.dumps({"_shards": {"failed": 0}, "hits": {"hits": [hit]}}).encode()

    with serving(endless) as url:
        code, _, err = run("grep", "status = 200", *there(url), "--timeout", "500ms")

    assert (code, err.count("\n")) == (2, 1)
    assert "no complete answer within 0.5 s" in err
    assert asked > 2


def test_a_host_without_a_name_is_a_message(run: Run) -> None:
    code, _, err = run("stats", *there("http://no.such.host.invalid:9200"))

    assert code == 2
    assert err.startswith("obs-middleware: http://no.such.host.invalid:9200: cannot be reached: ")
    assert err.count("\n") == 1


CAPABILITIES: Mapping[str, Any] = {
    "indices": [INDEX],
    "fields": {
        name: {kind: {"type": kind, "searchable": True, "aggregatable": True}}
        for name, kind in (("event.duration", "long"), ("@timestamp", "date"))
    },
}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, b"<html>It works!</html>"), "the answer is not from Elasticsearch or OpenSearch: check the URL"),
        ((200, b'{"hello": "world"}'), "the answer is not from Elasticsearch or OpenSearch: check the URL"),
        (errors(429, "[parent] Data too large"), "429, [parent] Data too large"),
        (errors(400, "two\nlines"), "400, two lines"),
        ((503, b"Service Unavailable"), "503, Service Unavailable"),
        (
            (200, json.dumps({"_shards": {"failed": 1}, "hits": {}, "aggregations": {}}).encode()),
            f"/{INDEX}: partial answer: some shards failed or took too long",
        ),
    ],
)
def test_an_answer_that_is_none_is_a_message(answer: tuple[int, bytes], message: str, run: Run) -> None:
    def search(request: BaseHTTPRequestHandler, _: bytes) -> tuple[int, bytes]:
        if "_field_caps" in request.path:
            return 200, json.dumps(CAPABILITIES).encode()
        return answer

    with serving(search) as url:
        code, out, err = run("stats", *there(url))

    assert (code, out) == (2, "")
    assert err == f"obs-middleware: {url}{message if message.startswith('/') else f': {message}'}\n"


ODD: Sequence[Any] = (
    None,
    5,
    "text",
    [],
    [1],
    {"_shards": None, "hits": None},
    {"_shards": {}, "hits": {}},
    {"_shards": {"failed": 0}, "hits": {"total": 3, "hits": [None]}, "aggregations": {}},
    {"_shards": {"failed": 0}, "hits": {"total": {"value": "many"}, "hits": [1]}, "aggregations": []},
    {
        "_shards": {"failed": 0},
        "hits": {"total": {"value": 3}, "hits": [{"_source": 1}]},
        "aggregations": {"first": {"value": "x"}, "last": {"value": None}, "rates": {"buckets": None}},
    },
    {
        "_shards": {"failed": 0},
        "hits": {"total": {"value": 3}, "hits": [{}]},
        "aggregations": {"first": {"value": 1e300}, "last": {"value": 1}, "rates": {"buckets": []}},
    },
    {
        "_shards": {"failed": 0},
        "hits": {"total": {"value": 3}, "hits": [{}]},
        "aggregations": {"first": {"value": 1}, "last": {"value": 2}, "rates": {"buckets": []}},
    },
)


@pytest.mark.parametrize("answer", ODD, ids=str)
@pytest.mark.parametrize(
    "command",
    [
        ["stats"],
        ["slow"],
        ["time"],
        ["report"],
        ["check", "--p95", "1s"],
        ["grep", "status = 200"],
        ["request", "abcd"],
    ],
    ids=lambda command: command[0],
)
def test_an_answer_of_an_unknown_form_is_one_message(command: list[str], answer: Any, run: Run) -> None:
    def search(request: BaseHTTPRequestHandler, _: bytes) -> tuple[int, bytes]:
        return 200, json.dumps(CAPABILITIES if "_field_caps" in request.path else answer).encode()

    with serving(search) as url:
        code, _, err = run(*command, *there(url))

    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"obs-middleware: {url}")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"indices": 5, "fields": 5},
        {"indices": [INDEX], "fields": []},
        {"indices": [INDEX], "fields": {"event.duration": "long", "@timestamp": None}},
    ],
    ids=str,
)
def test_fields_of_an_unknown_form_are_one_message(answer: Any, run: Run) -> None:
    with serving(lambda *_: (200, json.dumps(answer).encode())) as url:
        code, out, err = run("stats", *there(url))

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"obs-middleware: {url}")


def test_types_that_differ_from_index_to_index_are_a_message(run: Run) -> None:
    kinds = {kind: {"type": kind, "searchable": True, "aggregatable": True} for kind in ("keyword", "long")}
    fields = {**CAPABILITIES["fields"], "http.route": kinds}

    with serving(lambda *_: (200, json.dumps({**CAPABILITIES, "fields": fields}).encode())) as url:
        code, _, err = run("stats", *there(url))

    assert code == 2
    assert "http.route has several types, keyword and long" in err


def test_without_the_extra_one_line_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("client", "requests", "session"):
        monkeypatch.delitem(sys.modules, f"obs_middleware.read.index.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "opensearchpy", None)

    message = 'obs-middleware stats needs opensearchpy: pip install "obs-middleware[opensearch]"\n'
    assert run("stats", *there("http://127.0.0.1:9200")) == (2, "", message)
