"""One site, visited with and without the middleware under test, in sync and async mode."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from asgiref.sync import AsyncToSync, SyncToAsync, async_to_sync
from django.db.backends.utils import CursorWrapper
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from endings.drivers import Visit, site, visit_asgi, visit_wsgi
from no_harm import props, subject

View = Callable[..., Any]


class _AsyncClient(AsyncClient):
    """A client that sends the header ``Host`` of the test. Django's client sends a second one."""

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._base_scope(**request)  # type: ignore[misc]  # not in the stubs
        hosts = [header for header in scope["headers"] if header[0] == b"host"]
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"host"] + hosts[-1:]
        return scope


@dataclass(frozen=True)
class Answer:
    """The parts of a response that a client sees, without the headers that the middleware under test may add."""

    status: int
    headers: dict[str, str]
    cookies: dict[str, dict[str, Any]]
    content: bytes


class World:
    """
    A site of one view, with the middleware under test in its place.

    Attributes:
        mode: ``sync`` for WSGI, ``async`` for ASGI.
        client: The test client of that mode, with its cookies.
        response: The last response, as the test client has it.
        loop_here: Run the event loop in the thread of the test.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.client: Any = self.new_client()
        self.response: Any = None
        self.loop_here = False

    def new_client(self, **options: Any) -> Any:
        kind = Client if self.mode == "sync" else _AsyncClient
        return kind(**{"raise_request_exception": False, **options})

    def view(self, function: Callable[[Any], Any]) -> View:
        """Return *function* as a view that is native in this mode."""
        if self.mode == "sync":
            return function

        @functools.wraps(function)
        async def view(request: Any) -> Any:
            return function(request)

        return view

    def chain(self, above: Sequence[str] = (), below: Sequence[str] = (), *, judged: bool) -> list[str]:
        middleware = subject.MIDDLEWARE if judged else ()
        return [*above, *middleware, *below] if subject.IS_FIRST else [*above, *below, *middleware]

    @contextmanager
    def site(
        self,
        view: View,
        *,
        judged: bool,
        above: Sequence[str] = (),
        below: Sequence[str] = (),
        route: str = "",
        **settings: Any,
    ) -> Iterator[None]:
        urls = type("urls", (), {"urlpatterns": [path(route, view)]})
        chain = self.chain(above, below, judged=judged)
        props.seen.clear()
        # A client keeps the chain that it has loaded, so reset it for each site.
        self.client.handler._middleware_chain = None
        with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=chain, **settings):
            yield

    def send(self, url: str = "/", *, method: str = "get", **request: Any) -> Answer:
        """Send one request to the site, and read the response to its end."""
        call = getattr(self.client, method)
        if self.mode == "sync":
            self.response = call(url, **request)
            content = _content(self.response)
        else:
            # asyncio.run() would have no thread for the database of the tests.
            content = (
                asyncio.run(self._send(call, url, request))
                if self.loop_here
                else async_to_sync(self._send)(call, url, request)
            )
        return _answer(self.response, content)

    async def _send(self, call: Callable[..., Awaitable[Any]], url: str, request: dict[str, Any]) -> bytes:
        self.response = await call(url, **request)
        if self.response.streaming and self.response.is_async:
            content = b"".join([chunk async for chunk in self.response])
        else:
            content = _content(self.response)
        return content

    def visit(self, view: View, *, judged: bool = True, url: str = "/", method: str = "get", **options: Any) -> Answer:
        """Answer one request; *options* are those of `site`, or of the test client."""
        of_the_site = {name: options.pop(name) for name in tuple(options) if name in _OF_THE_SITE or name.isupper()}
        with self.site(view, judged=judged, **of_the_site):
            return self.send(url, method=method, **options)

    def compare(self, view: View, **options: Any) -> tuple[Answer, Answer]:
        """Answer the same request without the middleware and with it, each time for a client without cookies."""
        answers = []
        for judged in (False, True):
            self.client = self.new_client()
            answers.append(self.visit(view, judged=judged, **options))
        return answers[0], answers[1]

    def serve(
        self,
        view: View,
        visit: Visit,
        *,
        judged: bool = True,
        above: Sequence[str] = (),
        below: Sequence[str] = (),
        **settings: Any,
    ) -> Visit:
        """Serve *visit* by Django's own handler, as a server does."""
        props.seen.clear()
        with site(view, self.chain(above, below, judged=judged), **settings):
            return visit_wsgi(visit) if self.mode == "sync" else visit_asgi(visit)


_OF_THE_SITE = frozenset({"above", "below", "route"})


def _content(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else bytes(response.content)


def _answer(response: HttpResponseBase, content: bytes) -> Answer:
    return Answer(
        response.status_code,
        {name: value for name, value in response.headers.items() if name.lower() not in subject.HEADERS},
        {
            name: {key: value for key, value in morsel.items() if key != "expires"}
            for name, morsel in response.cookies.items()
        },
        content,
    )


@contextmanager
def counted_hops() -> Iterator[list[str]]:
    """Yield a list that grows with every change between an event loop and a thread."""
    hops: list[str] = []

    def counting(kind: type[Any]) -> Any:
        original = kind.__call__

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            hops.append(kind.__name__)
            return original(self, *args, **kwargs)

        return mock.patch.object(kind, "__call__", call)

    with counting(SyncToAsync), counting(AsyncToSync):
        yield hops


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Yield a list that grows with every query, whatever thread or connection it runs in."""
    queries: list[str] = []
    original = CursorWrapper.execute

    def execute(self: Any, sql: Any, params: Any = None) -> Any:
        queries.append(str(sql))
        return original(self, sql, params)

    with mock.patch.object(CursorWrapper, "execute", execute):
        yield queries


def stream(world: World, chunks: Sequence[bytes], log: list[Any], error: BaseException | None = None) -> View:
    """Return a view that streams *chunks*, records its progress in *log*, and raises *error* at the end."""

    def produce() -> Iterator[bytes]:
        try:
            for chunk in chunks:
                log.append(chunk)
                yield chunk
            if error is not None:
                raise error
        finally:
            log.append("cleaned up")

    async def produce_async() -> Any:
        try:
            for chunk in chunks:
                log.append(chunk)
                await asyncio.sleep(0)
                yield chunk
            if error is not None:
                raise error
        finally:
            log.append("cleaned up")

    def view(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(produce() if world.mode == "sync" else produce_async())

    return world.view(view)
