"""A web server on loopback that notes what it gets, and the HTTP clients of Python that call it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx
import requests
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session


class Web:
    """
    A server: `/to?url=...` redirects, `/none` is a 404, `/drop` closes the connection, all else is a 200.

    Attributes:
        got: The requests that came, each as its target and its headers with lower-case names.
        port: The port, on the addresses of ``localhost``.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                got.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                target = urlsplit(self.path)
                if target.path == "/drop":
                    self.close_connection = True
                    return
                self.send_response({"/to": 302, "/none": 404}.get(target.path, 200))
                if target.path == "/to":
                    self.send_header("Location", parse_qs(target.query).get("url", ["/to"])[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, host: str, path: str = "/") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def headers(self, name: str) -> list[str | None]:
        """Return the header *name* of all requests that came."""
        return [headers.get(name) for _, headers in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[Web]:
    """Yield a server, with TLS if it has a *certificate*."""
    web = Web(certificate)
    try:
        yield web
    finally:
        web.close()


Call = Callable[..., int]


def _untrusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def by_http_client(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, context=_untrusting())
    else:
        connection = http.client.HTTPConnection(parts.netloc)  # type: ignore[assignment]
    with contextlib.closing(connection):
        connection.request("GET", url[url.index(parts.netloc) + len(parts.netloc) :], headers=headers)
        return connection.getresponse().status


def by_urllib(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy} if proxy else {}),
        urllib.request.HTTPSHandler(context=_untrusting()),
    )
    with opener.open(urllib.request.Request(url, headers=headers)) as response:
        status: int = response.status
        return status


def by_urllib3(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    make = urllib3.PoolManager if proxy is None else lambda **options: urllib3.ProxyManager(proxy, **options)
    with make(cert_reqs="CERT_NONE", assert_hostname=False, retries=urllib3.Retry(connect=0, read=0)) as pool:
        return pool.request("GET", url, headers=headers).status


def by_requests(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    with requests.Session() as session:
        session.trust_env = False
        proxies = {"http": proxy} if proxy else {}
        return session.get(url, headers=headers, verify=False, proxies=proxies).status_code


def by_botocore(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    session = URLLib3Session(verify=False, proxies={"http": proxy} if proxy else {})
    request = AWSRequest(method="GET", url=url, headers=headers).prepare()
    try:
        status: int = session.send(request).status_code
        return status
    finally:
        session.close()


def by_httpx(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    with httpx.Client(follow_redirects=True, verify=False, trust_env=False, proxy=proxy) as client:
        return client.get(url, headers=headers).status_code


def by_async_httpx(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    async def get() -> int:
        async with httpx.AsyncClient(follow_redirects=True, verify=False, trust_env=False, proxy=proxy) as client:
            return (await client.get(url, headers=headers)).status_code

    return asyncio.run(get())


def by_aiohttp(url: str, headers: dict[str, str], proxy: str | None = None) -> int:
    async def get() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, ssl=False, proxy=proxy) as response,
        ):
            return response.status

    return asyncio.run(get())


CLIENTS: Final[dict[str, Call]] = {
    "http.client": by_http_client,
    "urllib": by_urllib,
    "urllib3": by_urllib3,
    "requests": by_requests,
    "botocore": by_botocore,
    "httpx": by_httpx,
    "httpx, async": by_async_httpx,
    "aiohttp": by_aiohttp,
}
REDIRECTED: Final = [name for name in CLIENTS if name not in {"http.client", "botocore"}]
"""The clients that follow a redirect themselves."""
PROXIED: Final = [name for name in CLIENTS if name != "http.client"]
